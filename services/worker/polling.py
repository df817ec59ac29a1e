"""
Asks systems what has changed, where `poll_every_s` says so: for those that do not call, and for calls that were missed.

How far a system has been heard is a row of `positions`. Whoever moves its `read_at` has the turn, so that several
workers ask once; what two should hear all the same is one delivery, by its key.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from psycopg.rows import DictRow

from services.core.connectors import lenient, write_back
from services.core.connectors.polling import LAG, Changed, Lost, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.write_back import About
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import ENDED, Status, TicketUpdate
from services.core.kit import outbox
from services.core.kit.database import Connection, connection
from services.core.kit.intake import Arrived, ingest_all
from services.worker.steps import Outside

log = structlog.get_logger()

# The first position is now: older tickets come by `pointsman history import`.
BEGIN = "insert into positions (connector, at) values (%s, now()) on conflict do nothing"
TAKE_TURN = """
update positions set read_at = now()
where connector = %s and (read_at <= now() - make_interval(secs => %s) or read_at = at) returning at, last_id
"""
ADVANCE = """
update positions set at = %(at)s, last_id = %(id)s
where connector = %(connector)s and (at, last_id) < (%(at)s, %(id)s)
"""
# All that a letter of ours does to a ticket.
OURS = frozenset({DeliveryKind.ASSIGNED, DeliveryKind.UPDATED, DeliveryKind.COMMENTED})
AGAIN = "Whoever asked has written again."
KNOWN = """
select id, external_id, status, current_group,
    exists (select from outbox where ticket_id = t.id and kind = 'write' and state = 'sent') as was_written,
    (select payload ->> 'group' from outbox where ticket_id = t.id and kind = 'write' and state = 'sent'
        and payload ->> 'group' is not null order by settled_at desc limit 1) as written_group
from tickets t where connector = %s and external_id = any(%s)
"""


async def poll(outside: Outside, *, stop: asyncio.Event) -> None:
    """Asks each polled system on its own, so that a slow one holds up no other, until `stop`."""
    polled = [one for one in outside.connectors.values() if one.settings.poll_every_s and Can.POLL in one.can]
    await asyncio.gather(*(_poll(outside, connector, stop) for connector in polled))


async def _poll(outside: Outside, connector: Connector, stop: asyncio.Event) -> None:
    every_s = connector.settings.poll_every_s or 0
    while not stop.is_set():
        try:
            await hear(outside, connector)
        except Exception as exc:  # the system or the database is away: nothing is lost, the position stands
            log.warning("worker.poll.failed", connector=connector.name, error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)


async def hear(outside: Outside, connector: Connector) -> int:
    """Takes in all that has changed up to a moment ago, if it is this worker's turn; how many changes that were."""
    async with connection(outside.pool) as conn:
        await conn.execute(BEGIN, (connector.name,))
        turn = await (await conn.execute(TAKE_TURN, (connector.name, connector.settings.poll_every_s))).fetchone()
    if turn is None:
        return 0
    lag = LAG + timedelta(seconds=connector.heard_after_s)
    position, until, heard = Position(turn["at"], turn["last_id"]), datetime.now(UTC) - lag, 0
    while changes := await connector.changes(position, until):
        async with connection(outside.pool) as conn:
            await _take_in(conn, connector, changes)
        position, heard = changes[-1].position, heard + len(changes)
    return heard


