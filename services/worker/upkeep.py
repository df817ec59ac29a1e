"""
What nobody waits for: vectors for closed tickets, made again after each promotion, and old answers removed.

Only one worker does it at a time, in small batches, so that tickets in flight come first.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import structlog
from psycopg.rows import DictRow

from services.core.kit import tallies
from services.core.kit.database import Connection, connection
from services.core.kit.locks import Lock
from services.core.llm import ledger
from services.core.models.texts import join_text
from services.core.search import similar
from services.worker.steps import Outside

log = structlog.get_logger()

PAUSE_S = 20.0
BETWEEN_ROUNDS_S = 0.5
BATCH = 16

KEPT = 20_000  # of each kind, the newest: agents want how it was solved lately
SLICE = 250  # rows looked through in a round: some milliseconds, however many there are
NEWEST = 2**63 - 1


# Checkpoints of workflows that ended well: their decisions, notes and audit entries stay, the engine's copies go.
FORGET_WORKFLOWS = """
delete from dbos.workflow_status where workflow_uuid in (
    select workflow_uuid from dbos.workflow_status
    where status = 'SUCCESS' and completed_at < (extract(epoch from now() - interval '30 days') * 1000)::bigint
    order by completed_at limit 200)
"""
# Of the slice's closed tickets those whose vector is missing, or was made by another model than the champion.
WITHOUT_VECTOR: LiteralString = """
select c.*, m.version, coalesce(v.resolution, '') as resolution from closed c
join models m on m.status = 'champion' left join ticket_vectors v on v.ref = c.ref
where v.model_version is distinct from m.version order by c.id desc limit %(batch)s
"""


@dataclass(frozen=True)
class Source:
    """Closed tickets of one kind. `span`: a slice's lowest id, and how many of it are closed."""

    span: LiteralString
    closed: LiteralString


SOURCES = (
    Source(
        """
select min(id) as lowest, count(*) as closed
from (select id from history where id < %(before)s order by id desc limit %(rows)s) slice
""",
        """
with closed as (
    select id, 'history/' || id as ref, 'history' as kind, external_id, "group" as group_name, subject, body, solved_at
    from history where id >= %(lowest)s and id < %(before)s)
""",
    ),
    Source(
        """
select min(id) as lowest, count(*) filter (where status in ('solved', 'closed') and subject is not null) as closed
from (select id, status, subject from tickets where id < %(before)s order by id desc limit %(rows)s) slice
""",
        """
with closed as (
    select id, 'ticket/' || id as ref, 'ticket' as kind, external_id, current_group as group_name, subject, body,
           updated_at as solved_at
    from tickets where id >= %(lowest)s and id < %(before)s and status in ('solved', 'closed') and subject is not null)
""",
    ),
)


@dataclass
class Sweep:
    """How far upkeep has come: imported history first, then our own tickets, the newest first; then anew."""

    source: int = 0
    before: int = NEWEST
    seen: int = 0

    async def due(self, conn: Connection) -> list[DictRow] | None:
        """What the present slice lacks; none, and it goes on to the next one; None at the end."""
        if self.source == len(SOURCES):
            self.source = 0
            return None
        source, here = SOURCES[self.source], {"before": self.before, "rows": SLICE, "batch": BATCH}
        span = await (await conn.execute(source.span, here)).fetchone()
        if span is None or span["lowest"] is None or self.seen >= KEPT:
            self.source, self.before, self.seen = self.source + 1, NEWEST, 0
            return []
        rows = await (await conn.execute(source.closed + WITHOUT_VECTOR, here | {"lowest": span["lowest"]})).fetchall()
        if not rows:
            self.before, self.seen = span["lowest"], self.seen + span["closed"]
        return rows


async def upkeep(outside: Outside, *, stop: asyncio.Event) -> None:
    """Works through what is due, then looks again every PAUSE_S, until `stop`."""
    sweep = Sweep()
    while not stop.is_set():
        goes_on = False
        try:
            goes_on = await one_round(outside, sweep)
        except Exception as exc:  # nobody waits for upkeep: whatever fails is tried again
            log.warning("worker.upkeep.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BETWEEN_ROUNDS_S if goes_on else PAUSE_S)


async def one_round(outside: Outside, sweep: Sweep) -> bool:
    """Whether there is more to do soon."""
    async with connection(outside.pool) as conn:
        if not await _may_i(conn):
            return False
        try:
            async with conn.pipeline():  # one exchange with the server
                await ledger.prune(conn)
                await tallies.fold(conn)
                await conn.execute(FORGET_WORKFLOWS)
            rows = await sweep.due(conn)
            return await _embed(outside, conn, rows) if rows else rows is not None
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.UPKEEP.value,))


async def _embed(outside: Outside, conn: Connection, rows: Sequence[DictRow]) -> bool:
    """Embeds a batch through the router; rows embedded by a newer model than asked for carry that one's version."""
    texts = [join_text(row["subject"], row["body"]) or "(empty)" for row in rows]
    found = await outside.router.predict_many(texts, want_embeddings=True)
    vectors = [
        similar.TicketVector(
            ref=row["ref"],
            kind=row["kind"],
            external_id=row["external_id"],
            title=row["subject"],
            model_version=prediction.model_version,
            embedding=embedding or [],
            group_name=row["group_name"],
            resolution=row["resolution"],
            solved_at=row["solved_at"],
        )
        for row, (prediction, embedding) in zip(rows, found, strict=True)
    ]
    await similar.index(conn, vectors)
    # The router may lag behind a promotion: then nothing became current, and trying again at once would only spin.
    return any(v.embedding and v.model_version == rows[0]["version"] for v in vectors)


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.UPKEEP.value,))).fetchone()
    return bool(row and row["mine"])
