"""`pointsman submit` and the reading commands, as a user runs them against a running platform."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from services.core.contracts.decision import Triaged
from services.core.models import registry
from services.core.models.client import PATH, build_request
from services.local.platform import is_ready
from tests.platform import TIMEOUT_S, Platform, user_environment
from tests.services.trainer.bundles import made_up_tickets


def write_csv(path: Path, rows: int, *, header: tuple[str, str, str] = ("number", "title", "description")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        for number, example in enumerate(made_up_tickets(rows, seed=5, rare=0)):
            writer.writerow((f"T{number}", example.text[:40], example.text))
    return path


@pytest.mark.parametrize("connector", ["generic", "zendesk", "json"])
def test_a_file_comes_back_triaged_under_its_own_ids(platform: Platform, tmp_path: Path, connector: str) -> None:
    """Columns are guessed; every row comes back once, as one JSON object a line."""
    file = write_csv(tmp_path / "tickets.csv", 12)
    done = platform.cli("submit", str(file), "--connector", connector, "--wait", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    answers = [Triaged.model_validate_json(line) for line in done.stdout.splitlines()]
    assert sorted(answer.external_id for answer in answers) == sorted(f"T{number}" for number in range(12))
    assert all(answer.group and answer.top3 and answer.model_version and answer.priority for answer in answers)


def test_the_same_run_again_sends_nothing_twice(platform: Platform, tmp_path: Path) -> None:
    """A run that was interrupted is continued under its name: the same tickets answer."""
    file = write_csv(tmp_path / "tickets.csv", 5)
    arguments = ("submit", str(file), "--wait", "--format", "jsonl", "--run", "again")
    first, second = platform.cli(*arguments), platform.cli(*arguments)
    tickets = [{json.loads(line)["ticket_id"] for line in done.stdout.splitlines()} for done in (first, second)]
    assert tickets[0] == tickets[1]
    assert len(tickets[0]) == 5


def test_a_missing_column_is_a_usage_error_that_says_what_to_type(platform: Platform, tmp_path: Path) -> None:
    """Exit 2, the columns that exist, and a --map to try."""
    file = write_csv(tmp_path / "odd.csv", 1, header=("a", "b", "c"))
    done = platform.cli("submit", str(file))
    assert done.returncode == 2
    assert "a, b, c" in done.stderr.replace("\n", " ")
    assert "--map" in done.stderr


def test_unusable_rows_are_reported_and_the_others_sent(platform: Platform, tmp_path: Path) -> None:
    """Exit 1, with the line; nothing else is lost."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1, "text": "vpn and dns problem"}\nnot json\n{"id": 3, "text": "salary question"}\n')
    done = platform.cli("submit", str(file), "--wait", "--format", "jsonl")
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_repeated_id_is_an_unusable_row(platform: Platform, tmp_path: Path) -> None:
    """Sent, it would be taken for the first one again and be lost without a word."""
    file = tmp_path / "twice.csv"
    file.write_text("id,text\n1,vpn and dns problem\n2,salary question\n1,something else\n")
    done = platform.cli("submit", str(file), "--wait", "--format", "jsonl")
    assert done.returncode == 1
    assert "line 4: id '1' is already on line 2" in done.stderr
    assert [json.loads(line)["external_id"] for line in done.stdout.splitlines()] == ["1", "2"]


def test_waiting_survives_a_gateway_that_is_away_for_a_moment(platform: Platform, tmp_path: Path) -> None:
    """Killed while `submit --wait` waits: it says so, asks again, and every ticket comes back."""
    file = write_csv(tmp_path / "tickets.csv", 3)
    before = platform.value("select count(*) from tickets")
    worker, gateway = (_process(platform, name) for name in ("worker", "gateway"))
    worker.suspend()  # so that there is something to wait for
    try:
        command = [sys.executable, "-m", "services.cli", "submit", str(file), "--wait", "--format", "jsonl"]
        environment = user_environment(platform.home)
        pipe = subprocess.PIPE
        submit = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
        platform.wait_until(lambda: platform.value("select count(*) from tickets") == before + 3, "the tickets")
        gateway.kill()
        assert submit.stderr is not None
        said = next(line for line in submit.stderr if "Asking again in" in line)
    finally:
        worker.resume()
    platform.wait_until(lambda: is_ready(platform.home), "the gateway again")
    printed, rest = submit.communicate(timeout=TIMEOUT_S)
    assert submit.returncode == 0, said + rest
    assert len(printed.splitlines()) == 3


