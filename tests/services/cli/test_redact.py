import json
from pathlib import Path

from typer.testing import CliRunner

from services.cli.redact import app
from services.core.kit.errors import InputInvalid

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
    """The error that the command line says and exits 1 with."""
    result = run(app, ["text", "no-such-file.txt"])
    assert isinstance(result.exception, InputInvalid)
    assert "'no-such-file.txt' cannot be read" in result.exception.message


def test_evaluate_without_data_is_a_usage_error() -> None:
    """Exit code 2, as for every wrong call."""
    assert run(app, ["evaluate"]).exit_code == 2


def test_the_scorecard_shows_visible_beside_unseen(tmp_path: Path) -> None:
    """One page: eight languages, both parts, kinds, small letters, and that false alarms were not measured."""
    out = tmp_path / "card.md"
    assert run(app, ["scorecard", "--out", str(out), "--fillings", "1"]).exit_code == 0
    text = out.read_text("utf-8")
    assert all(f"| {language} |" in text for language in ("en", "de", "fr", "es", "it", "nl", "pl", "pt", "all"))
    assert "| NATIONAL_ID |" in text
    assert "Not measured: no sets were given" in text
