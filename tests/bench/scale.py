"""What pages, API, erasures and upkeep take in a database of a million tickets, seeded by SQL for the purpose."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

from services.core.kit.database import build_pool
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker.redaction import Redaction
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
REPEATS = 20  # of each call, over different tickets; what is told is the second slowest
WARM_UP = 6  # statements get prepared, pages of the database are read
TABS = 14
WEBHOOKS = 200


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

        def took_ms(path: str) -> float:
            def ask(number: int) -> None:
                http.get(path.format(id=1 + step * (number + 1))).raise_for_status()

            return _second_slowest_ms(ask)

        return [
            Row(ROOM, "one ticket by API", took_ms("/api/tickets/{id}"), "ms", Target(at_most=20)),
            *(Row(ROOM, f"console: {name}", took_ms(path), "ms", Target(at_most=200)) for name, path in PAGES.items()),
            *(Row(ROOM, f"API: {path}", took_ms(path), "ms") for path in API),
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
        erasing = await _second_slowest_async(lambda n: erase(outside, 1 + n * (tickets // 30)))
        keeping = await _second_slowest_async(lambda n: one_round(outside, sweep))
    return [
        Row(ROOM, "an erasure", erasing, "ms", Target(at_most=100)),
        Row(ROOM, "a round of upkeep", keeping, "ms", Target(at_most=20)),
    ]


def _second_slowest_ms(call: Callable[[int], object]) -> float:
    took = []
    for number in range(-WARM_UP, REPEATS):
        begun = time.perf_counter()
        call(max(0, number))
        took.append(time.perf_counter() - begun)
    return sorted(took[WARM_UP:])[-2] * 1000


async def _second_slowest_async(call: Callable[[int], Awaitable[object]]) -> float:
    took = []
    for number in range(-WARM_UP, REPEATS):
        begun = time.perf_counter()
        await call(number + WARM_UP)
        took.append(time.perf_counter() - begun)
    return sorted(took[WARM_UP:])[-2] * 1000
