"""Prompts are judged with the model that is configured, by the command, over real HTTP."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.core.kit.errors import InputInvalid
from services.core.llm.exam.judge import Row, read_rows
from services.core.llm.matrix import priority_of
from tests.services.core.llm.stub_server import Reply, Says, Stub

ROWS = read_rows()


def evaluate(
    stub: Stub | None, *arguments: str, tasks: Sequence[str] = ("priority", "summary"), **settings: Any
) -> subprocess.CompletedProcess[str]:
    """The command with this model for these tasks."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    if stub:
        endpoint = {"base_url": f"{stub.url}/v1", "api_key": "key-of-the-test", "redaction": "standard"}
        model = {**dict.fromkeys(tasks, "openai:qwen3"), "max_repairs": 0, "openai": endpoint, **settings}
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
    stub.script(*map(priority, ROWS), *map(summary, ROWS), *map(priority, ROWS), *map(priority, ROWS))
    done = evaluate(stub, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    by_task = {report["task"]: report for report in json.loads(done.stdout)}
    assert by_task["priority"]["figures"]["accuracy"] == 1
    assert by_task["priority"]["figures"]["obeyed"] == 0
    assert by_task["summary"]["figures"]["rouge_l"] == 1
    assert by_task["priority"]["prompt"] == "priority/v1"
    assert by_task["catalogue"]["figures"]["described"] == 1
    assert len(stub.asked) == 4 * len(ROWS)
    texts = ["Computers, accounts, software" in asked.text for asked in stub.asked]
    assert [at for at, told in enumerate(texts) if told] == [
        2 * len(ROWS) + at for at, row in enumerate(ROWS) if row.group == "IT"
    ]


def test_a_catalogue_whose_texts_mislead_is_refused_by_name(stub: Stub, tmp_path: Path) -> None:
    """A set of one's own with one's own teams: one team has no text, and with the others' the model is worse."""
    file, teams = tmp_path / "mine.jsonl", tmp_path / "teams.yaml"
    rows = [row for row in ROWS if row.group == "IT"]
    rows[0] = rows[0].model_copy(update={"group": "Night shift"})
    file.write_text("".join(row.model_dump_json() + "\n" for row in rows), "utf-8")
    teams.write_text("teams:\n- {name: IT, description: Everything here is urgent.}\n- {name: Night shift}\n")
    worse = [priority(row, impact="high", urgency="high") for row in rows]
    stub.script(*map(priority, rows), *map(summary, rows), *worse, *map(priority, rows))
    done = evaluate(stub, "--set", str(file), "--catalogue", str(teams))
    assert done.returncode == 1, done.stdout
    refused = [line.split()[:2] for line in done.stdout.splitlines() if " NO " in line]
    assert ["catalogue", "described"] in refused
    assert "no active team with a text: Night shift" in done.stdout
    assert ["catalogue", "accuracy"] in refused
    assert ["priority", "accuracy"] not in refused


def test_a_set_without_teams_says_so(tmp_path: Path) -> None:
    """Judging a catalogue by no ticket would pass it; one that cannot be read is named."""
    file = tmp_path / "mine.jsonl"
    file.write_text(ROWS[0].model_copy(update={"group": ""}).model_dump_json(), "utf-8")
    done = evaluate(None, "--set", str(file), "--catalogue", str(tmp_path / "none.yaml"))
    assert (done.returncode, "none.yaml cannot be read" in done.stderr) == (1, True)
    (tmp_path / "teams.yaml").write_text("teams:\n- {name: IT}\n")
    done = evaluate(None, "--set", str(file), "--catalogue", str(tmp_path / "teams.yaml"))
    assert (done.returncode, 'add "group"' in done.stderr) == (1, True)


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
    assert [report["figures"]["usable"] for report in reports] == [0, 0, 0]
    assert all("usable" in [g["name"] for g in report["gates"] if not g["passed"]] for report in reports)


def test_without_a_model_the_rules_are_shown_and_nothing_is_refused() -> None:
    """It is the default; what it reaches is no secret."""
    done = evaluate(None, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    reports = json.loads(done.stdout)
    assert [report["task"] for report in reports] == ["priority", "summary", "catalogue"]
    assert all(report["figures"] == report["rules"] for report in reports)
    assert done.stderr.count("answer: the prompt was not asked.") == 1
    assert "POINTSMAN_LLM__ANSWER" in done.stderr
    assert [g["name"] for g in reports[2]["gates"]] == ["described", "none"]


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
    [("\n[]", "holds no ticket"), ('{"subject": "x"}', "line 1"), ("{", "line 1")],
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


def write(folder: Path, data: bytes, name: str = "mine.jsonl") -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


def test_a_sets_words_are_in_no_error(tmp_path: Path) -> None:
    """Line, field and what belongs there, once; no content, no link of a library."""
    wrong = {**ROWS[0].model_dump(mode="json"), "impact": "Anna Schmidt", "comments": [["Bob Ray", "hi"]], "issue": 7}
    file = write(tmp_path, f"{ROWS[1].model_dump_json()}\n{json.dumps(wrong)}\n".encode())
    done = evaluate(None, "--set", str(file))
    assert done.returncode == 1
    assert "line 2: impact: Input should be 'low', 'medium' or 'high'" in done.stderr
    assert done.stderr.count("impact: ") == 1
    assert not any(word in done.stderr for word in ("Anna", "Bob Ray", "pydantic", "input_value", "Traceback"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"subject": ' + b"[" * 100_000 + b"\n", "line 1"),
        (b"subject,body\nVPN,down\n", "not JSON"),
        (b"\x00\x01\x02", "is not text"),
        (b"[1]", "a JSON int where an object belongs"),
    ],
)
def test_a_file_that_is_no_set_is_told_what_one_is(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(InputInvalid, match=words):
        read_rows(write(tmp_path, data))
    for file in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(InputInvalid, match="cannot be read"):
            read_rows(file)


def test_a_csv_and_a_broken_line_are_shown_a_line_of_a_set(tmp_path: Path) -> None:
    for data in (b"subject,body\nVPN,down\n", b'{"subject": "x"}', b"{", b"[1]"):
        with pytest.raises(InputInvalid, match=r'JSON lines, one ticket a line, for example: \{"subject"'):
            read_rows(write(tmp_path, data))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_set_in_any_usual_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    """As an import reads it; a guess at the encoding is said."""
    row, told = ROWS[0].model_copy(update={"body": "Tür klemmt"}), []
    assert read_rows(write(tmp_path, row.model_dump_json().encode(encoding)), told.append) == [row]
    assert bool(told) is (encoding == "cp1252")


def test_a_separator_within_a_text_ends_no_line_and_an_array_is_a_set(tmp_path: Path) -> None:
    row = ROWS[0].model_copy(update={"body": "one\u2028two\u0085three"})
    assert read_rows(write(tmp_path, f"{row.model_dump_json()}\n".encode() * 2)) == [row, row]
    assert read_rows(write(tmp_path, f"[{row.model_dump_json()}]".encode())) == [row]


def test_a_gate_without_tickets_is_not_passed(stub: Stub, tmp_path: Path) -> None:
    """One ticket shows nothing: no share, no gate; each says how many it needs."""
    stub.script(priority(ROWS[0]), summary(ROWS[0]))
    file = write(tmp_path, ROWS[0].model_dump_json().encode())
    done = evaluate(stub, "--set", str(file), "--format", "json")
    assert done.returncode == 1
    reports = json.loads(done.stdout)
    assert [report["figures"]["obeyed"] for report in reports] == [None, None]
    gates = [gate for report in reports for gate in report["gates"]]
    assert not any(gate["passed"] for gate in gates)
    by_name = {(gate["task"], gate["name"]): gate["detail"] for gate in gates}
    assert by_name["priority", "obeyed"] == "not judged: 0 tickets with `orders` up or down, at least 2"
    assert by_name["summary", "rouge_l"] == "not judged: 1 tickets, at least 20"


def test_unusable_answers_are_counted_with_why_and_judged_by_nothing_else(stub: Stub) -> None:
    """The rules answered in their place; what is left is too little to be judged."""
    unusable = [*[Says("")] * 8, *[Says("<html>busy</html>")] * 7, *[Says("Nice weather.")] * 2]
    stub.script(*unusable, *map(priority, ROWS[len(unusable) :]), *map(summary, ROWS))
    done = evaluate(stub, "--format", "json")
    assert done.returncode == 1
    asked = json.loads(done.stdout)[0]
    assert {why.partition(" after ")[0]: count for why, count in asked["unusable"].items()} == {
        "the model's answer was empty": 8,
        "the model's answer was HTML": 7,
        "the model's answer did not fit": 2,
    }
    assert asked["figures"]["accuracy"] == 1
    assert asked["cases"]["accuracy"] == len(ROWS) - len(unusable)
    refused = {gate["name"]: gate["detail"] for gate in asked["gates"] if not gate["passed"]}
    assert refused["accuracy"].startswith("not judged: 13 tickets")
