import json
from pathlib import Path

from typer.testing import CliRunner

from services.cli.redact import app

run = CliRunner().invoke


def test_text_from_standard_input_comes_back_redacted() -> None:
    """A pipe is enough to try it."""
    result = run(app, ["text", "-"], input="I am jane@example.com")
    assert (result.exit_code, result.stdout) == (0, "I am <EMAIL_ADDRESS_1>\n")


def test_json_adds_the_vault(tmp_path: Path) -> None:
    """What was hidden, and in which language the text was read."""
    file = tmp_path / "ticket.txt"
    file.write_text("I am jane@example.com", "utf-8")
    answer = json.loads(run(app, ["text", str(file), "--format", "json"]).stdout)
    assert answer == {
        "text": "I am <EMAIL_ADDRESS_1>",
        "vault": {"<EMAIL_ADDRESS_1>": "jane@example.com"},
        "language": "en",
    }


def test_a_missing_file_is_a_problem_with_its_name() -> None:
    """Exit code 1 and the path."""
    result = run(app, ["text", "no-such-file.txt"])
    assert result.exit_code == 1
    assert "no-such-file.txt" in result.stderr


def test_evaluate_without_data_is_a_usage_error() -> None:
    """Exit code 2, as for every wrong call."""
    assert run(app, ["evaluate"]).exit_code == 2
