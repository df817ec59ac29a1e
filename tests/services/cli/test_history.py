"""Closed tickets come in redacted, once, and whole, however often the import is interrupted."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from services.cli.history import app
from services.core.contracts.facts import digests
from services.core.history.importing import known_priority
from services.core.history.redacting import redact_batch, redaction
from services.core.history.rows import BadRow, Row
from services.core.text.hide import build_hide
from services.local.mock.tickets import history as mock_history
from services.trainer.files import read_file, read_map
from services.trainer.repository import read_examples

ROWS = 24


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A CSV of closed tickets with personal data in each."""
    body = "Please call me at +49 30 23125{0:03}. Mail: eva{0}@example.org"
    lines = [f"T{i},Printer {i} jams,{body.format(i)},Hardware,1 - Critical,2026-01-02" for i in range(ROWS)]
    path = tmp_path / "closed.csv"
    path.write_text("\n".join(["number,title,text,team,priority,resolved", *lines]) + "\n")
    return path


@pytest.fixture
def environment(database: str, tmp_path: Path) -> dict[str, str]:
    return {"POINTSMAN_DATABASE_URL": database, "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}/objects", "COLUMNS": "200"}


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def imported(environment: dict[str, str], *arguments: str) -> dict[str, object]:
    result = run(environment, "import", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def stored(database: str) -> list[tuple[str, ...]]:
    with psycopg.connect(database) as conn:
        query = 'select external_id, subject, body, "group", priority, content_hash from history order by external_id'
        return conn.execute(query).fetchall()


def test_import_stores_redacted_tickets(environment: dict[str, str], database: str, export: Path) -> None:
    """No address and no number of the file reaches the table; group, priority and time do."""
    outcome = imported(environment, str(export))
    assert (outcome["rows_stored"], outcome["rows_bad"], outcome["finished"]) == (ROWS, 0, True)
    rows = stored(database)
    assert len(rows) == ROWS
    assert not any("example.org" in row[2] or "23125" in row[2] for row in rows)
    assert {(row[3], row[4]) for row in rows} == {("Hardware", "urgent")}


def test_the_trainer_learns_from_an_import_what_evaluate_learns_from_the_file(
    environment: dict[str, str], database: str, tmp_path: Path
) -> None:
    """The same --map; text, times, impact, urgency and breach are the same; further columns are said not to be kept."""
    lines = [
        f"{i},VPN {i},ask ann.lee{i}@example.org,Net,2026-01-0{i}T08:00Z,{i}.5,High,2,{i % 2 == 0},Phone,c{i}"
        for i in range(1, 9)
    ]
    path = tmp_path / "closed.csv"
    header = "number,title,details,team,opened_at,took,impact,urgency,late,contact_type,caller"
    path.write_text("\n".join([header, *lines]) + "\n")
    map = "text=title+details,label=team,hours=took,breached=late,features=caller"
    told = run(environment, "import", str(path), "--map", map)
    assert (told.exit_code, "do not bring it: features." in told.stderr) == (0, True)
    with psycopg.connect(database) as conn:
        learnt = sorted(read_examples(conn), key=lambda row: row.text)
    judged = sorted(read_file(path, read_map(map), build_hide()), key=lambda row: row.text)
    assert [row.text for row in learnt] == [row.text for row in judged]
    assert not any("ann.lee" in row.text for row in judged)
    assert [row.targets.hours for row in learnt] == [row.targets.hours for row in judged]
    assert [row.targets.breached for row in learnt] == [row.targets.breached for row in judged]
    assert {(row.targets.impact, row.targets.urgency) for row in learnt} == {("high", "medium")}
    assert {row.facts.categories["channel"] for row in learnt} == set(digests({"channel": "phone"}).values())


def test_importing_twice_changes_nothing(environment: dict[str, str], database: str, export: Path) -> None:
    """A finished import is not read again; with --no-resume it is, to the same rows."""
    imported(environment, str(export))
    first = stored(database)
    assert imported(environment, str(export))["rows_read"] == 0
    assert imported(environment, str(export), "--no-resume")["rows_read"] == ROWS
    assert stored(database) == first


def test_a_changed_file_is_read_again_and_replaces(environment: dict[str, str], database: str, export: Path) -> None:
    """Next week's export of the same source updates the tickets it names and adds the new ones."""
    imported(environment, str(export))
    export.write_text(
        export.read_text().replace("T0,Printer 0", "T0,Scanner 0") + "N1,new,text,Network,low,2026-02-01\n"
    )
    assert imported(environment, str(export))["rows_read"] == ROWS + 1
    rows = {row[0]: row for row in stored(database)}
    assert len(rows) == ROWS + 1
    assert rows["T0"][1].startswith("Scanner")
    assert rows["N1"][4] == "low"


def test_limit_then_the_rest(environment: dict[str, str], database: str, export: Path) -> None:
    """A limited import is unfinished; the next one goes on behind it."""
    first = imported(environment, str(export), "--limit", "10")
    assert (first["rows_read"], first["finished"]) == (10, False)
    rest = imported(environment, str(export))
    assert (rest["resumed_at"], rest["rows_read"], rest["finished"]) == (10, ROWS - 10, True)
    assert len(stored(database)) == ROWS


def test_a_killed_import_goes_on_where_it_stopped(environment: dict[str, str], database: str, export: Path) -> None:
    """kill -9 in the middle: the second run resumes behind the last commit, and nothing is missing or doubled."""
    code = "from services.cli.history import app; app()"
    command = [sys.executable, "-c", code, "import", str(export), "--batch-rows", "1"]
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with psycopg.connect(database, autocommit=True) as conn:
        while process.poll() is None:
            if conn.execute("select 1 from history_imports where rows_done between 1 and 16").fetchone():
                process.kill()
                break
        process.wait()
        conn.execute(  # the server notices the dead client and lets go of its lock
            "select pg_advisory_lock(hashtextextended('history import closed', 0))"
        )
    before = len(stored(database))
    assert 0 < before < ROWS
    rest = imported(environment, str(export))
    assert rest["resumed_at"] == before
    assert len(stored(database)) == ROWS


def test_two_processes_redact_what_one_does() -> None:
    """The pool keeps the order and redacts the same; bad rows pass through."""
    tickets = mock_history(24, until=datetime(2026, 11, 20, tzinfo=UTC))
    rows = [Row(i, ticket.external_id, ticket.subject, ticket.body) for i, ticket in enumerate(tickets)]
    batches = [[*rows[i : i + 4], BadRow(i, "bad")] for i in range(0, 24, 4)]
    with redaction(rows=10_000, processes=2) as in_two:
        assert list(in_two(batches)) == [redact_batch(batch) for batch in batches]


def test_mock_history_is_imported_without_its_personal_data(environment: dict[str, str], database: str) -> None:
    """No planted mail address is left in the table."""
    assert imported(environment, "--mock", "30")["rows_stored"] == 30
    with psycopg.connect(database) as conn:
        bodies = [row[0] for row in conn.execute("select body from history order by external_id").fetchall()]
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for ticket, body in zip(mock_history(30, until=until), bodies, strict=True):
        for span in ticket.spans:
            if span.part == "body" and span.label == "EMAIL_ADDRESS":
                assert ticket.body[span.start : span.end] not in body


def test_bad_rows_are_shown_with_their_line(environment: dict[str, str], tmp_path: Path) -> None:
    """The good rows are stored, the bad ones named on stderr and counted; nothing but bad rows is a problem."""
    path = tmp_path / "closed.csv"
    path.write_text("subject,body,group\na,b,G\nonly one\n,,G\n")
    result = run(environment, "import", str(path), "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows_bad"] == 2
    assert "line 3: 1 fields where the header has 3" in result.stderr
    path.write_text("subject,body,group\n,,G\n")
    assert run(environment, "import", str(path)).exit_code == 1


def test_many_bad_rows_are_all_in_a_file(environment: dict[str, str], tmp_path: Path) -> None:
    """Ten on the screen; the file that is named has every one of them, once."""
    path = tmp_path / "closed.csv"
    path.write_text("subject,body,group\n" + ",,G\n" * 14)
    home = environment | {"POINTSMAN_HOME": str(tmp_path / "home")}
    for _ in range(2):
        said = run(home, "import", str(path), "--source", "our/desk", "--no-resume").stderr
        kept = tmp_path / "home" / "imports" / "our_desk-bad-rows.txt"
        assert (said.count("no text:"), f"4 more bad rows, all of them in {kept}" in " ".join(said.split())) == (
            10,
            True,
        )
        assert kept.read_text().splitlines() == [f"line {n}: no text: subject and body are empty" for n in range(2, 16)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--mock N"),
        (("FILE", "--map", "team=x"), "'team' is not a field"),
        (("FILE", "--map", "group=nothing"), "no column 'nothing'"),
        (("FILE", "--map", "group="), "--map 'group="),
        (("FILE", "--limit", "0"), "limit"),
    ],
)
def test_wrong_calls_exit_2_and_say_why(
    environment: dict[str, str], export: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Usage errors are told apart from problems by their exit code."""
    result = run(environment, "import", *(str(export) if a == "FILE" else a for a in arguments))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_a_source_is_imported_by_one_process_at_a_time(
    environment: dict[str, str], database: str, export: Path
) -> None:
    """The second import says that it must wait."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(hashtextextended('history import closed', 0))")
        result = run(environment, "import", str(export))
    assert result.exit_code == 1
    assert "imported by another process" in str(result.exception)


def test_stats_count_by_group(environment: dict[str, str], export: Path) -> None:
    """What was imported."""
    imported(environment, str(export))
    result = json.loads(run(environment, "stats", "--format", "json").stdout)
    assert result["tickets"] == ROWS
    assert result["groups"][0]["group"] == "Hardware"
    assert f"{ROWS} closed tickets" in run(environment, "stats").stdout


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("1 - Critical", "urgent"),
        ("Major", "high"),
        ("mittel", "normal"),
        ("P4", "low"),
        ("3", "3"),
        ("Wichtig", "Wichtig"),
        (None, None),
    ],
)
def test_priorities_are_translated_where_the_word_is_known(theirs: str | None, ours: str | None) -> None:
    """A bare number stays: 1 is the highest in one system and the lowest in the next."""
    assert known_priority(theirs) == ours
