"""
End to end: from the signed webhook to the recorded decision, through real processes with the embedded default models.

A burst says how many tickets a second go through, and which process spends how much processor time on each; a steady
stream below that rate says how long one ticket takes. Tickets wait in the built-in desk, as on a laptop.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import psycopg
from pydantic import SecretStr

from services.core.connectors.desk_agents import DeskEvent
from services.local.mock.tickets import live
from services.local.platform import CHILDREN
from tests.bench.containers import Containers, run_containers, wait_until
from tests.bench.load import closed_loop, http_post, paced
from tests.bench.report import Row, Target, usable_cores

ROOM = "end to end"
CONNECTIONS = 16
WARM_UP = 40  # tickets
STEADY_SHARE = 0.5  # of the burst's rate: busy, but no queue that only grows
DRAIN_S = 300.0
SEED = 2
OPEN = """
insert into desk_tickets (subject, body, requester_name, requester_email)
values (%s, %s, %s, %s) returning id, updated_at
"""
DECIDED = "select count(*) from decisions where ticket_id > %s"
TOOK = """
select extract(epoch from d.decided_at - t.created_at) * 1000 from decisions d join tickets t on t.id = d.ticket_id
where t.id > %s
"""


@dataclass(frozen=True)
class Burst:
    """`cpu_ms` is processor time per ticket by container."""

    per_s: float
    cpu_ms: Mapping[str, float]


@dataclass(frozen=True)
class Steady:
    per_s: float
    p50_ms: float
    p99_ms: float


def measure(bundle: Path, *, tickets: int, steady_s: float) -> list[Row]:
    """A burst of `tickets` with one worker, a steady stream for `steady_s`, and the burst again with two workers."""
    with run_containers(list(CHILDREN), bundle=bundle) as containers:
        burst(containers, WARM_UP)
        alone = burst(containers, tickets)
        steady = stream(containers, per_s=alone.per_s * STEADY_SHARE, seconds=steady_s)
        containers.start_worker()
        burst(containers, WARM_UP)
        return _rows(alone, steady, burst(containers, tickets))


def burst(containers: Containers, count: int) -> Burst:
    """All tickets as fast as the gateway takes them; the clock stops when the last one is decided."""
    messages, last_id = open_in_desk(containers, count), last_ticket(containers)
    before, begun = containers.cpu_s(), time.perf_counter()
    closed_loop(containers.home.settings.gateway_port, messages, connections=CONNECTIONS)
    wait_decided(containers, count, last_id)
    wall_s = time.perf_counter() - begun
    spent = {name: (seconds - before[name]) / count * 1000 for name, seconds in containers.cpu_s().items()}
    return Burst(count / wall_s, spent)


def stream(containers: Containers, *, per_s: float, seconds: float) -> Steady:
    """Tickets at a steady rate: how long one takes from the webhook to its decision."""
    count = max(1, round(per_s * seconds))
    messages, last_id = open_in_desk(containers, count), last_ticket(containers)
    paced(containers.home.settings.gateway_port, messages, per_s=per_s)
    wait_decided(containers, count, last_id)
    with psycopg.connect(containers.home.postgres.url) as conn:
        took_ms = [float(row[0]) for row in conn.execute(TOOK, (last_id,))]
    p50, p99 = np.percentile(took_ms, [50, 99])
    return Steady(per_s, float(p50), float(p99))


def open_in_desk(containers: Containers, count: int) -> list[bytes]:
    """New tickets in the desk, and the signed calls that announce them."""
    home, now = containers.home, datetime.now(UTC)
    secret, found = SecretStr(home.secrets["desk"]), []
    with psycopg.connect(home.postgres.url) as conn:
        for mock in islice(live(SEED), count):
            values = (mock.subject, mock.body, mock.requester_name, mock.requester_email)
            row = conn.execute(OPEN, values).fetchone()
            assert row is not None  # an insert without a conflict clause returns its row
            event = DeskEvent("ticket.created", str(row[0]), "requester", row[1], delivery_id=f"bench-{row[0]}")
            found.append(http_post("/hooks/desk", event.signed(secret, now=now), event.body()))
    return found


def last_ticket(containers: Containers) -> int:
    return int(containers.value("select coalesce(max(id), 0) from tickets"))


def wait_decided(containers: Containers, count: int, last_id: int) -> None:
    with psycopg.connect(containers.home.postgres.url, autocommit=True) as conn:

        def all_are_decided() -> bool:
            containers.supervisor.tend()
            row = conn.execute(DECIDED, (last_id,)).fetchone()
            return row is not None and row[0] >= count

        wait_until(all_are_decided, f"{count} decisions", timeout_s=DRAIN_S)


def _rows(alone: Burst, steady: Steady, together: Burst) -> list[Row]:
    cores, cpu_ms = usable_cores(), sum(alone.cpu_ms.values())
    bound = cores * 1000 / cpu_ms
    return [
        Row(ROOM, "tickets triaged, one worker", alone.per_s, "tickets/s", Target(at_least=100)),
        Row(ROOM, "tickets triaged, two workers", together.per_s, "tickets/s"),
        Row(ROOM, "two workers / one worker", together.per_s / alone.per_s, ""),
        *(Row(ROOM, f"processor time: {name}", spent, "ms/ticket") for name, spent in alone.cpu_ms.items()),
        Row(ROOM, "processor time: all", cpu_ms, "ms/ticket"),
        Row(ROOM, f"what {cores} cores could do at that cost, were they ours alone", bound, "tickets/s"),
        Row(ROOM, "reached of that", alone.per_s / bound, ""),
        Row(ROOM, "steady stream", steady.per_s, "tickets/s"),
        Row(ROOM, "webhook to decision in it, p50", steady.p50_ms, "ms"),
        Row(ROOM, "webhook to decision in it, p99", steady.p99_ms, "ms"),
    ]
