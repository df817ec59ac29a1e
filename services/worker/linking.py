"""Links the audit entries that wait into the chain. Every worker tries; one at a time does it."""

import asyncio
from contextlib import suppress

import structlog

from services.core.kit import audit
from services.core.kit.database import Pool, connection
from services.worker.metrics import AUDIT_PENDING, AUDIT_PENDING_SECONDS

log = structlog.get_logger()

PAUSE_S = 0.5  # so long an entry is proved by nothing


async def link_chain(pool: Pool, *, stop: asyncio.Event) -> None:
    """Links what waits, every PAUSE_S until `stop`, and once more then."""
    while True:
        is_last, linked = stop.is_set(), 0
        try:
            linked = await _link(pool)
        except Exception as exc:  # what waits goes on waiting, and the metric says so: tickets must not stop for it
            log.warning("worker.audit.not_linked", error=type(exc).__name__)
        if is_last:
            return
        if linked < audit.LINK_MAX:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_S)


async def _link(pool: Pool) -> int:
    async with connection(pool) as conn:
        linked = await audit.link(conn)
        waiting = await audit.waiting(conn)
    AUDIT_PENDING.set(waiting.entries)
    AUDIT_PENDING_SECONDS.set(waiting.oldest_s)
    return linked
