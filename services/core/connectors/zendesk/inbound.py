"""
Zendesk's webhooks: event webhooks (fixed JSON) and trigger webhooks (the body of design/guides/zendesk.md).

Signature: base64(HMAC_SHA256(secret, timestamp + raw body)), timestamp in ISO 8601.
Source: https://developer.zendesk.com/documentation/webhooks/verifying/ (an older revision says body + timestamp: wrong)
        https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from services.core.connectors import lenient
from services.core.connectors.standard_webhooks import check_age, matches_any
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Requester, Ticket
from services.core.kit.errors import PayloadInvalid, SignatureInvalid

NAME = "zendesk"
EVENT_PREFIX = "zen:event-type:ticket."
SIGNATURE_HEADER = "x-zendesk-webhook-signature"
TIMESTAMP_HEADER = "x-zendesk-webhook-signature-timestamp"
INVOCATION_HEADER = "x-zendesk-webhook-invocation-id"
MARKER_PREFIX = "pointsman_"  # every tag our writes leave starts so
MERGED_TAG = "closed_by_merge"  # Zendesk's own: the ticket was closed as a copy, nobody solved it
# Only whole ISO times: datetime.fromisoformat would also take 20210325, so a number could pass for a time.
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

EVENT_KINDS: Mapping[str, DeliveryKind] = {
    "created": DeliveryKind.CREATED,
    "agent_assignment_changed": DeliveryKind.ASSIGNED,
    "group_assignment_changed": DeliveryKind.ASSIGNED,
    "status_changed": DeliveryKind.UPDATED,  # SOLVED or CLOSED makes it SOLVED
    "comment_added": DeliveryKind.UPDATED,
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
_MUST_BE_HEARD = frozenset({DeliveryKind.DELETED, DeliveryKind.ERASED})  # whoever did it, the text must go
_BY_TAG = frozenset({DeliveryKind.ASSIGNED, DeliveryKind.UPDATED})


def sign(secret: SecretStr, body: bytes, *, delivery_id: str, now: datetime) -> dict[str, str]:
    """The sender's side: the headers Zendesk would put with `body`."""
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        SIGNATURE_HEADER: _signature(secret, timestamp, body),
        TIMESTAMP_HEADER: timestamp,
        INVOCATION_HEADER: delivery_id,
        "content-type": "application/json",
    }


