"""Writes each day that is over into the event lake, once an hour. Several workers may: a day is always one file."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import structlog

from services.core.bus.lake import FOLDER, days_in, key_of, parquet
from services.core.bus.told import ACTIONS, event_of
from services.core.contracts.events import Event
from services.core.kit.database import connection
from services.core.kit.objects import open_store
from services.worker.steps import Outside

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = structlog.get_logger()

PAUSE_S = 3600.0
LATE = timedelta(hours=1)  # an entry's time is its transaction's beginning; none of ours lasts as long
ROUND = 31  # days written in a row

FIRST = "select min(at) as at from audit where action = any(%s)"
WAITING = "select min(at) as at from audit_pending"  # not in the log yet: its day is not whole
DAY = """
select seq, at, action, subject, detail from audit where at >= %s and at < %s and action = any(%s) order by seq
"""


async def keep_lake(outside: Outside, *, stop: asyncio.Event) -> None:
    """Until `stop`; nothing where the lake is off."""
    url = outside.settings.lake_url
    if not url:
        return
    store = open_store(url, setting="POINTSMAN_LAKE_URL")
    while not stop.is_set():
        try:
            await write_due(outside, store, now=datetime.now(UTC))
        except Exception as exc:  # the store is away: the days wait, and are found missing an hour later
            log.warning("worker.lake.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE_S)


async def write_due(outside: Outside, store: "ObjectStore", *, now: datetime) -> list[date]:
    """Every day that is over and not in the lake, the oldest first."""
    async with connection(outside.pool) as conn:
        waiting = await (await conn.execute(WAITING)).fetchone()
        first = await (await conn.execute(FIRST, (list(ACTIONS),))).fetchone()
    if first is None or first["at"] is None:
        return []
    if waiting and waiting["at"]:
        now = min(now, waiting["at"] + LATE)
    there = await asyncio.to_thread(_days_there, store)
    begun, over = first["at"].astimezone(UTC).date(), (now - LATE).date()
    due = [day for i in range((over - begun).days) if (day := begun + timedelta(days=i)) not in there][:ROUND]
    for day in due:
        await write_day(outside, store, day)
    return due


async def write_day(outside: Outside, store: "ObjectStore", day: date) -> int:
    """The day's file, anew; a day without events is an empty file, which says that it was looked at."""
    events = await _events(outside, day)
    await asyncio.to_thread(store.put, key_of(day), await asyncio.to_thread(parquet, events))
    log.info("worker.lake.written", day=day.isoformat(), events=len(events))
    return len(events)


async def _events(outside: Outside, day: date) -> list[Event]:
    begin = datetime.combine(day, time(), UTC)
    async with connection(outside.pool) as conn:
        cursor = await conn.execute(DAY, (begin, begin + timedelta(days=1), list(ACTIONS)))
        return [event_of(entry) for entry in await cursor.fetchall()]


def _days_there(store: "ObjectStore") -> set[date]:
    return days_in(found["path"] for batch in store.list(FOLDER) for found in batch)
