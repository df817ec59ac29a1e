"""
What the audit log costs a decision, at a steady rate from several workers: without it; with entries that a linker moves
into the chain beside, as it is; and linked in the decision's own transaction under the chain's one lock, as it was.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from services.core.kit import audit
from services.core.kit.database import build_pool, migrate
from services.core.kit.locks import Lock
from services.local.postgres import EmbeddedPostgres
from services.worker.linking import link_chain
from tests.bench.report import Row
from tests.conftest import free_port

ROOM = "audit"
WORKERS = 8
PER_S = 100
DETAIL = {"band": "AUTO_ROUTE", "group": "Network", "confidence": 0.97, "model_version": "v", "input_sha256": "0" * 64}
CHAIN_LOCK = "select pg_advisory_xact_lock(%s)"
SIDES = ("without the log", "linked beside", "linked in the transaction")
WORK = "insert into bench_work (body) values (%s)"  # stands for decision, review and letter: one commit, one fsync


def measure(*, seconds: float, rounds: int) -> list[Row]:
    """All sides in turn, in the same run; a transaction counts from when it was due."""
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder, "postgres"), free_port())
        server.start()
        try:
            migrate(server.url)
            with psycopg.connect(server.url, autocommit=True) as conn:
                conn.execute("create table bench_work (id bigserial primary key, body text)")
            found = asyncio.run(_alternate(server.url, seconds, rounds))
        finally:
            server.stop()
    return [row for name, took in found.items() for row in _rows(name, took)]


async def _alternate(url: str, seconds: float, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in SIDES}
    stop = asyncio.Event()
    async with build_pool(url, min_size=1, max_size=1) as pool:
        linker = asyncio.create_task(link_chain(pool, stop=stop))
        for _ in range(rounds):
            for name, took in found.items():
                took += await _steady(url, seconds, name)
        stop.set()
        await linker
    return found


async def _steady(url: str, seconds: float, side: str) -> list[float]:
    begin, numbers = time.perf_counter(), itertools.count()

    async def work() -> list[float]:
        took = []
        async with await psycopg.AsyncConnection.connect(url) as conn:
            while (due := begin + next(numbers) / PER_S) < begin + seconds:
                await asyncio.sleep(max(0, due - time.perf_counter()))
                async with conn.transaction():
                    await conn.execute(WORK, ("x" * 500,))
                    await _append(conn, side)
                took.append(time.perf_counter() - due)
        return took

    return [value for took in await asyncio.gather(*(work() for _ in range(WORKERS))) for value in took]


async def _append(conn: psycopg.AsyncConnection, side: str) -> None:
    if side == "without the log":
        return
    if side == "linked in the transaction":
        await conn.execute(CHAIN_LOCK, (Lock.AUDIT.value,))
    await audit.append(conn, audit.Entry("worker", "ticket.decided", "ticket/1", DETAIL))
    if side == "linked in the transaction":
        await audit.link(conn)


def _rows(name: str, took: list[float]) -> list[Row]:
    cuts = statistics.quantiles(took, n=100)
    what = f"{PER_S} decisions/s, {WORKERS} workers, {name}"
    return [Row(ROOM, f"{what}, p50", cuts[49] * 1000, "ms"), Row(ROOM, f"{what}, p99", cuts[98] * 1000, "ms")]