def test_a_ticket_is_erased_by_command(platform: Platform, tmp_path: Path) -> None:
    """What was said is gone, the request and the receipt are in the audit log; asking again changes nothing."""
    file = write_csv(tmp_path / "tickets.csv", 1)
    sent = platform.cli("submit", str(file), "--wait", "--format", "jsonl")
    ticket_id = json.loads(sent.stdout)["ticket_id"]
    assert platform.cli("erase", ticket_id).returncode == 1  # nobody said yes
    for _ in range(2):
        done = platform.cli("erase", ticket_id, "--yes")
        assert done.returncode == 0, done.stderr
    state = "select state from tickets where id = %s"
    platform.wait_until(lambda: platform.value(state, ticket_id) == "erased", "the erasure")
    assert platform.rows("select 1 from raw.texts where ticket_id = %s", ticket_id) == []
    actions = platform.rows("select action from audit_log where subject = %s", f"ticket/{ticket_id}")
    assert [row["action"] for row in actions].count("erasure.requested") == 1
    assert platform.cli("erase", "999999999", "--yes").returncode == 1


def _process(platform: Platform, name: str) -> psutil.Process:
    child = next(child for child in platform.supervisor.children if child.name == name)
    assert child.process is not None
    return psutil.Process(child.process.pid)


@pytest.mark.parametrize("connector", ["generic", "zendesk", "json"])
def test_priority_is_sent_and_what_is_not_sent_makes_no_row_unusable(
    platform: Platform, tmp_path: Path, connector: str
) -> None:
    """A time that cannot be read does not matter; a priority arrives in our words, an unknown one as none."""
    file = tmp_path / "export.csv"
    file.write_text("id,text,priority,created\n1,vpn problem,1 - Critical,soon\n2,salary question,3,03/04/2026\n")
    done = platform.cli("submit", str(file), "--connector", connector, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    ids = {entry["external_id"]: entry["ticket_id"] for entry in map(json.loads, done.stdout.splitlines())}
    query = "select ticket ->> 'priority' from raw.texts where ticket_id = %s"
    assert [platform.value(query, ids[row]) for row in ("1", "2")] == ["urgent", None]


def test_status_and_tickets_tell_what_is_there(platform: Platform) -> None:
    """Every read has JSON for programs; a well platform exits 0."""
    done = platform.cli("status", "--format", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["workers"]) == (0, "ok", 1)
    listed = json.loads(platform.cli("tickets", "--limit", "3", "--format", "json").stdout)
    assert len(listed) == 3
    shown = platform.cli("ticket", listed[-1]["id"])
    assert shown.returncode == 0
    assert "Decision" in shown.stdout


def test_a_ticket_that_does_not_exist_is_a_problem_not_a_traceback(platform: Platform) -> None:
    """Exit 1 and one sentence."""
    done = platform.cli("ticket", "999999999")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "There is no ticket 999999999" in done.stderr


def test_keys_are_made_listed_and_revoked(platform: Platform) -> None:
    """The key is shown once; a revoked one cannot be revoked again."""
    key = json.loads(platform.cli("keys", "create", "n8n", "--role", "agent", "--format", "json").stdout)["key"]
    key_id = key.split("_")[1]
    listed = platform.cli("keys", "list", "--format", "json").stdout
    assert key_id in listed
    assert key not in listed
    assert platform.cli("keys", "revoke", key_id).returncode == 0
    assert platform.cli("keys", "revoke", key_id).returncode == 1


@pytest.fixture
def champion_kept(platform: Platform) -> Iterator[None]:
    """The platform is shared: whatever is promoted meanwhile, the model of the other tests serves again afterwards."""
    before = platform.value("select version from models where status = 'champion'")
    yield
    with psycopg.connect(platform.home.postgres.url, autocommit=True) as conn:
        registry.promote(conn, before)
        conn.execute("delete from catalogue where name like 'Team %'")
    router = f"http://127.0.0.1:{platform.home.settings.router_http_port}{PATH}"
    question = build_request(["vpn"], want_embeddings=False)
    platform.wait_until(lambda: httpx.post(router, json=question).json()["model_version"] == before, "the old champion")


@pytest.mark.usefixtures("champion_kept")
def test_history_and_training_give_the_company_its_own_groups(platform: Platform, tmp_path: Path) -> None:
    """Closed tickets in, a model trained and promoted; the running router answers with the new groups."""
    file = tmp_path / "closed.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "subject", "body", "team"))
        for number, example in enumerate(made_up_tickets(160, seed=11, rare=0)):
            writer.writerow((number, "", example.text, f"Team {example.group}"))
    assert platform.cli("history", "import", str(file), "--map", "group=team").returncode == 0
    trained = platform.cli("train")
    assert trained.returncode == 0, trained.stderr
    assert "Loading weights" not in trained.stderr  # the libraries' bars would run through ours
    version = platform.value("select version from models where status = 'champion'")
    tickets = write_csv(tmp_path / "tickets.csv", 6)

    def answers_with_the_new_model() -> bool:
        done = platform.cli("submit", str(tickets), "--wait", "--format", "jsonl")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return all(answer["model_version"] == version and answer["group"].startswith("Team ") for answer in found)

    platform.wait_until(answers_with_the_new_model, "the new model's answers")
