"""Zendesk's door: event webhooks and trigger webhooks."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.zendesk.connector import Zendesk
from services.core.connectors.zendesk.settings import ZendeskSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.kit.errors import PayloadInvalid, SignatureInvalid
from tests.services.core.connectors.conformance import BOTH, NOW, Sender
from tests.services.core.connectors.inbound import Inbound

SETTINGS = ZendeskSettings(secrets=BOTH, user_id="903", email="Pointsman@example.com")
ZENDESK = Zendesk(SETTINGS, httpx.AsyncClient())
TYPES = {
    DeliveryKind.CREATED: ("created", {}),
    DeliveryKind.ASSIGNED: ("group_assignment_changed", {"current": "98700", "previous": None}),
    DeliveryKind.SOLVED: ("status_changed", {"current": "SOLVED", "previous": "OPEN"}),
    DeliveryKind.COMMENTED: ("comment_added", {"comment": {"id": "1"}}),
    DeliveryKind.UPDATED: ("priority_changed", {"current": "HIGH"}),
    DeliveryKind.DELETED: ("soft_deleted", {}),
    DeliveryKind.ERASED: ("permanently_deleted", {}),
}


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    name, what = TYPES[kind]
    detail = {"actor_id": "902", "status": "NEW", "priority": "LOW", "group_id": "98700", "tags": ["a"], "via": {}}
    return {
        "type": f"zen:event-type:ticket.{name}", "id": f"e-{fields['subject']}", "account_id": 1,
        "time": "2026-11-20T08:59:59Z", "detail": detail | dict(fields), "event": what,
    }  # fmt: skip


def trigger(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    ticket = {"status": "Open", "group": "Billing", "tags": "a b", "updated_at": "2026-11-20T08:59:59Z", **fields}
    return {"event": kind.value, "actor_id": "902", "actor_email": "ana@example.com", "ticket": ticket}


class TestEvents(Inbound):
    sender = Sender(ZENDESK, event)


class TestTriggers(Inbound):
    sender = Sender(ZENDESK, trigger)


def heard(body: bytes, headers: Mapping[str, str] | None = None) -> Delivery:
    [found] = ZENDESK.parse(Call(headers or {}, body))
    assert isinstance(found, Delivery)
    return found


def heard_event(name: str, what: Mapping[str, Any] | None = None, **detail: Any) -> Delivery:
    payload = event(DeliveryKind.CREATED, {"id": 17, "subject": "s"} | detail)
    payload |= {"type": f"zen:event-type:ticket.{name}", "event": what or {}}
    return heard(json.dumps(payload).encode())


def test_the_published_test_secret_makes_its_signature() -> None:
    """Timestamp before body, by the secret that Zendesk documents for webhooks not yet created."""
    secret = SecretStr("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==")
    # Made apart from our code:
    # printf '%s' '2026-11-20T09:00:00Z{}' | openssl dgst -sha256 -hmac "$SECRET" -binary | base64
    headers = {
        "x-zendesk-webhook-signature": "ZVOOi1E4V1FADBgHl4p6tXuyytqbpmLfyJ0x7EuFjoQ=",
        "x-zendesk-webhook-signature-timestamp": "2026-11-20T09:00:00Z",
    }
    Zendesk(ZendeskSettings(secrets=(secret,)), httpx.AsyncClient()).verify(Call(headers, b"{}"), now=NOW)


@pytest.mark.parametrize("timestamp", ["20261120T090000Z", "2026-11-20T09:00:00", "2026-11-20 09:00:00Z", "2026-11-20"])
def test_one_form_of_time_only(timestamp: str) -> None:
    """What Python would read as a time, though Zendesk never sends it, is refused even when signed rightly."""
    call = TestEvents.sender.forged(b"{}", "{timestamp}{body}", timestamp=timestamp)
    with pytest.raises(SignatureInvalid, match="ISO 8601"):
        ZENDESK.verify(call, now=NOW)


def test_an_empty_body_may_be_signed() -> None:
    """Zendesk signs GET-like calls with an empty body: the signature holds, the payload does not."""
    call = TestEvents.sender.signed(b"")
    ZENDESK.verify(call, now=NOW)
    with pytest.raises(PayloadInvalid):
        ZENDESK.parse(call)


@pytest.mark.parametrize(
    ("name", "what", "detail", "kind"),
    [
        ("status_changed", {"current": "CLOSED"}, {}, DeliveryKind.SOLVED),
        ("status_changed", {"current": "solved"}, {}, DeliveryKind.SOLVED),
        ("status_changed", {"current": "PENDING"}, {}, DeliveryKind.UPDATED),
        ("status_changed", {"current": "CLOSED"}, {"tags": ["closed_by_merge"]}, DeliveryKind.UPDATED),
        ("agent_assignment_changed", {"current": 902}, {}, DeliveryKind.ASSIGNED),
        ("group_assignment_changed", {"current": None}, {}, DeliveryKind.UPDATED),
        ("priority_changed", {"current": "HIGH"}, {}, DeliveryKind.UPDATED),
        ("merged", {}, {}, DeliveryKind.UPDATED),
        ("tags_changed", {}, {}, DeliveryKind.IGNORED),
        ("invented_next_year", {}, {}, DeliveryKind.IGNORED),
    ],
)
def test_event_types(name: str, what: Any, detail: Any, kind: DeliveryKind) -> None:
    """What each event type means to us; an ignored one says why."""
    delivery = heard_event(name, what, **detail)
    assert delivery.kind is kind
    assert (delivery.why_ignored is not None) == (kind is DeliveryKind.IGNORED)


def test_a_comment_is_told_with_who_may_read_it() -> None:
    """Conversations carry public ones to the customer, and never the others."""
    delivery = heard_event("comment_added", {"comment": {"body": "psst", "is_public": False, "author": {"id": 902}}})
    assert delivery.comment is not None
    assert (delivery.comment.body, delivery.comment.public, delivery.comment.author_id) == ("psst", False, "902")


def test_the_delivery_id_is_the_events() -> None:
    """One event that reaches us through two webhooks is one delivery: the id is in the signed body."""
    body = json.dumps(event(DeliveryKind.CREATED, {"id": 1, "subject": "s"})).encode()
    assert heard(body, {"x-zendesk-webhook-invocation-id": "i-1"}).delivery_id == "e-s"


def test_a_trigger_replayed_under_other_invocations_is_one_delivery() -> None:
    """Its invocation id is not signed, so it cannot tell two calls apart; what is signed can."""
    body = json.dumps(trigger(DeliveryKind.SOLVED, {"id": 1})).encode()
    ids = {heard(body, {"x-zendesk-webhook-invocation-id": f"i-{n}"}).delivery_id for n in range(4)}
    assert len(ids) == 1
    later = trigger(DeliveryKind.SOLVED, {"id": 1, "updated_at": "2026-11-20T09:10:00Z"})
    assert heard(json.dumps(later).encode()).delivery_id not in ids


def test_a_merge_that_a_trigger_tells_solves_nothing() -> None:
    """As with the event: Zendesk closes the copy, and a summary of it would teach nothing."""
    merged = trigger(DeliveryKind.SOLVED, {"id": 1})
    merged["ticket"] |= {"status": "Closed", "tags": "vpn closed_by_merge"}
    assert heard(json.dumps(merged).encode()).kind is DeliveryKind.UPDATED


def test_the_ticket_id_may_be_in_the_events_subject() -> None:
    """Some events name the ticket only there."""
    body = b'{"type": "zen:event-type:ticket.created", "id": "e", "subject": "zen:ticket:42", "detail": {}}'
    assert heard(body).external_id == "42"


@pytest.mark.parametrize("name", ["created", "group_assignment_changed", "comment_added", "priority_changed"])
@pytest.mark.parametrize("actor_id", [903, "903"])
def test_our_own_update_comes_back_ignored(name: str, actor_id: Any) -> None:
    """The loop guard, by actor."""
    delivery = heard_event(name, {"current": "98700"}, actor_id=actor_id)
    assert delivery.kind is DeliveryKind.IGNORED
    assert "our own" in (delivery.why_ignored or "")


@pytest.mark.parametrize("name", ["soft_deleted", "permanently_deleted"])
def test_erasure_is_heard_even_from_ourselves(name: str) -> None:
    """The text must go whoever deleted the ticket."""
    assert heard_event(name, actor_id=903).kind in (DeliveryKind.DELETED, DeliveryKind.ERASED)


def test_without_an_actor_our_tag_decides() -> None:
    """Nobody named: a marked ticket's assignment is taken for our echo; a person's is not, nor a new ticket."""
    marked = {"tags": ["pointsman_0123456789ab"], "actor_id": None}
    assert heard_event("group_assignment_changed", {"current": 1}, **marked).kind is DeliveryKind.IGNORED
    person = marked | {"actor_id": 902}
    assert heard_event("group_assignment_changed", {"current": 1}, **person).kind is DeliveryKind.ASSIGNED
    assert heard_event("created", **marked).kind is DeliveryKind.CREATED
    assert heard_event("status_changed", {"current": "SOLVED"}, **marked).kind is DeliveryKind.SOLVED


def test_a_triggers_actor_may_be_known_by_email() -> None:
    """Trigger bodies name the current user by e-mail, in any case."""
    payload = trigger(DeliveryKind.ASSIGNED, {"id": 1}) | {"actor_id": "", "actor_email": "POINTSMAN@example.com"}
    assert heard(json.dumps(payload).encode()).kind is DeliveryKind.IGNORED
