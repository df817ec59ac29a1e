"""What a running `pointsman up` spends on a new ticket: CPU by process, bytes of logs, bytes of the database."""

import asyncio
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg

from services.core.kit.errors import Unavailable
from services.local.demo import send
from services.local.home import Home, LocalSettings
from services.local.mock.tickets import live

IDLE_S = 20.0
TIMEOUT_S = 300.0
SEED = 99
DECIDED = "select count(distinct ticket_id) from decisions"
SIZE = "select pg_database_size(current_database())"


def measure_platform(pid: int, tickets: int) -> dict[str, float]:
    """
    Per new ticket, idle use taken off; the platform is configured by the same POINTSMAN_* variables that started it.

    Args:
        pid: the process of `pointsman up`.
    Raises:
        Unavailable: the tickets were not decided in time.
    """
    home = Home(LocalSettings())
    processes = [*psutil.Process(pid).children(recursive=True), *_postgres(home)]
    idle = _idle(processes)
    cpu, logs, size, started = _cpu(processes), _logs(home), _ask(home, SIZE), time.monotonic()
    asyncio.run(send(home, list(islice(live(SEED), tickets))))
    _await_decisions(home, tickets, started)
    wall_s = time.monotonic() - started
    spent = {name: (s - cpu[name] - idle[name] * wall_s) / tickets * 1000 for name, s in _cpu(processes).items()}
    return {
        **{f"cpu_ms_per_ticket in {name}": round(ms, 1) for name, ms in spent.items()},
        "cpu_ms_per_ticket": round(sum(spent.values()), 1),
        "log_bytes_per_ticket": round((_logs(home) - logs) / tickets),
        "database_bytes_per_ticket": round((_ask(home, SIZE) - size) / tickets),
        "tickets_per_s": round(tickets / wall_s, 1),
    }


def _postgres(home: Home) -> list[psutil.Process]:
    pid = int((Path(home.folder) / "postgres/data/postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def _cpu(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """CPU seconds by name; what a server spent on children that have gone counts as its own."""
    found: dict[str, float] = {}
    for process in processes:
        try:
            spent, line = process.cpu_times(), process.cmdline()
        except psutil.NoSuchProcess:
            continue
        name = line[-1].rpartition(".")[2] if line[-1:] and line[-1].startswith("services.") else "postgres"
        found[name] = found.get(name, 0.0) + spent.user + spent.system + spent.children_user + spent.children_system
    return found


def _idle(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """CPU seconds per second while nothing is asked."""
    before = _cpu(processes)
    time.sleep(IDLE_S)
    return {name: (s - before.get(name, s)) / IDLE_S for name, s in _cpu(processes).items()}


def _logs(home: Home) -> int:
    return sum(file.stat().st_size for file in Path(home.logs).iterdir())


def _ask(home: Home, sql: LiteralString) -> int:
    with psycopg.connect(home.postgres.url) as conn:
        row = conn.execute(sql).fetchone()
    return row[0] if row else 0


def _await_decisions(home: Home, tickets: int, started: float) -> None:
    wanted = _ask(home, "select count(*) from tickets")
    while _ask(home, DECIDED) < wanted:
        if time.monotonic() - started > TIMEOUT_S:
            raise Unavailable(f"{tickets} tickets were not decided in {TIMEOUT_S:.0f} s. Logs: {home.logs}")
        time.sleep(0.2)
