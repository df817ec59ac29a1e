"""The event our own desk and the generic connector share: `{"type": "ticket.created", "timestamp", "data": {...}}`."""

import hashlib
from collections.abc import Mapping
from typing import Any

from services.core.connectors import lenient, standard_webhooks
from services.core.connectors.port import OWN_ACTOR
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Comment, Requester, Ticket
from services.core.kit.errors import PayloadInvalid

KINDS: Mapping[str, DeliveryKind] = {
    "ticket.created": DeliveryKind.CREATED,
    "ticket.assigned": DeliveryKind.ASSIGNED,
    "ticket.solved": DeliveryKind.SOLVED,
    "ticket.updated": DeliveryKind.UPDATED,
    "ticket.commented": DeliveryKind.UPDATED,
    "ticket.deleted": DeliveryKind.DELETED,
    "ticket.erased": DeliveryKind.ERASED,
}
_MUST_BE_HEARD = (DeliveryKind.DELETED, DeliveryKind.ERASED)  # whoever did it, the text must go
_TICKET_FIELDS = frozenset(Ticket.model_fields) | {"id", "title", "description", "email"}


def parse(connector: str, headers: Mapping[str, str], body: bytes) -> Delivery:
    """
    The delivery in a signed event.

    Raises:
        PayloadInvalid
    """
    event = lenient.read_object(body, system=connector)
    data = lenient.child(event, "data")
    kind, why_ignored = _kind(event, actor_id=lenient.optional_id(event.get("actor_id")))
    external_id = lenient.external_id(data.get("id"), where="data.id")
    return Delivery(
        connector=connector,
        delivery_id=_delivery_id(headers, body),
        kind=kind,
        external_id=external_id,
        ticket=read_ticket(connector, external_id, data),
        actor_id=lenient.optional_id(event.get("actor_id")),
        occurred_at=lenient.time(event.get("timestamp")),
        why_ignored=why_ignored,
    )


def read_ticket(connector: str, external_id: str, data: Mapping[str, Any]) -> Ticket:
    """The ticket as far as `data` tells it; fields we have no name for go to `metadata`."""
    updated_at = lenient.time(data.get("updated_at"))
    unknown = {key: value for key, value in data.items() if key not in _TICKET_FIELDS}
    return Ticket(
        connector=connector,
        external_id=external_id,
        subject=lenient.subject(data.get("subject") or data.get("title")),
        body=lenient.long_text(data.get("body") or data.get("description")),
        requester=_requester(data),
        status=lenient.status(data.get("status")),
        priority=lenient.priority(data.get("priority")),
        group=lenient.optional_id(data.get("group")),
        assignee_id=lenient.optional_id(data.get("assignee_id")),
        tags=lenient.tags(data.get("tags")),
        comments=_comments(data.get("comments")),
        created_at=lenient.time(data.get("created_at")),
        updated_at=updated_at,
        stamp=lenient.text(data.get("stamp")) or None,
        metadata=unknown | lenient.child(data, "metadata"),
    )


def _kind(event: Mapping[str, Any], *, actor_id: str | None) -> tuple[DeliveryKind, str | None]:
    event_type = lenient.text(event.get("type")).strip().lower()
    if not event_type:
        raise PayloadInvalid(f"type is missing. Send one of {', '.join(KINDS)}.")
    kind = KINDS.get(event_type, DeliveryKind.IGNORED)
    if kind is DeliveryKind.IGNORED:
        return kind, f"event type {event_type[:100]!r} is not one of {', '.join(KINDS)}"
    if actor_id == OWN_ACTOR and kind not in _MUST_BE_HEARD:
        return DeliveryKind.IGNORED, "our own update came back"
    return kind, None


def _delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    # The header is part of what is signed, and the sender keeps it when it sends again.
    message_id = lenient.storable(headers.get(standard_webhooks.ID_HEADER, ""), system="webhook-id").strip()
    return lenient.delivery_id(message_id or "sha256:" + hashlib.sha256(body).hexdigest())


def _requester(data: Mapping[str, Any]) -> Requester:
    person = lenient.child(data, "requester")
    return Requester(
        id=lenient.optional_id(person.get("id")),
        name=lenient.text(person.get("name")) or None,
        email=lenient.text(person.get("email")) or lenient.text(data.get("email")) or None,
    )


def _comments(value: Any) -> tuple[Comment, ...]:
    found = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return tuple(
        Comment(
            body=lenient.long_text(item.get("body")),
            public=item.get("public") is not False,
            author_id=lenient.optional_id(item.get("author_id")),
            at=lenient.time(item.get("at")),
        )
        for item in found
    )
