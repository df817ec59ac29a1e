"""
What is older than the rules keep goes: daily, in small slices behind the tickets, with an entry in the audit log.

Nothing goes unless somebody set a rule. What a ticket's erasure removes, its age removes; ids, decisions' numbers and
the audit log stay. One worker does it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import structlog
from psycopg.rows import DictRow

from services.core.contracts.retention import KEPT, Kept, RetentionRules
from services.core.kit import audit
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.locks import Lock
from services.core.kit.retention import DUE
from services.worker import repository
from services.worker.metrics import RETENTION_ENFORCED, RETENTION_REMOVED

log = structlog.get_logger()

DAILY_S = 86_400.0
AGAIN_S = 600.0  # after a failure, or where another worker is at it
SLICE = 5_000  # ids looked through at once: some milliseconds, however many there are
BATCH = 50
BETWEEN_S = 0.02

RULES = "select rules from watch_rules where kind = 'retention' order by id desc limit 1"
HIGHEST: dict[Kept, LiteralString] = {
    **dict.fromkeys(("originals", "tickets", "unclosed"), "select coalesce(max(id), 0) as last from tickets"),
    "history": "select coalesce(max(id), 0) as last from history",
    "conversations": "select 1 as last",  # they have no order of their own: all in one slice
}
# What somebody else writes now is no candidate. Held, a row is looked at again: it may have come back to life.
HOLD_TICKETS: LiteralString = "select id from tickets where id = any(%(ids)s) for update skip locked"
HOLD: dict[Kept, LiteralString] = {
    "originals": """
select t.id from tickets t join raw.texts x on x.ticket_id = t.id where t.id = any(%(ids)s)
for update of t, x skip locked
""",
    "tickets": HOLD_TICKETS,
    "unclosed": HOLD_TICKETS,
    "history": "select id from history where id = any(%(ids)s)",  # nobody brings it back to life
    "conversations": "select id from sessions where id = any(%(ids)s) for update skip locked",
}
# Whoever reads it later finds the redacted words, and no vault to look names up in.
REDUCE = """
update raw.texts x set vault = '{}', ticket = jsonb_build_object('connector', t.connector, 'external_id', t.external_id,
    'subject', t.subject, 'body', coalesce(t.body, ''))
from tickets t where t.id = x.ticket_id and x.ticket_id = any(%(ids)s)
"""
FORGET_HISTORY = """
with gone as (delete from history where id = any(%(ids)s) returning id)
delete from ticket_vectors v using gone where v.ref = 'history/' || gone.id
"""
# The conversation's id stays: by it an erasure finds the case that was learnt from it.
FORGET_TALKS = """
with said as (delete from messages where session_id = any(%(ids)s)),
     summed_up as (delete from session_events where session_id = any(%(ids)s) and kind = 'summarised')
update sessions set requester = null where id = any(%(ids)s)
"""


async def watch_retention(pool: Pool, *, stop: asyncio.Event) -> None:
    """Once a day all that is due, until `stop`."""
    while not stop.is_set():
        pause = AGAIN_S
        try:
            if await enforce(pool, now=datetime.now(UTC)) is not None:
                RETENTION_ENFORCED.set_to_current_time()
                pause = DAILY_S
        except Exception as exc:  # the database, or rules of a newer version: the next look
            log.warning("worker.retention.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


async def enforce(pool: Pool, *, now: datetime) -> dict[Kept, int] | None:
    """How many of each kind have gone; None when another worker is at it."""
    async with connection(pool) as conn:
        if not await _may_i(conn):
            return None
        try:
            row = await (await conn.execute(RULES)).fetchone()
            rules = RetentionRules.stored(row["rules"]) if row else RetentionRules()
            gone = {kept: await _let_go(conn, kept, days, now) for kept in KEPT if (days := rules.days(kept))}
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.RETENTION.value,))
    if any(gone.values()):
        log.info("worker.retention.enforced", **gone)
    return gone


async def _let_go(conn: Connection, kept: Kept, days: int, now: datetime) -> int:
    highest = await (await conn.execute(HIGHEST[kept])).fetchone()
    assert highest is not None
    gone, until = 0, now - timedelta(days=days)
    for low in range(0, highest["last"], SLICE):
        gone += await _slice(conn, kept, days, {"until": until, "low": low, "high": low + SLICE})
        await asyncio.sleep(BETWEEN_S)
    return gone


async def _slice(conn: Connection, kept: Kept, days: int, bounds: dict[str, object]) -> int:
    ids = [row["id"] for row in await (await conn.execute(DUE[kept].in_slice, bounds)).fetchall()]
    gone = 0
    for start in range(0, len(ids), BATCH):
        async with conn.transaction():
            some = await _still_due(conn, kept, {**bounds, "ids": ids[start : start + BATCH]})
            await _remove(conn, kept, days, some)
        RETENTION_REMOVED.labels(kept).inc(len(some))
        gone += len(some)
        await asyncio.sleep(BETWEEN_S)
    return gone


async def _still_due(conn: Connection, kept: Kept, values: dict[str, object]) -> list[Any]:
    """Of these what nobody writes to and is due all the same, held until the transaction ends."""
    held = [row["id"] for row in await (await conn.execute(HOLD[kept], values)).fetchall()]
    return [row["id"] for row in await (await conn.execute(DUE[kept].among, {**values, "ids": held})).fetchall()]


async def _remove(conn: Connection, kept: Kept, days: int, ids: Sequence[Any]) -> None:
    if not ids:
        return
    match kept:
        case "tickets" | "unclosed":
            for ticket_id in ids:
                await repository.erase(conn, ticket_id)
                await audit.append(conn, _entry("ticket.erased", f"ticket/{ticket_id}", days))
            return
        case "originals":
            await conn.execute(REDUCE, {"ids": ids})
        case "history":
            await repository.flag_models(conn, await _texts(conn, ids))
            await conn.execute(FORGET_HISTORY, {"ids": ids})
        case "conversations":
            await conn.execute(FORGET_TALKS, {"ids": ids})
    await audit.append(conn, _entry("retention.enforced", kept, days, rows=len(ids)))


async def _texts(conn: Connection, ids: Sequence[Any]) -> list[DictRow]:
    found = await conn.execute("select subject, body from history where id = any(%s)", (list(ids),))
    return await found.fetchall()


def _entry(action: str, what: str, days: int, **more: int) -> audit.Entry:
    return audit.Entry("worker", action, what, {"why": "retention", "days": days, **more})


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.RETENTION.value,))).fetchone()
    return bool(row and row["mine"])
