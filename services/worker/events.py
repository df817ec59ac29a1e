"""Tells other systems: puts an event letter into the outbox for each audit entry that is one, in the log's order."""

import asyncio
from contextlib import suppress

import structlog

from services.core.bus.told import ACTIONS, event_of
from services.core.kit import outbox
from services.core.kit.database import Connection, connection
from services.worker.steps import Outside

log = structlog.get_logger()

ROUND = 500  # entries looked at in one transaction
PAUSE_S = 0.5

# Where events are switched on, they begin: a year of history is the lake's, not the bus's.
BEGIN = """
insert into event_positions (name, seq) select 'events', coalesce(max(seq), 0) from audit on conflict (name) do nothing
"""
# One worker at a time. Entries are linked under a lock, so none with a lower number can appear later.
POSITION = "select seq from event_positions where name = 'events' for update skip locked"
ENTRIES = """
select seq, at, action, subject, detail from audit where seq > %s and seq <= %s and action = any(%s) order by seq
"""
HEAD = "select coalesce(max(seq), 0) as seq from audit"
MOVE = "update event_positions set seq = %s where name = 'events'"


async def tell(outside: Outside, *, stop: asyncio.Event) -> None:
    """Follows the audit log until `stop`; nothing where events are off."""
    if not outside.settings.events_url:
        return
    while not stop.is_set():
        goes_on = False
        try:
            goes_on = await one_round(outside)
        except Exception as exc:  # the database is away: tickets go on where they can, and nothing is skipped
            log.warning("worker.events.postponed", error=type(exc).__name__)
        if not goes_on:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_S)


async def one_round(outside: Outside) -> bool:
    """Whether there is more to tell at once."""
    async with connection(outside.pool) as conn, conn.transaction():
        await conn.execute(BEGIN)
        position = await (await conn.execute(POSITION)).fetchone()
        if position is None:  # another worker tells
            return False
        head = await (await conn.execute(HEAD)).fetchone()
        assert head is not None  # an aggregate always has a row
        upto = min(head["seq"], position["seq"] + ROUND)
        if upto > position["seq"]:
            await _put(conn, position["seq"], upto)
            await conn.execute(MOVE, (upto,))
        return upto < head["seq"]


async def _put(conn: Connection, after: int, upto: int) -> None:
    for entry in await (await conn.execute(ENTRIES, (after, upto, list(ACTIONS)))).fetchall():
        event = event_of(entry)
        await outbox.put(
            conn, f"event:{event.id}", event.model_dump(mode="json"), kind="event", ticket_id=int(event.subject)
        )
