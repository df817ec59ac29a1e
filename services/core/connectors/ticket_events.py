"""The event our own desk and the generic connector share: `{"type": "ticket.created", "timestamp", "data": {...}}`."""

from collections.abc import Mapping
from typing import Any

from services.core.connectors import lenient
from services.core.connectors.hearing import Told
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Comment, Requester, Ticket
from services.core.kit.errors import PayloadInvalid

KINDS: Mapping[str, DeliveryKind] = {
    "ticket.created": DeliveryKind.CREATED,
    "ticket.assigned": DeliveryKind.ASSIGNED,
    "ticket.solved": DeliveryKind.SOLVED,
    "ticket.updated": DeliveryKind.UPDATED,
    "ticket.commented": DeliveryKind.COMMENTED,
    "ticket.deleted": DeliveryKind.DELETED,
    "ticket.erased": DeliveryKind.ERASED,
}
_TICKET_FIELDS = frozenset(Ticket.model_fields) | {"id", "title", "description", "email", "comment"}


def understand(connector: str, event: Mapping[str, Any]) -> Told:
    """
    What a signed event says.

    Raises:
        PayloadInvalid
    """
    data = lenient.child(event, "data")
    kind, why_ignored = _kind(event)
    external_id = lenient.external_id(data.get("id"), where="data.id")
    actor_id = lenient.optional_id(event.get("actor_id"))
    return Told(
        kind=kind,
        external_id=external_id,
        ticket=read_ticket(connector, external_id, data),
        comment=_comment(data["comment"]) if isinstance(data.get("comment"), dict) else None,
        actors=(actor_id,) if actor_id else (),
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


def _kind(event: Mapping[str, Any]) -> tuple[DeliveryKind, str | None]:
    event_type = lenient.text(event.get("type")).strip().lower()
    if not event_type:
        raise PayloadInvalid(f"type is missing. Send one of {', '.join(KINDS)}.")
    kind = KINDS.get(event_type, DeliveryKind.IGNORED)
    if kind is DeliveryKind.IGNORED:
        return kind, f"event type {event_type[:100]!r} is not one of {', '.join(KINDS)}"
    return kind, None


def _requester(data: Mapping[str, Any]) -> Requester:
    person = lenient.child(data, "requester")
    return Requester(
        id=lenient.optional_id(person.get("id")),
        name=lenient.text(person.get("name")) or None,
        email=lenient.text(person.get("email")) or lenient.text(data.get("email")) or None,
    )


def _comments(value: Any) -> tuple[Comment, ...]:
    return tuple(map(_comment, lenient.objects(value)))


def _comment(item: Mapping[str, Any]) -> Comment:
    return Comment(
        body=lenient.long_text(item.get("body")),
        public=item.get("public") is not False,
        author_id=lenient.optional_id(item.get("author_id")),
        at=lenient.time(item.get("at")),
    )
