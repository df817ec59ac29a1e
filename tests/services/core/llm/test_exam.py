"""Prompts are judged with the model that is configured, by the command, over real HTTP."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.core.llm.exam.judge import Row, read_rows
from services.core.llm.matrix import priority_of
from tests.services.core.llm.stub_server import Reply, Says, Stub

ROWS = read_rows()


def evaluate(stub: Stub | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    if stub:
        endpoint = {"base_url": f"{stub.url}/v1", "api_key": "key-of-the-test", "redaction": "standard"}
        model = {"priority": "openai:qwen3", "summary": "openai:qwen3", "max_repairs": 0, "openai": endpoint}
        ours["POINTSMAN_LLM"] = json.dumps(model)
    command = [sys.executable, "-m", "services.cli", "prompts", "evaluate", *arguments]
    return subprocess.run(command, env=ours, capture_output=True, text=True, timeout=300)


def priority(row: Row, **other: Any) -> Reply:
    said = {"impact": row.impact, "urgency": row.urgency, **other}
    word = priority_of(said["impact"], said["urgency"])
    return Says({"reason": "as it reads", "impact": said["impact"], "urgency": said["urgency"], "priority": word})


def summary(row: Row, **other: Any) -> Reply:
    return Says({"issue": row.issue, "actions": "", "tags": [], "references": [], **other})


def test_a_model_that_reads_as_a_person_does_passes(stub: Stub) -> None:
    """All figures at their best, every gate passed; all that was asked came from the set."""
    stub.script(*map(priority, ROWS), *map(summary, ROWS))
    done = evaluate(stub, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    by_task = {report["task"]: report for report in json.loads(done.stdout)}
    assert by_task["priority"]["figures"]["accuracy"] == 1
    assert by_task["priority"]["figures"]["obeyed"] == 0
    assert by_task["summary"]["figures"]["rouge_l"] == 1
    assert by_task["priority"]["prompt"] == "priority/v1"
    assert len(stub.asked) == 2 * len(ROWS)


def test_a_model_that_obeys_tickets_and_knows_one_answer_is_refused_by_name(stub: Stub) -> None:
    """Exit 1; the table names gates, figures and limits."""
    always = [priority(row, impact="high", urgency="high") for row in ROWS]
    stub.script(*always, *(summary(row, issue=f"{row.issue} {row.orders}") for row in ROWS))
    done = evaluate(stub)
    assert done.returncode == 1
    refused = [line.split()[:2] for line in done.stdout.splitlines() if " NO " in line]
    assert ["priority", "obeyed"] in refused
    assert ["summary", "obeyed"] in refused
    assert ["priority", "accuracy"] in refused
    assert ["summary", "usable"] not in refused


def test_a_model_whose_answers_fit_no_type_is_refused(stub: Stub) -> None:
    """The rules answer in its place, and that is not its merit."""
    stub.script(Says("I would rather talk about the weather."))
    done = evaluate(stub, "--format", "json")
    assert done.returncode == 1
    reports = json.loads(done.stdout)
    assert [report["figures"]["usable"] for report in reports] == [0, 0]
    assert all("usable" in [g["name"] for g in report["gates"] if not g["passed"]] for report in reports)


def test_without_a_model_the_rules_are_shown_and_nothing_is_refused() -> None:
    """It is the default; what it reaches is no secret."""
    done = evaluate(None, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(report["figures"] == report["rules"] for report in json.loads(done.stdout))


def test_no_name_of_a_set_of_ones_own_reaches_the_model(stub: Stub, tmp_path: Path) -> None:
    """Redacted as the worker does it, whatever the destination."""
    row = ROWS[0].model_copy(update={"body": "Write to maria.kowalska@example.com, the VPN is down."})
    file = tmp_path / "mine.jsonl"
    file.write_text(row.model_dump_json(), "utf-8")
    stub.script(priority(row), summary(row))
    evaluate(stub, "--set", str(file))
    assert len(stub.asked) == 2
    assert not any("maria.kowalska" in asked.text for asked in stub.asked)


@pytest.mark.parametrize(
    ("line", "words"),
    [("", "holds no ticket"), ('{"subject": "x"}', "line 1"), ("{", "line 1")],
)
def test_a_set_that_is_none_says_where(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(line, "utf-8")
    done = evaluate(None, "--set", str(file))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_set_holds_pressing_tickets_and_orders() -> None:
    """Else a gate would be passed for want of a ticket."""
    assert {(row.impact, row.urgency) for row in ROWS} >= {(a, b) for a in ("low", "high") for b in ("high",)}
    assert {row.orders for row in ROWS} >= {"", "up", "down"}
    assert sum(row.orders not in ("", "up", "down") for row in ROWS) >= 2
