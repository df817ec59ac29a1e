"""Callers who wait for a decision: RFC 7240's `Prefer: wait`, bounded in time and number."""

import asyncio
import re
from contextlib import suppress

from services.core.contracts.decision import Decision
from services.core.kit.database import Pool, connection
from services.core.kit.errors import DatabaseUnavailable

WAIT_MAX_S = 30  # proxies give up after a minute or so
WAITERS_MAX = 100  # each asks the database five times a second; who comes beyond is answered at once
LOOK_S = 0.2
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,200})\"?(?:$|[,;\s])", re.ASCII | re.IGNORECASE)
NEWEST = "select decision from decisions where ticket_id = %s order by id desc limit 1"


def wanted_s(prefer: str | None) -> int:
    """The seconds a caller prefers to wait, at most WAIT_MAX_S; 0 without it, and for what is no whole number."""
    found = WAIT.search(prefer or "")
    return min(int(found[1]), WAIT_MAX_S) if found else 0


async def decision(pool: Pool, ticket_id: str | None, wait_s: int, waiters: asyncio.Semaphore) -> Decision | None:
    """The ticket's newest decision as soon as it is there; None when the time is up, or too many wait already."""
    if ticket_id is None or wait_s == 0 or waiters.locked():
        return None
    async with waiters:
        with suppress(TimeoutError, DatabaseUnavailable):  # the ticket is taken in, whatever happens here
            async with asyncio.timeout(wait_s):
                while (found := await _newest(pool, ticket_id)) is None:  # noqa: ASYNC110  # a worker decides, elsewhere
                    await asyncio.sleep(LOOK_S)
                return found
    return None


async def _newest(pool: Pool, ticket_id: str) -> Decision | None:
    async with connection(pool) as conn:
        row = await (await conn.execute(NEWEST, (ticket_id,))).fetchone()
    return Decision.stored(row["decision"]) if row else None