def verify(
    headers: Mapping[str, str], body: bytes, *, secrets: Sequence[SecretStr], now: datetime, tolerance_s: float
) -> None:
    """
    Accept what one of `secrets` signed within the tolerance; several secrets while one is being replaced.

    Raises:
        SignatureInvalid, SignatureStale
    """
    offered, timestamp = headers.get(SIGNATURE_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    if not offered or not timestamp:
        raise SignatureInvalid(f"Header {SIGNATURE_HEADER} or {TIMESTAMP_HEADER} is missing.")
    if not matches_any([offered], [_signature(secret, timestamp, body) for secret in secrets]):
        raise SignatureInvalid(
            f"{SIGNATURE_HEADER} matches no secret. It is base64(HMAC-SHA256(secret, timestamp + raw body)); "
            "compare the secret with the one shown on the webhook's page in Admin Center."
        )
    check_age(_sent_at(timestamp), now=now, tolerance_s=tolerance_s)


def parse(
    headers: Mapping[str, str], body: bytes, *, own_user_id: str | None = None, own_email: str | None = None
) -> Delivery:
    """
    The delivery in either kind of webhook; what our own user did comes back as IGNORED.

    Raises:
        PayloadInvalid
    """
    call = lenient.read_object(body, system=NAME)
    is_event = lenient.text(call.get("type")).startswith(EVENT_PREFIX)
    delivery = _from_event(call) if is_event else _from_trigger(call)
    why_ignored = delivery.why_ignored or _why_ours(delivery, call, own_user_id=own_user_id, own_email=own_email)
    return delivery.model_copy(
        update={
            "delivery_id": _delivery_id(call if is_event else {}, headers, body),
            "kind": DeliveryKind.IGNORED if why_ignored else delivery.kind,
            "why_ignored": why_ignored,
        }
    )


def _from_event(call: Mapping[str, Any]) -> Delivery:
    detail = lenient.child(call, "detail")
    event_type = lenient.text(call.get("type")).removeprefix(EVENT_PREFIX)
    number = detail.get("id") or lenient.text(call.get("subject")).removeprefix("zen:ticket:")
    external_id = lenient.external_id(number, where="detail.id")
    kind = _event_kind(event_type, lenient.child(call, "event"), tags=lenient.tags(detail.get("tags")))
    return Delivery(
        connector=NAME,
        delivery_id="-",
        kind=kind,
        external_id=external_id,
        ticket=_ticket(external_id, detail),
        actor_id=lenient.optional_id(detail.get("actor_id")),
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


def _from_trigger(call: Mapping[str, Any]) -> Delivery:
    event = lenient.text(call.get("event")).strip().lower()
    kind = TRIGGER_KINDS.get(event)
    if kind is None:
        raise PayloadInvalid(
            f"event is {event[:100]!r}. Paste the trigger body of design/guides/zendesk.md, where event is one of "
            f"{', '.join(TRIGGER_KINDS)}."
        )
    ticket = lenient.child(call, "ticket")
    external_id = lenient.external_id(ticket.get("id"), where="ticket.id")
    return Delivery(
        connector=NAME,
        delivery_id="-",
        kind=kind,
        external_id=external_id,
        ticket=_ticket(external_id, ticket),
        actor_id=lenient.optional_id(call.get("actor_id")),
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


def _why_ours(
    delivery: Delivery, call: Mapping[str, Any], *, own_user_id: str | None, own_email: str | None
) -> str | None:
    """Why this is an echo of our own update; None when a person or another system did it."""
    if delivery.kind in _MUST_BE_HEARD:
        return None
    actor_email = lenient.text(call.get("actor_email")).strip().lower()
    if delivery.actor_id or actor_email:
        by_id = own_user_id is not None and delivery.actor_id == own_user_id
        by_email = own_email is not None and actor_email == own_email.lower()
        return "our own update came back" if by_id or by_email else None
    # Nobody is named. On a ticket we have written to, an assignment or a change is then taken for ours: missing a
    # person's correction costs one training label, answering our own echo costs a loop.
    tags = delivery.ticket.tags if delivery.ticket else ()
    is_marked = delivery.kind in _BY_TAG and any(tag.startswith(MARKER_PREFIX) for tag in tags)
    return "no actor is named and the ticket carries our tag" if is_marked else None


def _delivery_id(event: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> str:
    """
    What stays the same when Zendesk sends again.

    An event's own `id` is inside the signed body and is one for all attempts, invocations and webhooks that carry
    it. Trigger calls have none: there the invocation's id, which all its attempts share.
    """
    invocation = lenient.storable(headers.get(INVOCATION_HEADER, ""), system=INVOCATION_HEADER).strip()
    found = lenient.optional_id(event.get("id")) or invocation or "sha256:" + hashlib.sha256(body).hexdigest()
    return lenient.delivery_id(found)


def _signature(secret: SecretStr, timestamp: str, body: bytes) -> str:
    signed = timestamp.encode("utf-8", "replace") + body
    return base64.b64encode(hmac.digest(secret.get_secret_value().encode(), signed, hashlib.sha256)).decode()


def _sent_at(timestamp: str) -> datetime:
    sent_at = lenient.time(timestamp) if _ISO_TIME.fullmatch(timestamp) else None
    if sent_at is None:
        raise SignatureInvalid(f"{TIMESTAMP_HEADER} is not an ISO 8601 time. Zendesk sends e.g. 2021-03-25T05:09:27Z.")
    return sent_at
