"""What pages, API, erasures and upkeep take in a database of a million tickets, seeded by SQL for the purpose."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

from services.core.kit.database import build_pool
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker.settings import WorkerSettings
from services.worker.solve import erase
from services.worker.steps import Outside
from services.worker.upkeep import Sweep, one_round
from tests.bench.containers import Containers, run_containers
from tests.bench.ingest import make_messages
from tests.bench.load import closed_loop
from tests.bench.report import Row, Target

ROOM = "scale"
SEED = Path(__file__).with_name("scale.sql").read_text("utf-8")
REPEATS = 20  # of each call, over different tickets
WARM_UP = 6  # statements get prepared, pages of the database are read
TABS = 14
WEBHOOKS = 200


@dataclass(frozen=True)
class Took:
    """Seconds of each call. The median is the database's; the slow ones are also those of whoever shares the cores."""

    each_s: list[float]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.each_s) * 1000

    @property
    def second_slowest_ms(self) -> float:
        return sorted(self.each_s)[-2] * 1000


def measure(*, tickets: int) -> list[Row]:
    """`tickets`, and five times as many audit entries; nothing but the gateway runs."""
    with run_containers(["gateway"]) as containers:
        begun = time.perf_counter()
        seed(containers.home.postgres.url, tickets)
        seeded_s = time.perf_counter() - begun
        rows = [*_pages(containers, tickets), *_beside_tabs(containers), *asyncio.run(_work(containers, tickets))]
        size = containers.value("select pg_database_size(current_database())") / 2**30
    return [*rows, Row(ROOM, f"seeding {tickets:,} tickets", seeded_s, "s"), Row(ROOM, "database", size, "GiB")]


def seed(database_url: str, tickets: int) -> None:
    """Rows as the platform writes them, but for the audit entries' hashes."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")  # no foreign keys, no triggers: the rows are right
        conn.execute("set synchronous_commit = off")
        for statement in SEED.split(";\n"):
            if statement.strip():
                conn.execute(statement.replace(":n", str(tickets)).encode())


def _pages(containers: Containers, tickets: int) -> list[Row]:
    key = (containers.home.folder / "api_key").read_text("utf-8").strip()
    step = max(1, tickets // (REPEATS + 2))
    with httpx.Client(
        base_url=containers.home.gateway_url, headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as http:

        def took(path: str) -> Took:
            def ask(number: int) -> None:
                http.get(path.format(id=1 + step * (number + 1))).raise_for_status()

            return _measure(ask)

        ticket = took("/api/tickets/{id}")
        pages = {name: took(path) for name, path in PAGES.items()}
        others = {path: took(path) for path in API}
    return [
        *_told("one ticket by API", ticket, at_most=20),
        *(Row(ROOM, f"console: {name}", found.median_ms, "ms", Target(at_most=200)) for name, found in pages.items()),
        Row(ROOM, "console: second slowest call, slowest page", max(p.second_slowest_ms for p in pages.values()), "ms"),
        *(Row(ROOM, f"API: {path}", found.median_ms, "ms") for path, found in others.items()),
    ]


PAGES: Mapping[str, str] = {
    "newest tickets": "/",
    "older tickets": "/?before={id}",
    "a common band": "/?band=AUTO_ROUTE",
    "a rare band": "/?band=ESCALATE",
    "a rare group": "/?group=Rare",
    "band and rare group": "/?band=AUTO_ROUTE&group=Rare",
    "a group nobody has": "/?group=None",
    "erased, by band": "/?state=erased&band=ESCALATE",
    "filtered": "/?state=filtered",
    "search, one letter": "/?search=s",
    "search, an id": "/?search=S-{id}",
    "search, nothing": "/?search=zzz",
    "one ticket": "/tickets/{id}",
    "reviews": "/reviews",
    "counts": "/counts",
}
API = ("/api/tickets", "/api/status", "/api/reviews", "/api/dead-letters", "/health")


def _beside_tabs(containers: Containers) -> list[Row]:
    """Webhooks while so many tabs ask for the counts without a pause; one that is not taken in ends the measurement."""
    key = (containers.home.folder / "api_key").read_text("utf-8").strip()
    done = threading.Event()

    def tab() -> int:
        with httpx.Client(base_url=containers.home.gateway_url, timeout=60) as http:
            asked = 0
            while not done.is_set():
                http.get("/counts", headers={"Authorization": f"Bearer {key}"}).raise_for_status()
                asked += 1
            return asked

    messages = make_messages(containers.home.secrets["generic"], WEBHOOKS)
    with ThreadPoolExecutor(TABS) as pool:
        tabs = [pool.submit(tab) for _ in range(TABS)]
        try:
            sample = closed_loop(containers.home.settings.gateway_port, messages, connections=4)
        finally:
            done.set()
        asked = sum(found.result() for found in tabs)
    return [
        Row(ROOM, f"webhooks taken in beside {TABS} tabs", sample.per_s, "req/s"),
        Row(ROOM, f"the slowest of {WEBHOOKS} such webhooks", max(sample.took_s) * 1000, "ms"),
        Row(ROOM, "counts told to the tabs meanwhile", asked / sample.wall_s, "req/s"),
    ]


async def _work(containers: Containers, tickets: int) -> list[Row]:
    url = containers.home.postgres.url
    settings = WorkerSettings(database_url=SecretStr(url))
    async with build_pool(url, min_size=1, max_size=2) as pool, httpx.AsyncClient() as http:
        router = RouterClient("http://127.0.0.1:9", http)  # nothing is due, so nothing is asked
        redaction = Redaction(build_redactor())
        metered = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        outside = Outside(settings, pool, {}, redaction, router, metered)
        sweep = Sweep()
        erasing = await _measure_async(lambda n: erase(outside, 1 + n * (tickets // 30)))
        keeping = await _measure_async(lambda n: one_round(outside, sweep))
    return [*_told("an erasure", erasing, at_most=100), *_told("a round of upkeep", keeping, at_most=20)]


def _told(what: str, took: Took, *, at_most: float) -> list[Row]:
    return [
        Row(ROOM, what, took.median_ms, "ms", Target(at_most=at_most)),
        Row(ROOM, f"{what}, second slowest", took.second_slowest_ms, "ms"),
    ]


def _measure(call: Callable[[int], object]) -> Took:
    took_s = []
    for number in range(-WARM_UP, REPEATS):
        begun = time.perf_counter()
        call(max(0, number))
        took_s.append(time.perf_counter() - begun)
    return Took(took_s[WARM_UP:])


async def _measure_async(call: Callable[[int], Awaitable[object]]) -> Took:
    took_s = []
    for number in range(-WARM_UP, REPEATS):
        begun = time.perf_counter()
        await call(number + WARM_UP)
        took_s.append(time.perf_counter() - begun)
    return Took(took_s[WARM_UP:])
