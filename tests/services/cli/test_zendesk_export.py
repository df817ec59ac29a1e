"""Closed tickets out of Zendesk: whole, once, redacted, however often the import is killed or told to wait."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from services.local.zendesk_double.app import create_app
from services.local.zendesk_double.calls import DoubleSettings

TOKEN, AGENT = "integration-token", ("agent@example.com/token", "agent-token")
WAIT_S = 120
TICKETS = 30


class Zendesk:
    """The double, in a thread, as an agent uses it. Its export holds back the last minute, so its clock is ours."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        settings = DoubleSettings(
            integration_token=TOKEN, agent_token=AGENT[1], requests_per_minute=1_000_000, clock=self.now
        )
        config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_config=None, date_header=False)
        self.server = uvicorn.Server(config)
        socket = config.bind_socket()
        socket.listen()  # calls wait in it until the thread has begun
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        self.thread = Thread(target=self.server.run, kwargs={"sockets": [socket]})
        self.thread.start()
        self.http = httpx.Client(base_url=self.url, auth=AGENT, timeout=60)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_minutes(self) -> None:
        self.ahead += timedelta(minutes=5)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self.http.post(f"/api/v2/{path}", json=body).raise_for_status().json()

    def put(self, path: str, **body: Any) -> None:
        self.http.put(f"/api/v2/{path}", json=body).raise_for_status()

    def fault(self, **fault: Any) -> None:
        self.http.post("/double/faults", json=fault).raise_for_status()

    def stop(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def zendesk() -> Iterator[Zendesk]:
    """Thirty solved tickets in two groups, and one that is still open."""
    found = Zendesk()
    groups = [found.post("groups.json", group={"name": name})["group"]["id"] for name in ("Network", "Payroll")]
    for n in range(TICKETS + 1):
        comment = {"body": f"Call Eva Miller at eva{n}@example.org, case {n}"}
        fields = {"subject": f"Printer {n} jams", "comment": comment, "group_id": groups[n % 2], "priority": "high"}
        made = found.post("tickets.json", ticket={**fields, "requester": {"name": "Eva", "email": f"e{n}@example.org"}})
        if n < TICKETS:
            found.put(f"tickets/{made['ticket']['id']}.json", ticket={"status": "solved"})
    found.pass_minutes()
    yield found
    found.stop()


@pytest.fixture
def environment(database: str, zendesk: Zendesk) -> dict[str, str]:
    prefix = "POINTSMAN_CONNECTORS__ZENDESK__"
    ours = {
        f"{prefix}BASE_URL": zendesk.url,
        f"{prefix}EMAIL": "pointsman@example.com",
        f"{prefix}API_TOKEN": TOKEN,
        f"{prefix}USER_ID": "903",
    }
    return os.environ | ours | {"POINTSMAN_DATABASE_URL": database}


def command(*more: str) -> list[str]:
    arguments = ["history", "import", "--from", "zendesk", "--format", "json", *more]
    return [sys.executable, "-m", "services.cli", *arguments]


def run(environment: dict[str, str], *more: str) -> tuple[dict[str, Any], str]:
    done = subprocess.run(command(*more), env=environment, capture_output=True, text=True, timeout=WAIT_S * 3)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def stored(database: str) -> dict[str, tuple[str, str, str]]:
    with psycopg.connect(database) as conn:
        rows = conn.execute('select external_id, body, "group", priority from history where source = %s', ("zendesk",))
        return {row[0]: row[1:] for row in rows.fetchall()}


def test_a_killed_import_goes_on_and_ends_whole(environment: dict[str, str], database: str, zendesk: Zendesk) -> None:
    """Told to wait in the middle and killed there: what was stored stays, the next run brings only the rest."""
    zendesk.fault(kind="status", status=429, retry_after="600", method="GET", path="incremental", skip=2)
    first = subprocess.Popen(command("--batch-rows", "8"), env=environment, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    said = []
    for line in first.stderr:
        said.append(line)
        if "to be asked again" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert "to be asked again in 120 s" in said[-1], said  # never longer, whatever it was told
    half = stored(database)
    assert 0 < len(half) <= 16
    zendesk.fault(kind="status", status=429, retry_after="1", method="GET", path="incremental")
    outcome, told = run(environment, "--batch-rows", "8")
    assert "asked again in 1 s" in told
    assert (outcome["rows_stored"], outcome["finished"]) == (TICKETS - len(half), True)
    whole = stored(database)
    assert len(whole) == TICKETS
    assert {group for _, group, _ in whole.values()} == {"Network", "Payroll"}
    assert {priority for _, _, priority in whole.values()} == {"high"}
    assert not any("example.org" in body or "Eva" in body for body, _, _ in whole.values())


def test_later_runs_bring_what_has_changed(environment: dict[str, str], database: str, zendesk: Zendesk) -> None:
    """A ticket moved, one opened again: the second run reads those alone; nothing is there twice."""
    run(environment)
    before = stored(database)
    [moved, opened, *_] = sorted(before, key=int)
    names = {g["name"]: g["id"] for g in zendesk.http.get("/api/v2/groups.json").json()["groups"]}
    other = names["Payroll" if before[moved][1] == "Network" else "Network"]
    zendesk.put(f"tickets/{moved}.json", ticket={"group_id": other})
    zendesk.put(f"tickets/{opened}.json", ticket={"status": "open"})
    zendesk.pass_minutes()
    outcome, _ = run(environment)
    assert (outcome["rows_stored"], outcome["rows_removed"]) == (1, 1)
    after = stored(database)
    assert (len(after), opened in after) == (TICKETS - 1, False)
    assert after[moved][1] != before[moved][1]
    zendesk.put(f"tickets/{opened}.json", ticket={"status": "solved"})
    zendesk.pass_minutes()


def test_wrong_settings_say_what_to_set(environment: dict[str, str], database: str) -> None:
    """Without an address, and with a token that Zendesk refuses."""
    bare = {name: value for name, value in environment.items() if "ZENDESK" not in name}
    done = subprocess.run(command(), env=bare, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, "POINTSMAN_CONNECTORS__ZENDESK__BASE_URL" in done.stderr) == (1, True)
    wrong = environment | {"POINTSMAN_CONNECTORS__ZENDESK__API_TOKEN": "other"}
    done = subprocess.run(command(), env=wrong, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, "Check the credentials" in done.stderr) == (1, True)
