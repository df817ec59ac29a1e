"""The learning loop while tickets flow: corrected, trained, canaried, promoted, rolled back; nobody sees an error."""

import itertools
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.trainer.prepare import Example
from tests.platform import Platform, run_platform
from tests.services.trainer.bundles import WORDS, made_up_ticket, small_encoder

DESKS = 3
NEW = 1 / 6  # share of tickets of a kind that the champion takes for something else; three in ten would stop a canary
UNKNOWN = ("Legal", ("patent", "trademark", "licence", "subpoena", "copyright", "settlement", "court", "settle"))
TO_LEARN = 90  # corrected before the training
ENOUGH = 50  # for a canary that is right where the champion is not; fewer and there is another round
AFTER = 10  # tickets decided by what serves then
ROUNDS = 20
# A busy machine is no finding; of the few that are held out chance alone may be a tenth.
GATES = "[latency]\nenabled = false\n[champion]\nrows_min = 10\nmargin_max = 1\n"
CONSOLE = {"HX-Request": "true", "Sec-Fetch-Site": "same-origin"}
DECIDED = """
select t.id, d.model_version from decisions d join tickets t on t.id = d.ticket_id
where t.id = any(%s) order by t.id
"""


class Flow:
    """
    Desks that send a ticket each, wait for its decision, say which group was right and send the next, until `stop`.

    As many as the machine takes, so: a busy one has fewer tickets, not a longer queue.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http, self._enough, self._pool = http, threading.Event(), ThreadPoolExecutor(DESKS)
        self.sent, self.refused = list[int](), list[str]()
        self._desks = [self._pool.submit(self._send_on, seed) for seed in range(DESKS)]

    def stop(self) -> None:
        self._enough.set()
        for desk in self._desks:
            desk.result()
        self._pool.shutdown()

    def change(self, act: str, version: str) -> None:
        """By the console, as an administrator."""
        done = self._http.post(f"/models/{act}", data={"version": version}, headers=CONSOLE)
        assert done.is_success, done.text

    def _send_on(self, seed: int) -> None:
        chance, known = random.Random(seed), tuple(WORDS.items())
        for number in itertools.count(seed, DESKS):
            if self._enough.is_set():
                return
            self._send(made_up_ticket(chance, *(UNKNOWN if chance.random() < NEW else chance.choice(known)), number))

    def _send(self, row: Example) -> None:
        answer = self._http.post("/webhook/ticket", json={"title": row.text}, headers={"Prefer": "wait=30"})
        if not answer.is_success:
            self.refused.append(answer.text)
            return
        self.sent.append(number := int(answer.json()["ticket_id"]))
        said = self._http.post("/feedback", json={"ticket_id": number, "group": row.group})
        if not said.is_success:
            self.refused.append(said.text)


@pytest.fixture(scope="module")
def platform(open_folder: Path) -> Iterator[Platform]:
    """One of its own: a model learns from every label there is, so also from what other tests said of their tickets."""
    with run_platform(open_folder / "learning") as running:
        yield running


@pytest.fixture
def flow(platform: Platform) -> Iterator[Flow]:
    key = (platform.home.folder / "api_key").read_text("utf-8").strip()
    with httpx.Client(base_url=platform.home.gateway_url, headers={"X-API-Key": key}, timeout=60) as http:
        flow = Flow(http)
        yield flow
        flow.stop()


def test_a_better_model_is_canaried_promoted_and_rolled_back_while_tickets_flow(
    platform: Platform, flow: Flow, tmp_path: Path
) -> None:
    """Each ticket is decided once, by a version that served then, and says which; no call fails, no log complains."""
    first, logs = champion(platform), {log: log.stat().st_size for log in platform.home.logs.glob("*.log")}
    platform.wait_until(lambda: len(flow.sent) >= TO_LEARN, "tickets to learn from")
    second = train_canary(platform, tmp_path)
    came = len(flow.sent)
    platform.wait_until(lambda: len(flow.sent) >= came + ENOUGH, "tickets to be judged by")
    for _ in range(ROUNDS):
        before = list(flow.sent)
        await_decisions(platform, before)
        (told,) = said(platform, "models", "canary")
        if told["state"] != "running":
            break
    assert (told["state"], told["version"]) == ("promoted", second), told
    by_second = decided_now(platform, flow, second)
    flow.change("rollback", second)
    by_first = decided_now(platform, flow, first)
    flow.change("promote", second)
    by_second += decided_now(platform, flow, second)
    flow.stop()
    await_decisions(platform, flow.sent)

    assert not flow.refused
    rows = platform.rows(DECIDED, flow.sent)
    by = {row["id"]: row["model_version"] for row in rows}
    assert len(rows) == len(by) == len(flow.sent)
    assert set(by.values()) == {first, second}
    assert {by[number] for number in (*before, *by_first)} == {first}
    assert {by[number] for number in by_second} == {second}
    assert champion(platform) == second
    for log, size in logs.items():
        assert not complaints(log.read_bytes()[size:])


def train_canary(platform: Platform, folder: Path) -> str:
    """What `pointsman train --canary` makes of what people said; the version that shadows."""
    (folder / "gates.toml").write_text(GATES)
    done = platform.cli(
        "train", "--canary", "--encoder", "frozen", "--progress", "json",
        POINTSMAN_TRAINER_BASE_MODEL=str(small_encoder()),
        POINTSMAN_TRAINER_WORK_DIR=str(folder / "work"),
        POINTSMAN_TRAINER_GATES=str(folder / "gates.toml"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["canary"], report
    return report["version"]


def said(platform: Platform, *arguments: str) -> Any:
    done = platform.cli(*arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def champion(platform: Platform) -> str:
    return platform.value("select version from models where status = 'champion'")


def await_decisions(platform: Platform, numbers: list[int]) -> None:
    platform.wait_until(lambda: len(platform.rows(DECIDED, numbers)) >= len(numbers), "decisions")


def decided_now(platform: Platform, flow: Flow, version: str) -> list[int]:
    """Tickets that came after one was decided by `version`, and are decided by now."""
    serves = "select max(ticket_id) from decisions where model_version = %s and ticket_id > %s"
    start = platform.value("select max(id) from tickets")
    platform.wait_until(lambda: platform.value(serves, version, start) is not None, f"a decision by {version}")
    mark = platform.value("select max(id) from tickets")

    def later() -> list[int]:
        return [row["id"] for row in platform.rows(DECIDED, flow.sent) if row["id"] > mark]

    platform.wait_until(lambda: len(later()) >= AFTER, "more tickets")
    return later()


def complaints(log: bytes) -> list[bytes]:
    return [line for line in log.splitlines() if b'"level": "error"' in line or b"Traceback" in line]