async def _take_in(conn: Connection, connector: Connector, changes: Sequence[Changed]) -> None:
    """Deliveries and position in one transaction: killed anywhere, the next turn begins where this one had come."""
    async with conn.transaction():
        ids = [change.ticket.external_id for change in changes]
        rows = await (await conn.execute(KNOWN, (connector.name, ids))).fetchall()
        known = {row["external_id"]: row for row in rows}
        told = [(change, tell(connector, change, known.get(change.ticket.external_id))) for change in changes]
        # In the order of their rows, as the gateway takes them: neither waits for the other in turn.
        heard = sorted(((one, delivery) for one, delivery in told if delivery), key=lambda pair: pair[1].external_id)
        taken = await ingest_all(conn, [Arrived(delivery, "") for _, delivery in heard])
        for (change, _), ingested in zip(heard, taken, strict=True):
            if change.asks_again and not ingested.is_duplicate:
                await _tell_again(conn, connector, change, known.get(change.ticket.external_id))
        for change in changes:
            if change.lost:
                await _bury(conn, connector, change.ticket.external_id, change.lost, known)
        last = changes[-1].position
        await conn.execute(ADVANCE, {"connector": connector.name, "at": last.at, "id": last.id})


async def _tell_again(conn: Connection, connector: Connector, change: Changed, known: DictRow | None) -> None:
    """A letter of its own, once per message, to whoever was handed the ticket and would not see this."""
    if known and known["was_written"] and Can.WRITE in connector.can:
        about = About(known["id"], connector.name, change.ticket.external_id)
        key = f"{about.ticket_id}:again:{change.key or change.at.isoformat()}"
        await write_back.put(conn, TicketUpdate(key=key, external_id=about.external_id, note=AGAIN), about)


async def _bury(
    conn: Connection, connector: Connector, external_id: str, lost: Lost, known: Mapping[str, DictRow]
) -> None:
    """A dead letter beside the one that was sent: people are told, and replayed it hands the ticket over anew."""
    log.warning("worker.letter.lost", connector=connector.name, why=lost.why)
    if row := known.get(external_id):
        key = f"{row['id']}:lost:{lost.name}"
        again = TicketUpdate(key=key, external_id=external_id, note=f"Sent again: {lost.why}.").model_dump(mode="json")
        why = f"Undelivered: {lost.why}. Correct the address in the connector's settings, then replay this letter."
        await outbox.bury(conn, key, again, kind="write", ticket_id=row["id"], connector=connector.name, why=why)


def tell(connector: Connector, change: Changed, known: DictRow | None) -> Delivery | None:
    """
    The change as a delivery; None for an echo of our own write, and for what is no change of a ticket.

    Only the last hand on a ticket is known: where we wrote after a person had solved or deleted it, it is told.
    """
    if change.lost:
        return None
    if change.why_ignored:
        log.info("worker.poll.ignored", connector=connector.name, why=change.why_ignored, place=change.place)
        return None
    kind, actor = kind_of(change, known), (change.actor or "").strip().lower()
    is_ours = actor in connector.own_actors or (not actor and _shows_our_letter(kind, change, known))
    if is_ours and kind in OURS:
        return None
    ticket = change.ticket
    name = change.key or f"{change.at.isoformat()}:{ticket.status}"
    return Delivery(
        connector=connector.name,
        delivery_id=lenient.delivery_id(f"poll:{ticket.external_id}:{name}"),
        kind=kind,
        external_id=ticket.external_id,
        ticket=ticket,
        comment=change.comment,
        actor_id=change.actor,
        occurred_at=change.at,
    )


def _shows_our_letter(kind: DeliveryKind, change: Changed, known: DictRow | None) -> bool:
    """Nobody is named, and the group is the one that we wrote last: a route is no person's correction of itself."""
    written = known["written_group"] if known else None
    return kind is DeliveryKind.ASSIGNED and written is not None and change.ticket.group == written


def kind_of(change: Changed, known: DictRow | None) -> DeliveryKind:
    """What must have happened, from how we know the ticket and how it is now."""
    ticket = change.ticket
    if ticket.status is Status.DELETED:
        return DeliveryKind.DELETED
    if change.comment is not None:
        return DeliveryKind.COMMENTED
    if known is None:
        return DeliveryKind.CREATED
    if ticket.status in ENDED and known["status"] not in ENDED:
        return DeliveryKind.SOLVED
    if ticket.group is not None and ticket.group != known["current_group"]:
        return DeliveryKind.ASSIGNED
    return DeliveryKind.UPDATED
