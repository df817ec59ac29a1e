"""Every connector's door: the conformance suite three times, then what only one of them does."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from services.core.connectors import desk, generic, standard_webhooks
from services.core.connectors.registry import build_connectors
from services.core.connectors.settings import ConnectorSettings
from services.core.connectors.zendesk import inbound as zendesk
from services.core.contracts.delivery import DeliveryKind
from services.core.kit.errors import PayloadInvalid, SignatureInvalid
from tests.services.core.connectors.conformance import NEXT_SECRET, NOW, OTHER_SECRET, SECRET, Inbound, Sender

BOTH = (SECRET, NEXT_SECRET)
SETTINGS = ConnectorSettings(
    desk_secrets=BOTH, generic_secrets=BOTH, zendesk_secrets=BOTH, zendesk_user_id="903",
    zendesk_email="Pointsman@example.com",
)  # fmt: skip
# Neither is used: the door needs no database and no network.
CONNECTORS = build_connectors(SETTINGS, pool=AsyncConnectionPool("", open=False), http=httpx.AsyncClient())
ZENDESK_TYPES = {
    DeliveryKind.CREATED: ("created", {}),
    DeliveryKind.ASSIGNED: ("group_assignment_changed", {"current": "98700", "previous": None}),
    DeliveryKind.SOLVED: ("status_changed", {"current": "SOLVED", "previous": "OPEN"}),
    DeliveryKind.UPDATED: ("comment_added", {"comment": {"id": "1"}}),
    DeliveryKind.DELETED: ("soft_deleted", {}),
    DeliveryKind.ERASED: ("permanently_deleted", {}),
}


def standard_payload(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    data = {"status": "new", "tags": ["a"], "requester": {"name": "Ana"}, "comments": [{"body": "b"}], **fields}
    return {"type": f"ticket.{kind}", "timestamp": "2026-11-20T08:59:59Z", "actor_id": "ana", "data": data}


def event_payload(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    name, event = ZENDESK_TYPES[kind]
    detail = {"actor_id": "902", "status": "NEW", "priority": "LOW", "group_id": "98700", "tags": ["a"], "via": {}}
    return {
        "type": f"zen:event-type:ticket.{name}", "id": f"e-{fields['subject']}", "account_id": 1,
        "time": "2026-11-20T08:59:59Z", "detail": detail | dict(fields), "event": event,
    }  # fmt: skip


def trigger_payload(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    ticket = {"status": "Open", "group": "Billing", "tags": "a b", "updated_at": "2026-11-20T08:59:59Z", **fields}
    return {"event": kind.value, "actor_id": "902", "actor_email": "ana@example.com", "ticket": ticket}


def standard_sender(name: str, sign: Any) -> Sender:
    return Sender(
        connector=CONNECTORS[name],
        sign=sign,
        key_of=standard_webhooks.key_of,
        content=lambda timestamp, delivery_id, body: f"{delivery_id}.{timestamp}.".encode() + body,
        signature_header="webhook-signature",
        timestamp_header="webhook-timestamp",
        signature_prefix="v1,",
        wrong_timestamp=datetime.isoformat,
        payload=standard_payload,
    )


def zendesk_sender(payload: Any) -> Sender:
    return Sender(
        connector=CONNECTORS["zendesk"],
        sign=zendesk.sign,
        key_of=lambda secret: secret.get_secret_value().encode(),
        content=lambda timestamp, delivery_id, body: timestamp.encode() + body,
        signature_header="x-zendesk-webhook-signature",
        timestamp_header="x-zendesk-webhook-signature-timestamp",
        signature_prefix="",
        wrong_timestamp=lambda now: str(int(now.timestamp())),
        payload=payload,
    )


class TestDesk(Inbound):
    sender = standard_sender("desk", desk.sign)


class TestGeneric(Inbound):
    sender = standard_sender("generic", generic.sign)


class TestZendeskEvents(Inbound):
    sender = zendesk_sender(event_payload)


class TestZendeskTriggers(Inbound):
    sender = zendesk_sender(trigger_payload)


def test_the_reference_library_and_ours_accept_each_other() -> None:
    """Interoperability with the `standardwebhooks` package, both ways."""
    now, body = datetime.now(NOW.tzinfo), '{"type": "ticket.created", "data": {"id": 1}}'
    reference = Webhook(SECRET.get_secret_value())
    theirs = reference.sign("msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": theirs}
    CONNECTORS["generic"].verify(headers, body.encode(), now=now)
    ours = generic.sign(SECRET, body.encode(), delivery_id="msg_2", now=now)
    assert reference.verify(body, ours) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET.get_secret_value()).verify(body, ours)


def test_several_signatures_in_one_header() -> None:
    """While a secret rotates the sender signs with both; unknown versions beside them do no harm."""
    body = b"{}"
    signed = {secret: generic.sign(secret, body, delivery_id="m", now=NOW) for secret in (OTHER_SECRET, SECRET)}
    both = " ".join(headers["webhook-signature"] for headers in signed.values())
    headers = signed[SECRET] | {"webhook-signature": f"v1a,AAAA {both}"}
    CONNECTORS["generic"].verify(headers, body, now=NOW)
    only_other_version = {"webhook-signature": signed[SECRET]["webhook-signature"].replace("v1,", "v1a,")}
    with pytest.raises(SignatureInvalid):
        CONNECTORS["generic"].verify(headers | only_other_version, body, now=NOW)


def test_another_message_id_is_refused() -> None:
    """The id is signed too: a replay cannot pass for a new delivery."""
    headers = generic.sign(SECRET, b"{}", delivery_id="m-1", now=NOW)
    with pytest.raises(SignatureInvalid):
        CONNECTORS["generic"].verify(headers | {"webhook-id": "m-2"}, b"{}", now=NOW)


def test_zendesks_published_test_secret_makes_its_signature() -> None:
    """Timestamp before body, by the secret that Zendesk documents for webhooks not yet created."""
    secret = SecretStr("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==")
    settings = ConnectorSettings(zendesk_secrets=(secret,))
    door = build_connectors(settings, pool=AsyncConnectionPool("", open=False), http=httpx.AsyncClient())["zendesk"]
    # Made apart from our code:
    # printf '%s' '2026-11-20T09:00:00Z{}' | openssl dgst -sha256 -hmac "$SECRET" -binary | base64
    headers = {
        "x-zendesk-webhook-signature": "ZVOOi1E4V1FADBgHl4p6tXuyytqbpmLfyJ0x7EuFjoQ=",
        "x-zendesk-webhook-signature-timestamp": "2026-11-20T09:00:00Z",
    }
    door.verify(headers, b"{}", now=NOW)


@pytest.mark.parametrize("timestamp", ["20261120T090000Z", "2026-11-20T09:00:00", "2026-11-20 09:00:00Z", "2026-11-20"])
def test_zendesk_takes_one_form_of_time_only(timestamp: str) -> None:
    """What Python would read as a time, though Zendesk never sends it, is refused even when signed rightly."""
    sender = TestZendeskEvents.sender
    headers = sender.forged(b"{}", sender.content(timestamp, "", b"{}"), timestamp=timestamp)
    with pytest.raises(SignatureInvalid, match="ISO 8601"):
        sender.connector.verify(headers, b"{}", now=NOW)


def test_an_empty_body_may_be_signed() -> None:
    """Zendesk signs GET-like calls with an empty body: the signature holds, the payload does not."""
    headers = zendesk.sign(SECRET, b"", delivery_id="i", now=NOW)
    CONNECTORS["zendesk"].verify(headers, b"", now=NOW)
    with pytest.raises(PayloadInvalid):
        CONNECTORS["zendesk"].parse(headers, b"")


def zendesk_event(name: str, event: Mapping[str, Any] | None = None, **detail: Any) -> Any:
    payload = event_payload(DeliveryKind.CREATED, {"id": 17, "subject": "s"} | detail)
    payload |= {"type": f"zen:event-type:ticket.{name}", "event": event or {}}
    return CONNECTORS["zendesk"].parse({"x-zendesk-webhook-invocation-id": "i-1"}, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("name", "event", "detail", "kind"),
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
def test_zendesk_event_types(name: str, event: Any, detail: Any, kind: DeliveryKind) -> None:
    """What each event type means to us; an ignored one says why."""
    delivery = zendesk_event(name, event, **detail)
    assert delivery.kind is kind
    assert (delivery.why_ignored is not None) == (kind is DeliveryKind.IGNORED)


def test_zendesk_delivery_id_is_the_events() -> None:
    """One event that reaches us through two invocations is one delivery: the id is in the signed body."""
    body = json.dumps(event_payload(DeliveryKind.CREATED, {"id": 1, "subject": "s"})).encode()
    ids = {
        CONNECTORS["zendesk"].parse({"x-zendesk-webhook-invocation-id": i}, body).delivery_id for i in ("i-1", "i-2")
    }
    assert ids == {"e-s"}


def test_zendesk_ticket_id_from_the_events_subject() -> None:
    """Some events name the ticket only there."""
    body = b'{"type": "zen:event-type:ticket.created", "id": "e", "subject": "zen:ticket:42", "detail": {}}'
    assert CONNECTORS["zendesk"].parse({}, body).external_id == "42"


@pytest.mark.parametrize("name", ["created", "group_assignment_changed", "comment_added", "priority_changed"])
@pytest.mark.parametrize("actor_id", [903, "903"])
def test_our_own_update_comes_back_ignored(name: str, actor_id: Any) -> None:
    """The loop guard, by actor."""
    delivery = zendesk_event(name, {"current": "98700"}, actor_id=actor_id)
    assert delivery.kind is DeliveryKind.IGNORED
    assert "our own" in delivery.why_ignored


@pytest.mark.parametrize("name", ["soft_deleted", "permanently_deleted"])
def test_erasure_is_heard_even_from_ourselves(name: str) -> None:
    """The text must go whoever deleted the ticket."""
    assert zendesk_event(name, actor_id=903).kind in (DeliveryKind.DELETED, DeliveryKind.ERASED)


def test_without_an_actor_our_tag_decides() -> None:
    """Nobody named: a marked ticket's assignment is taken for our echo; a person's is not, nor a new ticket."""
    marked = {"tags": ["pointsman_0123456789ab"], "actor_id": None}
    assert zendesk_event("group_assignment_changed", {"current": 1}, **marked).kind is DeliveryKind.IGNORED
    person = marked | {"actor_id": 902}
    assert zendesk_event("group_assignment_changed", {"current": 1}, **person).kind is DeliveryKind.ASSIGNED
    assert zendesk_event("created", **marked).kind is DeliveryKind.CREATED
    assert zendesk_event("status_changed", {"current": "SOLVED"}, **marked).kind is DeliveryKind.SOLVED


def test_a_triggers_actor_may_be_known_by_email() -> None:
    """Trigger bodies name the current user by e-mail, in any case."""
    payload = trigger_payload(DeliveryKind.ASSIGNED, {"id": 1})
    payload |= {"actor_id": "", "actor_email": "POINTSMAN@example.com"}
    assert CONNECTORS["zendesk"].parse({}, json.dumps(payload).encode()).kind is DeliveryKind.IGNORED


def test_the_desk_takes_numbers_only() -> None:
    """A desk ticket that cannot exist is refused at the door."""
    with pytest.raises(PayloadInvalid, match="desk ticket's number"):
        CONNECTORS["desk"].parse({}, b'{"type": "ticket.created", "data": {"id": "abc"}}')


def test_our_own_desk_update_comes_back_ignored() -> None:
    """The desk names the actor; erasure is heard all the same."""
    parse = CONNECTORS["desk"].parse
    own = {"actor_id": "pointsman", "data": {"id": 1}}
    assert parse({}, json.dumps(own | {"type": "ticket.assigned"}).encode()).kind is DeliveryKind.IGNORED
    assert parse({}, json.dumps(own | {"type": "ticket.erased"}).encode()).kind is DeliveryKind.ERASED


def test_an_unknown_event_type_is_ignored_and_says_so() -> None:
    """A sender may send more than we use."""
    delivery = CONNECTORS["generic"].parse({}, b'{"type": "ticket.viewed", "data": {"id": 1}}')
    assert delivery.kind is DeliveryKind.IGNORED
    assert "ticket.viewed" in (delivery.why_ignored or "")


def test_only_connectors_with_a_secret_are_on() -> None:
    """No secret, no door."""
    pool, http = AsyncConnectionPool("", open=False), httpx.AsyncClient()
    assert set(CONNECTORS) == {"desk", "generic", "zendesk"}
    assert set(build_connectors(ConnectorSettings(desk_secrets=BOTH), pool=pool, http=http)) == {"desk"}
    assert set(build_connectors(ConnectorSettings(), pool=pool, http=http)) == {"desk"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"generic_secrets": ["whsec_hunter2!"]}, "whsec_"),
        ({"desk_secrets": ["whsec_"]}, "whsec_"),
        ({"zendesk_secrets": [" "]}, "blank"),
        ({"zendesk_base_url": "example.zendesk.com"}, "https://"),
        ({"zendesk_base_url": "https://x.zendesk.com"}, "zendesk_api_token"),
        ({"zendesk_base_url": "https://x.zendesk.com", "zendesk_oauth_token": "t"}, "zendesk_user_id"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(given: Any, said: str) -> None:
    """The message says what to give, and never repeats a secret."""
    with pytest.raises(ValueError, match=said) as caught:
        ConnectorSettings.model_validate(given)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """Settings may be printed."""
    assert SECRET.get_secret_value() not in repr(SETTINGS)
