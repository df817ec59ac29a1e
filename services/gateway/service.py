"""What the gateway decides: what to do with a delivery, a ticket for the desk, a wish to erase."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from services.core.connectors import desk_agents
from services.core.connectors.desk_agents import NewDeskTicket
from services.core.connectors.hearing import Unusable
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Requester, Ticket
from services.core.kit import audit
from services.core.kit.batching import Batcher
from services.core.kit.database import Pool, connection
from services.core.kit.errors import IdempotencyKeyReused, NotFound
from services.core.kit.intake import Arrived, Ingested, ingest, ingest_all
from services.core.kit.security import Principal
from services.gateway import repository
from services.gateway.reviewing import entry

Outcome = Literal["accepted", "duplicate", "ignored", "unusable"]
Intake = Batcher[Arrived, Ingested]

KNOWN = "select connector, external_id from tickets where id = %s"


@dataclass(frozen=True)
class Received:
    """What became of one event of a webhook call."""

    outcome: Outcome
    ticket_id: str | None
    external_id: str | None
    why: str | None = None


async def receive(intake: Intake, heard: Sequence[Delivery | Unusable], body: bytes) -> list[Received]:
    """
    Takes in what one verified webhook call tells, event by event.

    Raises:
        DatabaseUnavailable: not everything was stored; sent again, what was stored is a duplicate.
        IdempotencyKeyReused: the call's signed id came before with other content, which alone took effect.
    """
    digest = hashlib.sha256(body).hexdigest()
    return list(await asyncio.gather(*(_receive_one(intake, one, digest) for one in heard)))


async def _receive_one(intake: Intake, delivery: Delivery | Unusable, digest: str) -> Received:
    if isinstance(delivery, Unusable):
        return Received("unusable", None, None, delivery.why)
    if delivery.kind is DeliveryKind.IGNORED:
        return Received("ignored", None, delivery.external_id, delivery.why_ignored)
    done = await intake.submit(Arrived(delivery, digest))
    if done.is_other:
        raise IdempotencyKeyReused(
            "A call with this id and other content was taken in before; nothing of this one was. Send what is new "
            "under a new id, and repeat a call as it was."
        )
    outcome: Outcome = "duplicate" if done.is_duplicate else "accepted"
    return Received(outcome, str(done.ticket_id) if done.ticket_id else None, delivery.external_id)


async def take_in(pool: Pool, arrived: Sequence[Arrived]) -> list[Ingested]:
    """
    Stores what came in while the last transaction ran, in one transaction.

    Two gateways may hold deliveries of the same tickets: taking them in one order, neither waits for the other in turn.
    """
    order = sorted(range(len(arrived)), key=lambda i: _lock_order(arrived[i].delivery))
    async with connection(pool) as conn:
        if len(arrived) == 1:
            digest = arrived[0].body_sha256
            return [await ingest(conn, arrived[0].delivery, body_sha256=digest)]
        done = await ingest_all(conn, [arrived[i] for i in order])
    found = dict(zip(order, done, strict=True))
    return [found[i] for i in range(len(arrived))]


async def open_in_desk(pool: Pool, opened: NewDeskTicket, *, key: str) -> Received:
    """
    Opens a ticket in the built-in desk and takes it in, in one transaction; the same `key` gives the first.

    Raises:
        IdempotencyKeyReused: the same `key` came with other content; 422 as draft-ietf-httpapi-idempotency-key-header
            says. Two at once wait for each other, so the second is told as well.
    """
    delivery_id = f"json:{key}"
    digest = hashlib.sha256(json.dumps(asdict(opened), sort_keys=True).encode()).hexdigest()
    async with connection(pool) as conn, conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (delivery_id,))
        seen = await (await conn.execute(repository.DELIVERED, ("desk", delivery_id))).fetchone()
        if seen is not None:
            if seen["body_sha256"] != digest:
                raise IdempotencyKeyReused(
                    f"This key already opened ticket {seen['external_id']} with other content; nothing was changed. "
                    "Send another Idempotency-Key (or metadata.external_id) for another ticket."
                )
            return Received("duplicate", str(seen["ticket_id"]) if seen["ticket_id"] else None, seen["external_id"])
        external_id = await desk_agents.open_ticket(conn, opened)
        ticket = Ticket(
            connector="desk",
            external_id=external_id,
            subject=opened.subject,
            body=opened.body,
            requester=Requester(email=opened.requester_email),
            priority=opened.priority,
            metadata=dict(opened.metadata),
        )
        delivery = Delivery(
            connector="desk", delivery_id=delivery_id, kind=DeliveryKind.CREATED, external_id=external_id, ticket=ticket
        )
        done = await ingest(conn, delivery, body_sha256=digest)
    return Received("accepted", str(done.ticket_id), external_id)


async def erase(pool: Pool, ticket_id: int, who: Principal) -> None:
    """
    Has everything that was said in a ticket removed; the worker does it, and its audit entry is the receipt. Asked
    again, also when it is done, it changes nothing.

    Raises:
        NotFound: no such ticket.
    """
    async with connection(pool) as conn, conn.transaction():
        ticket = await (await conn.execute(KNOWN, (ticket_id,))).fetchone()
        if ticket is None:
            raise NotFound(f"There is no ticket {ticket_id}.")
        delivery = Delivery(
            connector=ticket["connector"],
            delivery_id=f"erase:{ticket_id}",
            kind=DeliveryKind.ERASED,
            external_id=ticket["external_id"],
            ticket=Ticket(connector=ticket["connector"], external_id=ticket["external_id"]),
        )
        done = await ingest(conn, delivery, body_sha256="")
        if not done.is_duplicate:
            await audit.append(conn, entry(who, ticket_id, "erasure.requested", {}))


def _lock_order(delivery: Delivery) -> tuple[str, str]:
    """The order of the rows they lock; what belongs to one ticket stays in the order it came in."""
    return delivery.connector, delivery.external_id
