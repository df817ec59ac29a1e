"""Keeps heads of the audit chain outside the database, at intervals: object store, log, and the event bus if any."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from services.core.bus.port import Publisher
from services.core.contracts.events import Event
from services.core.kit import anchors
from services.core.kit.database import connection
from services.core.kit.objects import open_store
from services.worker.steps import Outside

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = structlog.get_logger()

FIRST_S = 1.0
HEAD = "select seq, hash from audit order by seq desc limit 1"


async def anchor_chain(outside: Outside, publisher: Publisher | None, *, stop: asyncio.Event) -> None:
    """Keeps the head whenever it has moved, every `audit_anchor_s`, until `stop`. Several workers may: puts agree."""
    store, last = open_store(outside.settings.objects_url), None
    while not stop.is_set():
        try:
            last = await _anchor(outside, publisher, store, last)
        except Exception as exc:  # the store or the sink is away: tickets go on, and the next round keeps a later head
            log.error("worker.audit.not_anchored", error=type(exc).__name__)
        with suppress(TimeoutError):
            # At the start what there is waits to be linked: the first head is not ten minutes away for that.
            await asyncio.wait_for(stop.wait(), outside.settings.audit_anchor_s if last else FIRST_S)


async def _anchor(
    outside: Outside, publisher: Publisher | None, store: "ObjectStore", last: anchors.Anchor | None
) -> anchors.Anchor | None:
    async with connection(outside.pool) as conn:
        row = await (await conn.execute(HEAD)).fetchone()
    if row is None or (head := anchors.Anchor(row["seq"], row["hash"])) == last:
        return last
    if await asyncio.to_thread(anchors.keep, store, outside.settings.company, head):
        log.info("worker.audit.anchored", seq=head.seq, hash=head.hash)
        if publisher:
            await publisher.publish(_event(head, outside.settings.company).model_dump(mode="json"))
    return head


def _event(head: anchors.Anchor, company: str) -> Event:
    return Event(
        id=f"audit:{company}:{head.seq}",
        source="pointsman/worker",
        type="pointsman.audit.anchored.v1",
        subject=company,
        time=datetime.now(UTC),
        data={"seq": head.seq, "hash": head.hash},
    )
