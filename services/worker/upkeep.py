"""
What nobody waits for: vectors for closed tickets, made again after each promotion, and old answers removed.

Only one worker does it at a time, in small batches, so that tickets in flight come first.
"""

import asyncio
from contextlib import suppress

import structlog

from services.core.kit.database import Connection, connection
from services.core.kit.locks import Lock
from services.core.llm import ledger
from services.core.models.texts import join_text
from services.core.search import similar
from services.worker.steps import Outside

log = structlog.get_logger()

PAUSE_S = 20.0
BETWEEN_BATCHES_S = 0.5
BATCH = 16

# Closed tickets of the last imports first: history rows and our own solved tickets whose vector is missing or was made
# by another model. Only the newest 20,000 are kept searchable: agents want how it was solved lately.
UNINDEXED = """
with champion as (select version from models where status = 'champion'),
closed as (
    (select 'history/' || id as ref, 'history' as kind, external_id, "group" as group_name, subject, body, solved_at
     from history order by id desc limit 20000)
    union all
    (select 'ticket/' || id, 'ticket', external_id, current_group, subject, body, updated_at
     from tickets where status in ('solved', 'closed') and subject is not null
     order by id desc limit 20000)
)
select c.*, (select version from champion) as version, coalesce(v.resolution, '') as resolution
from closed c left join ticket_vectors v on v.ref = c.ref
where exists (select from champion) and v.model_version is distinct from (select version from champion)
limit %(limit)s
"""


async def upkeep(outside: Outside, *, stop: asyncio.Event) -> None:
    """Works through what is due, then looks again every PAUSE_S, until `stop`."""
    while not stop.is_set():
        done = 0
        try:
            done = await _one_batch(outside)
        except Exception as exc:  # nobody waits for upkeep: whatever fails is tried again
            log.warning("worker.upkeep.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BETWEEN_BATCHES_S if done else PAUSE_S)


# Checkpoints of workflows that ended well: their decisions, notes and audit entries stay, the engine's copies go.
FORGET_WORKFLOWS = """
delete from dbos.workflow_status where workflow_uuid in (
    select workflow_uuid from dbos.workflow_status
    where status = 'SUCCESS' and updated_at < (extract(epoch from now() - interval '30 days') * 1000)::bigint
    limit 1000)
"""


async def _one_batch(outside: Outside) -> int:
    async with connection(outside.pool) as conn:
        if not await _may_i(conn):
            return 0
        try:
            await ledger.prune(conn)
            await conn.execute(FORGET_WORKFLOWS)
            return await _index_batch(outside, conn)
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.UPKEEP.value,))


async def _index_batch(outside: Outside, conn: Connection) -> int:
    """Embeds a batch through the router; rows embedded by a newer model than asked for carry that one's version."""
    rows = await (await conn.execute(UNINDEXED, {"limit": BATCH})).fetchall()
    if not rows:
        return 0
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
    return sum(bool(v.embedding) and v.model_version == rows[0]["version"] for v in vectors)


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.UPKEEP.value,))).fetchone()
    return bool(row and row["mine"])
