"""
Zendesk's webhooks: event webhooks (fixed JSON) and trigger webhooks (the body of design/guides/zendesk.md).

Signature: base64(HMAC_SHA256(secret, timestamp + raw body)), timestamp in ISO 8601.
Source: https://developer.zendesk.com/documentation/webhooks/verifying/ (an older revision says body + timestamp: wrong)
        https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.connectors import lenient
from services.core.connectors.door import Signed
from services.core.connectors.hearing import Told
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Comment, Requester, Ticket
from services.core.kit.errors import PayloadInvalid

NAME = "zendesk"
EVENT_PREFIX = "zen:event-type:ticket."
DOOR = Signed(
    signature_header="x-zendesk-webhook-signature",
    content="{timestamp}{body}",
    form="base64",
    timestamp_header="x-zendesk-webhook-signature-timestamp",
    timestamp_form="iso",
)
MERGED_TAG = "closed_by_merge"  # Zendesk's own: the ticket was closed as a copy, nobody solved it

EVENT_KINDS: Mapping[str, DeliveryKind] = {
    "created": DeliveryKind.CREATED,
    "agent_assignment_changed": DeliveryKind.ASSIGNED,
    "group_assignment_changed": DeliveryKind.ASSIGNED,
    "status_changed": DeliveryKind.UPDATED,  # SOLVED or CLOSED makes it SOLVED
    "comment_added": DeliveryKind.COMMENTED,
    "priority_changed": DeliveryKind.UPDATED,
    "subject_changed": DeliveryKind.UPDATED,
    "merged": DeliveryKind.UPDATED,
    "undeleted": DeliveryKind.UPDATED,
    "soft_deleted": DeliveryKind.DELETED,
    "permanently_deleted": DeliveryKind.ERASED,
}
TRIGGER_KINDS: Mapping[str, DeliveryKind] = {
    kind.value: kind for kind in DeliveryKind if kind is not DeliveryKind.IGNORED
}
_ENDED = frozenset({"SOLVED", "CLOSED"})


def understand(call: Mapping[str, Any]) -> Told:
    """
    What either kind of webhook says.

    An event's own `id` is inside the signed body and is one for all attempts and webhooks that carry it. A trigger's
    call has no such id: there the body is the key, never the invocation's header, which is not signed.

    Raises:
        PayloadInvalid
    """
    is_event = lenient.text(call.get("type")).startswith(EVENT_PREFIX)
    return _from_event(call) if is_event else _from_trigger(call)


def _from_event(call: Mapping[str, Any]) -> Told:
    detail = lenient.child(call, "detail")
    event_type = lenient.text(call.get("type")).removeprefix(EVENT_PREFIX)
    number = detail.get("id") or (lenient.optional_id(call.get("subject")) or "").removeprefix("zen:ticket:")
    external_id = lenient.external_id(number, where="detail.id")
    kind = _event_kind(event_type, lenient.child(call, "event"), tags=lenient.tags(detail.get("tags")))
    return Told(
        kind=kind,
        external_id=external_id,
        key=lenient.optional_id(call.get("id")),
        ticket=_ticket(external_id, detail),
        comment=_comment(lenient.child(lenient.child(call, "event"), "comment")),
        actors=_actors(detail.get("actor_id")),
        occurred_at=lenient.time(call.get("time")),
        why_ignored=f"event type {event_type[:100]!r} is not used" if kind is DeliveryKind.IGNORED else None,
    )


def _event_kind(event_type: str, event: Mapping[str, Any], *, tags: Sequence[str]) -> DeliveryKind:
    kind = EVENT_KINDS.get(event_type, DeliveryKind.IGNORED)
    if event_type == "status_changed" and lenient.text(event.get("current")).strip().upper() in _ENDED:
        return DeliveryKind.UPDATED if MERGED_TAG in tags else DeliveryKind.SOLVED
    if kind is DeliveryKind.ASSIGNED and lenient.optional_id(event.get("current")) is None:
        return DeliveryKind.UPDATED  # taken away from someone and given to nobody
    return kind


def _from_trigger(call: Mapping[str, Any]) -> Told:
    event = lenient.text(call.get("event")).strip().lower()
    kind = TRIGGER_KINDS.get(event)
    if kind is None:
        raise PayloadInvalid(
            f"event is {event[:100]!r}. Paste the trigger body of design/guides/zendesk.md, where event is one of "
            f"{', '.join(TRIGGER_KINDS)}."
        )
    ticket = lenient.child(call, "ticket")
    external_id = lenient.external_id(ticket.get("id"), where="ticket.id")
    is_merge = kind is DeliveryKind.SOLVED and MERGED_TAG in lenient.tags(ticket.get("tags"))
    return Told(
        kind=DeliveryKind.UPDATED if is_merge else kind,
        external_id=external_id,
        ticket=_ticket(external_id, ticket),
        actors=_actors(call.get("actor_id"), call.get("actor_email")),
        occurred_at=lenient.time(ticket.get("updated_at")),
    )


def _ticket(external_id: str, detail: Mapping[str, Any]) -> Ticket:
    """As far as the call tells it: group and people come as ids only, `fetch` brings their names."""
    updated_at = lenient.text(detail.get("updated_at"))
    metadata = {key: detail[key] for key in ("group_id", "organization_id", "brand_id", "form_id") if detail.get(key)}
    return Ticket(
        connector=NAME,
        external_id=external_id,
        subject=lenient.subject(detail.get("subject")),
        body=lenient.long_text(detail.get("description")),
        requester=Requester(id=lenient.optional_id(detail.get("requester_id"))),
        status=lenient.status(detail.get("status")),
        priority=lenient.priority(detail.get("priority")),
        group=lenient.text(detail.get("group")) or None,
        assignee_id=lenient.optional_id(detail.get("assignee_id")),
        tags=lenient.tags(detail.get("tags")),
        created_at=lenient.time(detail.get("created_at")),
        updated_at=lenient.time(updated_at),
        stamp=updated_at or None,
        metadata=metadata | {"channel": lenient.text(lenient.child(detail, "via").get("channel")) or None},
    )


def _comment(raw: Mapping[str, Any]) -> Comment | None:
    body = lenient.long_text(raw.get("body"))
    if not body:
        return None
    author_id = lenient.optional_id(lenient.child(raw, "author").get("id"))
    return Comment(body=body, public=raw.get("is_public") is not False, author_id=author_id)


def _actors(*given: Any) -> tuple[str, ...]:
    return tuple(found for value in given if (found := lenient.optional_id(value)) is not None)
