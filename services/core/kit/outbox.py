"""
The outbox: effects recorded in the transaction that decided them, carried out afterwards, each under its own key.

A row is leased by moving its due time forward; a dispatcher that dies leaves a row that becomes due again.
After MAX_ATTEMPTS, or when the other system refuses for good, the row is a dead letter that can be replayed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from services.core.kit.database import Pool, connection
from services.core.kit.errors import PointsmanError, Unavailable

log = structlog.get_logger()

MAX_ATTEMPTS = 8  # with the back-off below about 11 minutes: longer than a usual restart of the other system
BACKOFF_S = 5.0
BACKOFF_CAP_S = 300.0
RETRY_AFTER_CAP_S = 3600.0  # another system's clock or bug must not park a letter for years
ERROR_MAX_CHARS = 500
LEASE_S = 60.0  # longer than the connectors' own time-outs added up
IDLE_S = 0.2
BATCH = 16

PUT = """
insert into outbox (key, kind, connector, ticket_id, payload) values (%s, %s, %s, %s, %s) on conflict (key) do nothing
"""
LEASE = """
update outbox set due_at = now() + make_interval(secs => %s), attempts = attempts + 1
where id in (select id from outbox where state = 'pending' and due_at <= now()
             order by due_at limit %s for update skip locked)
returning id, key, kind, connector, ticket_id, payload, attempts
"""
SENT = "update outbox set state = 'sent', settled_at = now(), result = %s, last_error = null where id = %s"
RETRY = "update outbox set due_at = now() + make_interval(secs => %s), last_error = %s where id = %s"
DEAD = "update outbox set state = 'dead', settled_at = now(), last_error = %s where id = %s"
REPLAY = """
update outbox set state = 'pending', attempts = 0, due_at = now(), settled_at = null
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


Deliver = Callable[[Letter], Awaitable[str]]  # returns what came of it; raises PointsmanError


async def put(
    conn: AsyncConnection[Any],
    key: str,
    payload: Mapping[str, Any],
    *,
    kind: str,
    ticket_id: int,
    connector: str | None = None,
) -> None:
    """Records an effect in the caller's transaction; the same key again changes nothing."""
    await conn.execute(PUT, (key, kind, connector, ticket_id, Jsonb(dict(payload))))


async def replay(conn: AsyncConnection[Any], letter_id: int | None = None) -> int:
    """Makes one dead letter, or all, due again; returns how many."""
    cursor = await conn.execute(REPLAY, {"id": letter_id})
    return len(await cursor.fetchall())


async def dispatch(pool: Pool, deliver: Deliver, *, stop: asyncio.Event) -> None:
    """Carries letters out, a batch at a time, until `stop`."""
    while not stop.is_set():
        try:
            letters = await _lease(pool)
            await asyncio.gather(*(_settle(pool, deliver, letter) for letter in letters))
        except Exception as exc:  # the loop that all effects depend on: it goes on, whatever broke this round
            log.warning("outbox.round.failed", error=type(exc).__name__)
            letters = []
        if not letters:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), IDLE_S)


async def _lease(pool: Pool) -> list[Letter]:
    async with connection(pool) as conn:
        cursor = await conn.execute(LEASE, (LEASE_S, BATCH))
        return [Letter(**row) for row in await cursor.fetchall()]


async def _settle(pool: Pool, deliver: Deliver, letter: Letter) -> None:
    try:
        result = await deliver(letter)
    except PointsmanError as exc:
        await _postpone(pool, letter, exc)
    except Exception as exc:  # one letter's unforeseen failure must not stop all the others
        await _postpone(pool, letter, Unavailable(f"unforeseen {type(exc).__name__}"))
    else:
        async with connection(pool) as conn:
            await conn.execute(SENT, (result, letter.id))


async def _postpone(pool: Pool, letter: Letter, error: PointsmanError) -> None:
    is_final = not error.retryable or letter.attempts >= MAX_ATTEMPTS
    message = f"{type(error).__name__}: {error.message}".replace("\0", "")[:ERROR_MAX_CHARS]  # their words, not ours
    async with connection(pool) as conn:
        if is_final:
            await conn.execute(DEAD, (message, letter.id))
        else:
            await conn.execute(RETRY, (_backoff_s(letter.attempts, error.retry_after_s), message, letter.id))
    log.warning(
        "outbox.letter.failed", key=letter.key, attempts=letter.attempts, dead=is_final, error=type(error).__name__
    )


def _backoff_s(attempts: int, retry_after_s: float | None) -> float:
    """What the other system asked for, or doubling from BACKOFF_S up to the cap."""
    return max(min(retry_after_s or 0.0, RETRY_AFTER_CAP_S), min(BACKOFF_S * 2 ** (attempts - 1), BACKOFF_CAP_S))
