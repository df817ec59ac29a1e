"""kill -9 of any process at any time while tickets flow: nothing lost, nothing done twice, the audit chain whole."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from tests.platform import Platform, run_platform
from tests.services.trainer.bundles import made_up_tickets
from tests.signing import sign_zendesk

DRAIN_S = 120.0


@pytest.mark.parametrize(("tickets", "kills", "seed"), [(40, 6, 1)])
def test_a_few_kills_lose_and_repeat_nothing(open_folder: Path, tickets: int, kills: int, seed: int) -> None:
    """The short version: each kind of process dies at least once."""
    with run_platform(open_folder / f"faults-{seed}") as platform:
        check_killing(platform, tickets=tickets, kills=kills, seed=seed)


@pytest.mark.slow
def test_a_hundred_kills_lose_and_repeat_nothing(open_folder: Path) -> None:
    """The long version, by `make faults`: 500 tickets, 100 kills."""
    with run_platform(open_folder / "faults-long") as platform:
        check_killing(platform, tickets=500, kills=100, seed=20261120)


def check_killing(platform: Platform, *, tickets: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    external_ids = open_tickets(platform, tickets)
    flow = Flow(platform, external_ids, pause_s=kills * 1.2 / tickets)
    flow.start()
    killed = Counter(strike(platform, name) for name in victims(chance, kills, flow.is_over, platform))
    platform.wait_until(flow.is_over, "the announcements", DRAIN_S)
    assert not flow.refused, flow.refused
    platform.wait_until(
        lambda: platform.value("select count(*) from tickets where state = 'triaged'") == tickets, "triage", DRAIN_S
    )
    platform.wait_until(
        lambda: not platform.value("select count(*) from outbox where state = 'pending'"), "the outbox", DRAIN_S
    )
    print(f"killed: {dict(killed)}; delivered {flow.posted} times; reaped and recovered by the engine")
    assert_nothing_lost_or_repeated(platform, external_ids)


def assert_nothing_lost_or_repeated(platform: Platform, external_ids: list[str]) -> None:
    decisions = platform.rows(
        'select t.external_id, d.band, d."group" from decisions d join tickets t on t.id = d.ticket_id'
    )
    assert sorted(row["external_id"] for row in decisions) == sorted(external_ids)
    assert platform.value("select count(*) from outbox where state <> 'sent'") == 0
    bands = Counter(row["band"] for row in decisions)
    assert bands["AUTO_ROUTE"] > len(external_ids) / 4, bands  # else the test would watch few write-backs
    for row in decisions:
        comments = platform.zendesk.get(f"/api/v2/tickets/{row['external_id']}/comments.json").json()["comments"]
        notes = [comment for comment in comments if "Pointsman" in comment["body"]]
        assert len(notes) == (0 if row["band"] == "HUMAN_REVIEW" else 1), (row, notes)
    platform.wait_until(lambda: not platform.value("select count(*) from audit_pending"), "the linker", DRAIN_S)
    done = platform.cli("audit", "verify", "--format", "json")
    assert json.loads(done.stdout)["intact"], done.stdout
    assert platform.value("select count(*) from audit where action = 'ticket.decided'") == len(external_ids)


def open_tickets(platform: Platform, count: int) -> list[str]:
    """Tickets that exist in Zendesk before it announces them."""
    ids = []
    for example in made_up_tickets(count, seed=7, rare=0):
        ticket = {"subject": example.text[:80], "comment": {"body": example.text}}
        answer = platform.zendesk.post("/api/v2/tickets.json", json={"ticket": ticket}).raise_for_status()
        ids.append(str(answer.json()["ticket"]["id"]))
    return ids


class Flow(threading.Thread):
    """Announces the tickets as Zendesk does: signed, repeated until taken, and one in five twice."""

    def __init__(self, platform: Platform, external_ids: list[str], *, pause_s: float) -> None:
        super().__init__(daemon=True)
        self._platform, self._ids, self._pause_s = platform, external_ids, pause_s
        self._secret = SecretStr(platform.home.secrets["zendesk"])
        self._over = threading.Event()
        self.posted = 0
        self.refused: list[tuple[int, str]] = []  # answers that would make a real system give up

    def is_over(self) -> bool:
        return self._over.is_set()

    def run(self) -> None:
        with httpx.Client(base_url=self._platform.home.gateway_url, timeout=10) as http:
            for number, external_id in enumerate(self._ids):
                for _ in range(2 if number % 5 == 0 else 1):
                    self._announce(http, external_id)
                time.sleep(self._pause_s)
        self._over.set()

    def _announce(self, http: httpx.Client, external_id: str) -> None:
        event = {
            "id": f"event-{external_id}",
            "type": "zen:event-type:ticket.created",
            "time": datetime.now(UTC).isoformat(),
            "detail": {"id": external_id, "subject": "", "status": "NEW"},
            "event": {},
        }
        body = json.dumps(event).encode()
        while True:
            headers = sign_zendesk(self._secret, body, now=datetime.now(UTC))
            self.posted += 1
            try:
                answer = http.post("/hooks/zendesk", content=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code in (200, 202):
                return
            if answer is not None and answer.status_code != 503:
                self.refused.append((answer.status_code, answer.text))
                return
            time.sleep(0.2)


def victims(chance: random.Random, kills: int, is_over: Callable[[], bool], platform: Platform):
    """Each kind once in random order, then any, at random times; goes on after the flow so that draining is hit too."""
    kinds = ["worker", "router", "gateway", "postgres"]
    order = chance.sample(kinds, len(kinds)) + chance.choices(kinds, weights=(4, 2, 2, 2), k=max(0, kills - len(kinds)))
    for kind in order[:kills]:
        until = time.monotonic() + chance.uniform(0.3, 2.0)
        while time.monotonic() < until:
            platform.supervisor.tend()
            time.sleep(0.05)
        yield kind


def strike(platform: Platform, name: str) -> str:
    """kill -9."""
    pid = platform.home.postgres.pid if name == "postgres" else _pid(platform, name)
    if pid is not None and psutil.pid_exists(pid):
        psutil.Process(pid).kill()
    return name


def _pid(platform: Platform, name: str) -> int | None:
    child = next(child for child in platform.supervisor.children if child.name == name)
    return child.process.pid if child.process and child.process.poll() is None else None
