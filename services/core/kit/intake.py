"""
Taking deliveries in: one statement for one delivery, whether it came by webhook, as plain JSON or from a polled system.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import ENDED, Status
from services.core.kit.database import Connection
from services.core.kit.workflows import APPLICATION, QUEUE

# Delivery, ticket, raw text and workflow appear together or not at all. The unique delivery id is the gate: a duplicate
# inserts no row, so nothing after it runs. An older delivery never overwrites what a newer one said (out of order), a
# sender's clock that is ahead counts as now, and an erased ticket takes no text again. An event that tells no status
# changes none; the raw row always exists, so that what a thin event lacks can be fetched. Solved means that it was not
# before: the workflow's id counts the solvings, so closing a solved ticket starts nothing. Text that differs from what
# is stored is redacted by a workflow of its own. What is not known from its creation waits for nothing, so it starts as
# filtered; a creation that comes later makes it received, unless its workflow began already and left it alone.
INGEST = """
with delivery as (
    insert into deliveries (connector, delivery_id, kind, external_id, body_sha256, content_sha256)
    values (%(connector)s, %(delivery_id)s, %(kind)s, %(external_id)s, %(body_sha256)s, %(content_sha256)s)
    on conflict (connector, delivery_id) do nothing
    returning id
), ticket as (
    insert into tickets (connector, external_id, status, current_group, occurred_at, solvings, state)
    select %(connector)s, %(external_id)s, coalesce(%(status)s::text, 'new'), %(group)s,
           least(%(occurred_at)s::timestamptz, now()), (%(is_solving)s)::int,
           case when %(is_creation)s then 'received' else 'filtered' end
    from delivery
    on conflict (connector, external_id) do update set
        status = case when %(status)s::text is null or excluded.occurred_at < tickets.occurred_at
                      then tickets.status else excluded.status end,
        current_group = coalesce(
            case when excluded.occurred_at < tickets.occurred_at then tickets.current_group end,
            excluded.current_group, tickets.current_group),
        solvings = tickets.solvings + (%(is_solving)s and tickets.status not in ('solved', 'closed', 'deleted')
                                       and excluded.occurred_at < tickets.occurred_at is not true)::int,
        state = case when %(is_creation)s and tickets.state = 'filtered' and not exists (
                         select from dbos.workflow_status w where w.workflow_uuid = 'new:' || tickets.id)
                     then 'received' else tickets.state end,
        occurred_at = greatest(excluded.occurred_at, tickets.occurred_at),
        updated_at = now()
    returning id, state, solvings, occurred_at <= %(occurred_at)s::timestamptz is not false as is_newest
), text as materialized (
    select raw.take_text(id, %(ticket)s, %(has_text)s, is_newest) as is_retold from ticket where state <> 'erased'
)
select id, case when %(workflow)s::text is not null and (solvings > 0 or not %(is_solving)s) then dbos.enqueue_workflow(
    %(workflow)s::text, %(queue)s::text, array[]::json[], json_build_object('ticket_id', id::text)::json,
    workflow_id => %(stage)s::text || ':' || id || case when %(is_solving)s then ':' || solvings else %(suffix)s end,
    queue_partition_key => %(connector)s::text,
    application_name => %(application)s::text) end as workflow_id,
case when (select is_retold from text) then dbos.enqueue_workflow(
    'retold_ticket', %(queue)s::text, array[]::json[], json_build_object('ticket_id', id::text)::json,
    workflow_id => 'retold:' || id || ':' || %(delivery_id)s::text, queue_partition_key => %(connector)s::text,
    application_name => %(application)s::text) end as retold_id
from ticket
"""
FIND = """
select t.id, d.content_sha256 from deliveries d
left join tickets t on t.connector = d.connector and t.external_id = d.external_id
where d.connector = %s and d.delivery_id = %s
"""

# Which workflow a delivery starts. What may happen again carries the delivery's id, or counts (solving).
WORKFLOWS = {
    DeliveryKind.CREATED: ("new_ticket", "new"),
    DeliveryKind.ASSIGNED: ("assigned_ticket", "assigned"),
    DeliveryKind.SOLVED: ("solved_ticket", "solved"),
    DeliveryKind.ERASED: ("erased_ticket", "erased"),
}


@dataclass(frozen=True)
class Arrived:
    """A verified and parsed delivery. `body_sha256` proves what came."""

    delivery: Delivery
    body_sha256: str


@dataclass(frozen=True)
class Ingested:
    """
    `ticket_id` is None only for a duplicate of a delivery whose ticket was erased since. `is_other`: the delivery's id
    came before with other content, whose ticket this is; nothing was done.
    """

    ticket_id: int | None
    is_duplicate: bool
    is_other: bool = False


async def ingest(conn: Connection, delivery: Delivery, *, body_sha256: str) -> Ingested:
    """Takes a delivery in, once: rows and workflow in one statement, so in one transaction."""
    cursor = await conn.execute(INGEST, ingest_values(delivery, body_sha256=body_sha256))
    return await _ingested(conn, delivery, await cursor.fetchone())


async def ingest_all(conn: Connection, arrived: Sequence[Arrived]) -> list[Ingested]:
    """Takes several deliveries in, in one transaction and one exchange with the server: all of them or none."""
    values = [ingest_values(one.delivery, body_sha256=one.body_sha256) for one in arrived]
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(INGEST, values, returning=True)
        rows = [await result.fetchone() async for result in cursor.results()]
        return [await _ingested(conn, one.delivery, row) for one, row in zip(arrived, rows, strict=True)]


async def _ingested(conn: Connection, delivery: Delivery, row: DictRow | None) -> Ingested:
    if row is not None:
        return Ingested(row["id"], is_duplicate=False)
    seen = await (await conn.execute(FIND, (delivery.connector, delivery.delivery_id))).fetchone() or {}
    is_other = seen.get("content_sha256") not in (None, delivery.content_sha256)
    return Ingested(seen.get("id"), is_duplicate=True, is_other=is_other)


def ingest_values(delivery: Delivery, *, body_sha256: str) -> dict[str, Any]:
    """What INGEST asks for."""
    workflow, stage = WORKFLOWS.get(delivery.kind, (None, ""))
    ticket = delivery.ticket
    return {
        "connector": delivery.connector,
        "delivery_id": delivery.delivery_id,
        "kind": delivery.kind,
        "external_id": delivery.external_id,
        "body_sha256": body_sha256,
        "content_sha256": delivery.content_sha256,
        "status": _status(delivery),
        "group": ticket.group,
        "occurred_at": delivery.occurred_at,
        "ticket": Jsonb(ticket.model_dump(mode="json")),
        "has_text": bool(ticket.subject or ticket.body),  # a thin event must not replace an earlier one's text
        "workflow": workflow,
        "stage": stage,
        "suffix": f":{delivery.delivery_id}" if delivery.kind is DeliveryKind.ERASED else "",
        "is_creation": delivery.kind is DeliveryKind.CREATED,
        "is_solving": delivery.kind is DeliveryKind.SOLVED,
        "queue": QUEUE,
        "application": APPLICATION,
    }


def _status(delivery: Delivery) -> Status | None:
    """What the event says about it: the kind is surer than a status that was rendered a moment earlier or later."""
    told = delivery.ticket.status
    if delivery.kind is DeliveryKind.DELETED:
        return Status.DELETED
    return Status.SOLVED if delivery.kind is DeliveryKind.SOLVED and told not in ENDED else told
