"""
The outbox: effects recorded in the transaction that decided them, carried out afterwards, each under its own key.

A row is leased by moving its due time forward; a dispatcher that dies leaves a row that becomes due again. A system
that does not answer costs a letter nothing but time: it waits, for days if need be. After MAX_STRIKES, or when the
other system refuses for good, the row is a dead letter that can be replayed. Where a person was faster: superseded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from services.core.kit import audit
from services.core.kit.database import Pool, connection
from services.core.kit.errors import PointsmanError, Unavailable, Unforeseen
from services.core.kit.lanes import Lane, Lanes

log = structlog.get_logger()

MAX_STRIKES = 8  # conflicts and unforeseen errors; with the back-off below about 11 minutes
BACKOFF_S = 5.0
BACKOFF_CAP_S = 300.0
RETRY_AFTER_CAP_S = 3600.0  # another system's clock or bug must not park a letter for years
ERROR_MAX_CHARS = 500
LEASE_S = 60.0  # how long the letters of a killed worker lie
DELIVERY_S = 50.0  # below the lease: nobody else carries a letter that is still under way
STOP_S = 10.0  # for those under way when the worker stops: one call to a ticketing system
IDLE_S = 0.2

PUT = """
insert into outbox (key, kind, connector, ticket_id, payload, due_at)
values (%s, %s, %s, %s, %s, now() + make_interval(secs => %s)) on conflict (key) do nothing
"""
# Of every lane with free places its letters that are due longest; the lane '' has all that belong to no other.
LEASE = """
update outbox set due_at = now() + make_interval(secs => %(lease_s)s), attempts = attempts + 1
where id in (
    select due.id from unnest(%(lanes)s::text[], %(places)s::int[]) as lane (name, places)
    cross join lateral (
        select id from outbox where state = 'pending' and due_at <= now()
          and (connector = lane.name or lane.name = '' and (connector is null or connector <> all (%(known)s)))
        order by due_at limit lane.places for update skip locked) due)
returning id, key, kind, connector, ticket_id, payload, attempts, strikes
"""
BURY = """
insert into outbox (key, kind, connector, ticket_id, payload, state, settled_at, last_error)
values (%s, %s, %s, %s, %s, 'dead', now(), %s) on conflict (key) do nothing
"""
SETTLE = "update outbox set state = %s, settled_at = now(), result = %s, last_error = null where id = %s"
RETRY = """
update outbox set due_at = now() + make_interval(secs => %s), last_error = %s, strikes = strikes + %s where id = %s
"""
DEAD = "update outbox set state = 'dead', settled_at = now(), last_error = %s where id = %s"
REPLAY = """
update outbox set state = 'pending', attempts = 0, strikes = 0, due_at = now(), settled_at = null
where state = 'dead' and (%(id)s::bigint is null or id = %(id)s) returning id
"""


@dataclass(frozen=True)
class Letter:
    """One effect to carry out. `payload` is the contract's JSON; `connector` is None for events."""

    id: int
    key: str
    kind: str
    connector: str | None
    ticket_id: int | None
    payload: Mapping[str, Any]
    attempts: int
    strikes: int = 0


@dataclass(frozen=True)
class Superseded:
    """A person was faster than the letter: nothing was done, and nothing is to be done."""

    why: str


Deliver = Callable[[Letter], Awaitable[str | Superseded]]  # returns what came of it; raises PointsmanError


async def put(
    conn: AsyncConnection[Any],
    key: str,
    payload: Mapping[str, Any],
    *,
    kind: str,
    ticket_id: int | None,
    connector: str | None = None,
    hold_s: float = 0,
) -> None:
    """Records an effect in the caller's transaction, due in `hold_s` seconds; the same key again changes nothing."""
    await conn.execute(PUT, (key, kind, connector, ticket_id, Jsonb(dict(payload)), hold_s))


async def bury(
    conn: AsyncConnection[Any],
    key: str,
    payload: Mapping[str, Any],
    *,
    kind: str,
    ticket_id: int | None,
    connector: str | None,
    why: str,
) -> None:
    """Records an effect that is known to have failed for good: a dead letter, which can be replayed as any other."""
    await conn.execute(BURY, (key, kind, connector, ticket_id, Jsonb(dict(payload)), why[:ERROR_MAX_CHARS]))


async def replay(conn: AsyncConnection[Any], letter_id: int | None = None) -> int:
    """Makes one dead letter, or all, due again; returns how many."""
    cursor = await conn.execute(REPLAY, {"id": letter_id})
    return len(await cursor.fetchall())


