import json
import os
import subprocess
import sys
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


RULES = """
keep = ["Quillon"]
[[patterns]]
name = "asset tag"
kind = "DEVICE_ID"
pattern = 'ACME-\\d{6}'
finds = ["ACME-004711"]
"""


def test_try_says_which_rule_hid_what_at_both_levels(tmp_path: Path) -> None:
    """An own pattern by its name; strict adds what is no word; exit code 0."""
    rules = tmp_path / "redaction.toml"
    rules.write_text(RULES, "utf-8")
    result = run(app, ["try", "--rules", str(rules), "ACME-004711 with Quillon vlorxx"])
    assert result.exit_code == 0
    assert "<DEVICE_ID_1> with Quillon vlorxx" in result.stdout
    assert "<DEVICE_ID_1> with Quillon <OTHER_1>" in result.stdout
    assert "by own pattern 'asset tag'" in result.stdout


def test_try_reads_standard_input_and_says_when_nothing_is_hidden() -> None:
    result = run(app, ["try", "--format", "json"], input="the printer is slow")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["hidden"] == []


def test_try_refuses_bad_rules(tmp_path: Path) -> None:
    rules = tmp_path / "redaction.toml"
    rules.write_text("kep = []", "utf-8")
    result = run(app, ["try", "--rules", str(rules), "hello"])
    assert result.exit_code == 2
    assert "kep: Extra inputs" in result.stderr


def test_whoever_builds_a_redactor_takes_the_operators_rules(tmp_path: Path) -> None:
    """By the environment alone, so no container can forget them; a bad file stops the start."""
    rules = tmp_path / "redaction.toml"
    rules.write_text(RULES, "utf-8")
    code = (
        "from services.core.text.redact import RedactionConfig, build_redactor;"
        "print(build_redactor(RedactionConfig(models={})).redact('ACME-004711').fields['text'])"
    )
    environment = {**os.environ, "POINTSMAN_REDACTION_RULES": str(rules)}
    python = [sys.executable, "-c", code]
    assert (
        subprocess.run(python, env=environment, capture_output=True, text=True, check=True).stdout == "<DEVICE_ID_1>\n"
    )
    rules.write_text("kep = []", "utf-8")
    refused = subprocess.run(python, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "ConfigurationInvalid" in refused.stderr


def test_the_guides_rules_work(tmp_path: Path) -> None:
    """What the page shows can be copied."""
    guide = (Path(__file__).parents[3] / "design/guides/redaction.md").read_text("utf-8")
    rules = tmp_path / "redaction.toml"
    rules.write_text(guide.partition("```toml\n")[2].partition("```")[0], "utf-8")
    result = run(app, ["try", "--rules", str(rules), "Tag ACME-004711 of the Blue Falcon"])
    assert "Tag ACME-<DEVICE_ID_1> of the Blue Falcon" in result.stdout