async def dispatch(pool: Pool, deliver: Deliver, *, stop: asyncio.Event, lanes: Lanes) -> None:
    """Carries letters out, each lane at its own speed, until `stop`; what hangs then is left to its lease."""
    under_way: set[asyncio.Task[None]] = set()
    turn = asyncio.Event()  # a place has become free

    def over(task: asyncio.Task[None]) -> None:
        under_way.discard(task)
        turn.set()

    while not stop.is_set():
        turn.clear()
        for letter in await _lease(pool, lanes):
            task = asyncio.create_task(_carry(pool, deliver, letter, lanes.of(letter.connector)))
            under_way.add(task)
            task.add_done_callback(over)
        await _first(stop, turn, timeout_s=IDLE_S)
    if under_way:
        await asyncio.wait(under_way, timeout=STOP_S)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


async def _first(*events: asyncio.Event, timeout_s: float) -> None:
    """Until one of them is set, or the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _lease(pool: Pool, lanes: Lanes) -> list[Letter]:
    free = lanes.free()
    if not free:
        return []
    values = {"lease_s": LEASE_S, "lanes": list(free), "places": list(free.values()), "known": list(lanes.by_name)}
    try:
        async with connection(pool) as conn:
            letters = [Letter(**row) for row in await (await conn.execute(LEASE, values)).fetchall()]
    except Exception as exc:  # the loop that all effects depend on: it goes on, whatever broke this round
        log.warning("outbox.round.failed", error=type(exc).__name__)
        return []
    for letter in letters:
        lanes.of(letter.connector).under_way += 1
    return letters


async def _carry(pool: Pool, deliver: Deliver, letter: Letter, lane: Lane) -> None:
    try:
        await _settle(pool, deliver, letter, lane)
    except Exception as exc:  # what came of it could not be written down: the lease ends, and it is tried again
        log.warning("outbox.round.failed", error=type(exc).__name__)
    finally:
        lane.under_way -= 1


async def _settle(pool: Pool, deliver: Deliver, letter: Letter, lane: Lane) -> None:
    try:
        async with asyncio.timeout(DELIVERY_S):
            result = await deliver(letter)
    except TimeoutError:
        await _postpone(pool, letter, Unavailable(f"no end after {DELIVERY_S:.0f} s"), lane)
    except PointsmanError as exc:
        await _postpone(pool, letter, exc, lane)
    except Exception as exc:  # one letter's unforeseen failure must not stop all the others
        await _postpone(pool, letter, Unforeseen(f"unforeseen {type(exc).__name__}"), lane)
    else:
        lane.worked()
        await _done(pool, letter, result)


async def _done(pool: Pool, letter: Letter, result: str | Superseded) -> None:
    async with connection(pool) as conn, conn.transaction():
        if isinstance(result, str):
            await conn.execute(SETTLE, ("sent", result, letter.id))
            return
        await conn.execute(SETTLE, ("superseded", result.why, letter.id))
        detail = {"key": letter.key, "why": result.why}
        await audit.append(conn, audit.Entry("worker", "letter.superseded", f"ticket/{letter.ticket_id}", detail))


async def _postpone(pool: Pool, letter: Letter, error: PointsmanError, lane: Lane) -> None:
    """Not answered: the letter waits and its lane slows down. A conflict is a strike against it, a refusal the end."""
    is_down = isinstance(error, Unavailable)
    strikes = letter.strikes + (not is_down)
    is_final = not error.retryable or strikes >= MAX_STRIKES
    message = f"{type(error).__name__}: {error.message}".replace("\0", "")[:ERROR_MAX_CHARS]  # their words, not ours
    retry_after_s = min(error.retry_after_s or 0.0, RETRY_AFTER_CAP_S)
    lane.failed(retry_after_s=retry_after_s) if is_down else lane.worked()
    async with connection(pool) as conn:
        if is_final:
            await conn.execute(DEAD, (message, letter.id))
        else:
            wait_s = max(retry_after_s, _backoff_s(letter.attempts))
            await conn.execute(RETRY, (wait_s, message, int(not is_down), letter.id))
    log.warning(
        "outbox.letter.failed", key=letter.key, attempts=letter.attempts, dead=is_final, error=type(error).__name__
    )


def _backoff_s(attempts: int) -> float:
    """Doubling from BACKOFF_S up to the cap."""
    return min(BACKOFF_S * 2 ** min(attempts - 1, 10), BACKOFF_CAP_S)
