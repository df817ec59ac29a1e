"""
What every connector must pass. A new one subclasses `Inbound` and `Outbound`; design/guides/connectors.md shows how.

`Inbound` needs a `Sender`: the sending system's side, written so that it can also sign wrongly in every known way.
`Outbound` needs a `System`: the running system (or an honest double) with faults that can be switched on.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.core.connectors.port import Connector
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Priority, Status, TicketUpdate
from services.core.kit.errors import ConnectorUnavailable, PayloadInvalid, SignatureInvalid, SignatureStale

NOW = datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC)
SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LW9uZQ==")
NEXT_SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LXR3bw==")
OTHER_SECRET = SecretStr("whsec_" + "YS1zZWNyZXQtb2Ytc29tZWJvZHktZWxzZQ==")
TOLERANCE_S = 300
ID_HEADERS = ("webhook-id", "x-zendesk-webhook-invocation-id")
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["\ud800", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
# One suite runs in several classes on purpose (differing_executors). No deadline: test machines are shared.
FUZZ = settings(deadline=None, database=None, max_examples=100, suppress_health_check=[HealthCheck.differing_executors])


@dataclass(frozen=True)
class Sender:
    """
    The sending side of one connector.

    `connector` knows SECRET and NEXT_SECRET. `content` is what gets signed: (timestamp, delivery id, body) -> bytes.
    `body` makes a payload: (event words of this sender, ticket fields) -> JSON object.
    """

    connector: Connector
    sign: Callable[..., dict[str, str]]
    key_of: Callable[[SecretStr], bytes]
    content: Callable[[str, str, bytes], bytes]
    signature_header: str
    timestamp_header: str
    signature_prefix: str
    wrong_timestamp: Callable[[datetime], str]
    payload: Callable[[DeliveryKind, Mapping[str, Any]], dict[str, Any]]

    def body(self, kind: DeliveryKind = DeliveryKind.CREATED, **fields: Any) -> bytes:
        return json.dumps(self.payload(kind, {"id": "17", "subject": "Printer on fire", **fields})).encode()

    def signed(
        self, body: bytes, *, now: datetime = NOW, secret: SecretStr = SECRET, id: str = "d-1"
    ) -> dict[str, str]:
        return self.sign(secret, body, delivery_id=id, now=now)

    def forged(
        self, body: bytes, content: bytes, *, form: str = "base64", timestamp: str | None = None
    ) -> dict[str, str]:
        """Headers as for `body`, but with the signature of `content`, by the right secret."""
        headers = self.signed(body)
        digest = hmac.digest(self.key_of(SECRET), content, hashlib.sha256)
        text = digest.hex() if form == "hex" else base64.b64encode(digest).decode()
        changed = {self.signature_header: self.signature_prefix + text}
        return headers | changed | ({self.timestamp_header: timestamp} if timestamp else {})


class Inbound:
    """Every claim about `verify` and `parse`."""

    sender: Sender

    def accepts(self, headers: Mapping[str, str], body: bytes, *, now: datetime = NOW) -> None:
        self.sender.connector.verify(headers, body, now=now)

    def refuses(self, headers: Mapping[str, str], body: bytes, *, now: datetime = NOW) -> None:
        with pytest.raises(SignatureInvalid):
            self.sender.connector.verify(headers, body, now=now)

    def test_the_right_signature_passes(self) -> None:
        """A call signed by the rules is accepted."""
        body = self.sender.body()
        self.accepts(self.sender.signed(body), body)

    def test_our_forgery_tool_can_sign_rightly(self) -> None:
        """The tests below refuse forgeries because they are wrong, not because the tool cannot sign."""
        body = self.sender.body()
        timestamp = self.sender.signed(body)[self.sender.timestamp_header]
        self.accepts(self.sender.forged(body, self.sender.content(timestamp, "d-1", body)), body)

    @pytest.mark.parametrize("wrong", ["hex", "timestamp.body", "body+timestamp", "body", "timestamp"])
    def test_a_signature_made_wrongly_is_refused(self, wrong: str) -> None:
        """Each way that public code gets it wrong."""
        body = self.sender.body()
        timestamp = self.sender.signed(body)[self.sender.timestamp_header]
        stamp = timestamp.encode()
        contents = {
            "hex": self.sender.content(timestamp, "d-1", body),
            "timestamp.body": stamp + b"." + body,
            "body+timestamp": body + stamp,
            "body": body,
            "timestamp": stamp,
        }
        self.refuses(self.sender.forged(body, contents[wrong], form="hex" if wrong == "hex" else "base64"), body)

    def test_a_timestamp_in_the_wrong_form_is_refused(self) -> None:
        """Unix seconds where ISO 8601 is due, or the other way round, though signed rightly."""
        body, timestamp = self.sender.body(), self.sender.wrong_timestamp(NOW)
        headers = self.sender.forged(body, self.sender.content(timestamp, "d-1", body), timestamp=timestamp)
        self.refuses(headers, body)

    @pytest.mark.parametrize("age_s", [-TOLERANCE_S, 0, TOLERANCE_S])
    def test_within_the_tolerance_passes(self, age_s: int) -> None:
        """Both edges belong to it."""
        body = self.sender.body()
        self.accepts(self.sender.signed(body, now=NOW - timedelta(seconds=age_s)), body)

    @pytest.mark.parametrize("age_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 86_400 * 400])
    def test_stale_or_from_the_future_is_refused(self, age_s: int) -> None:
        """One second beyond either edge, and a year-old replay."""
        body = self.sender.body()
        with pytest.raises(SignatureStale):
            self.sender.connector.verify(self.sender.signed(body, now=NOW - timedelta(seconds=age_s)), body, now=NOW)

    def test_an_altered_body_is_refused(self) -> None:
        """One byte more, one byte other, and none at all."""
        body = self.sender.body()
        for altered in (body + b" ", body.replace(b"fire", b"ice!"), b""):
            self.refuses(self.sender.signed(body), altered)

    def test_another_timestamp_is_refused(self) -> None:
        """The time is part of what is signed: a replay cannot make itself young."""
        body = self.sender.body()
        later = self.sender.signed(body, now=NOW + timedelta(seconds=60))
        name = self.sender.timestamp_header
        self.refuses(self.sender.signed(body) | {name: later[name]}, body)

    def test_every_signing_header_is_needed(self) -> None:
        """Missing or empty: refused."""
        body = self.sender.body()
        headers = self.sender.signed(body)
        for name in (self.sender.signature_header, self.sender.timestamp_header):
            self.refuses({key: value for key, value in headers.items() if key != name}, body)
            self.refuses(headers | {name: ""}, body)

    @pytest.mark.parametrize("nonsense", ["v1,", ",", "é", "=", "v1,AAAA", "A" * 44, "v1,v1,v1", "\x00", " "])
    def test_a_nonsense_signature_is_refused(self, nonsense: str) -> None:
        """Refused, and never an error of another kind."""
        body = self.sender.body()
        self.refuses(self.sender.signed(body) | {self.sender.signature_header: nonsense}, body)

    @pytest.mark.parametrize("nonsense", ["x", "-1", "9" * 30, "2026-99-99T00:00:00Z", "NaN", "é"])
    def test_a_nonsense_timestamp_is_refused(self, nonsense: str) -> None:
        """Even when it is what was signed."""
        body = self.sender.body()
        content = self.sender.content(nonsense, "d-1", body)
        self.refuses(self.sender.forged(body, content, timestamp=nonsense), body)

    def test_both_secrets_pass_while_one_replaces_the_other(self) -> None:
        """Rotation: the old and the new secret are good, a third is not."""
        body = self.sender.body()
        self.accepts(self.sender.signed(body, secret=SECRET), body)
        self.accepts(self.sender.signed(body, secret=NEXT_SECRET), body)
        self.refuses(self.sender.signed(body, secret=OTHER_SECRET), body)

    def test_sent_again_it_is_the_same_delivery(self) -> None:
        """A retry is signed anew and keeps its delivery id; another call has another."""
        body = self.sender.body()
        first, again = (self.sender.signed(body, now=NOW + timedelta(seconds=s)) for s in (0, 30))
        parse = self.sender.connector.parse
        assert parse(first, body).delivery_id == parse(again, body).delivery_id
        other = self.sender.body(subject="Another")
        assert parse(self.sender.signed(other, id="d-2"), other).delivery_id != parse(first, body).delivery_id

    def test_out_of_order_every_call_stands_alone(self) -> None:
        """`solved` before `created`: each parses to itself, with the time it happened."""
        kinds = [DeliveryKind.SOLVED, DeliveryKind.ASSIGNED, DeliveryKind.CREATED]
        bodies = [self.sender.body(kind) for kind in kinds]
        deliveries = [self.sender.connector.parse(self.sender.signed(body), body) for body in bodies]
        assert [delivery.kind for delivery in deliveries] == kinds
        assert {delivery.external_id for delivery in deliveries} == {"17"}
        assert all(delivery.occurred_at is not None for delivery in deliveries)

    @pytest.mark.parametrize("kind", [DeliveryKind.DELETED, DeliveryKind.ERASED, DeliveryKind.UPDATED])
    def test_the_other_kinds_are_told_apart(self, kind: DeliveryKind) -> None:
        """Deletion and erasure must never be taken for something else."""
        body = self.sender.body(kind)
        assert self.sender.connector.parse(self.sender.signed(body), body).kind is kind

    def test_unknown_fields_do_no_harm(self) -> None:
        """Whatever the system adds next year."""
        body = self.sender.body(invented_next_year={"deep": [1, None, {"x": True}]})
        assert self.sender.connector.parse(self.sender.signed(body), body).external_id == "17"

    def test_ids_may_be_numbers_or_strings(self) -> None:
        """The same ticket either way."""
        bodies = [self.sender.body(id=17), self.sender.body(id="17")]
        assert {self.sender.connector.parse({}, body).external_id for body in bodies} == {"17"}

    def test_words_may_be_in_any_case(self) -> None:
        """Status and priority in capitals."""
        body = self.sender.body(status="OPEN", priority="URGENT")
        ticket = self.sender.connector.parse({}, body).ticket
        assert ticket is not None
        assert (ticket.status, ticket.priority) == (Status.OPEN, Priority.URGENT)

    @pytest.mark.parametrize("bad_id", [None, "", " ", True, [], {}, 1.5, "x" * 129])
    def test_no_usable_ticket_id_is_said_so(self, bad_id: Any) -> None:
        """The message names the field."""
        with pytest.raises(PayloadInvalid, match=r"id"):
            self.sender.connector.parse({}, self.sender.body(id=bad_id))

    @pytest.mark.parametrize(
        "body", [b"", b"null", b"[]", b"17", b"{", b"\xff\xfe", b'{"a":' * 20_000, b'{"a":' * 60 + b"1" + b"}" * 60]
    )
    def test_garbage_is_payload_invalid(self, body: bytes) -> None:
        """Empty, not JSON, not an object, not UTF-8, bottomless."""
        with pytest.raises(PayloadInvalid):
            self.sender.connector.parse({}, body)

    def test_an_error_never_repeats_the_text(self) -> None:
        """Ticket text must not get into logs by way of a parse error."""
        with pytest.raises(PayloadInvalid) as caught:
            self.sender.connector.parse({}, b'{"subject": "my card is 4111 1111 1111 1111')
        assert "4111" not in str(caught.value)

    @FUZZ
    @given(body=st.binary(max_size=200))
    def test_any_bytes_parse_or_are_invalid(self, body: bytes) -> None:
        """Nothing but PayloadInvalid ever comes out of it."""
        parsed_or_invalid(self.sender.connector, {}, body)

    @FUZZ
    @given(value=JSON_VALUES)
    def test_any_json_parses_or_is_invalid(self, value: Any) -> None:
        """The same for whatever is JSON (and for what Python writes as JSON: NaN, lone surrogates)."""
        parsed_or_invalid(self.sender.connector, {}, json.dumps(value).encode())

    @FUZZ
    @given(data=st.data())
    def test_any_value_in_any_field_parses_or_is_invalid(self, data: st.DataObject) -> None:
        """A good payload with up to three fields replaced, and any delivery id."""
        kind = data.draw(st.sampled_from([DeliveryKind.CREATED, DeliveryKind.ASSIGNED, DeliveryKind.SOLVED]))
        payload = json.loads(self.sender.body(kind))  # a copy: what is replaced here must not reach the next test
        for _ in range(data.draw(st.integers(1, 3))):
            path = data.draw(st.sampled_from(list(_paths(payload))))
            _replace(payload, path, data.draw(JSON_VALUES))
        headers = self.sender.signed(b"") | {name: data.draw(st.text()) for name in ID_HEADERS}
        parsed_or_invalid(self.sender.connector, headers, json.dumps(payload).encode())


class System(Protocol):
    """A running ticketing system, or its honest double."""

    connector: Connector

    async def open_ticket(self) -> str:
        """A fresh ticket's id; it may be a made-up one where the system cannot be asked."""
        ...

    async def fail_next_write(self, fault: str) -> None:
        """The next write meets `fault`: `rate_limited` says Retry-After: 7, the others speak for themselves."""
        ...

    async def notes(self, external_id: str) -> list[str]:
        """Every note that took effect on the ticket, as the system itself knows them."""
        ...


class Outbound:
    """Every claim about `write`. Subclasses say which faults their system can have by the fixture `fault`."""

    def update(self, external_id: str, **fields: Any) -> TicketUpdate:
        given = {"key": f"{external_id}/route", "group": "Billing", "priority": "high", "note": "because"}
        return TicketUpdate.model_validate(given | {"external_id": external_id, "tags": ("routed",)} | fields)

    async def test_a_write_takes_effect(self, system: System) -> None:
        """And says so."""
        external_id = await system.open_ticket()
        result = await system.connector.write(self.update(external_id))
        assert result.status == "written"
        assert await system.notes(external_id) == ["because"]

    async def test_the_same_key_again_has_no_second_effect(self, system: System) -> None:
        """However often, and with whatever content."""
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        again = [await system.connector.write(self.update(external_id, note=note)) for note in ("because", "other")]
        assert {result.status for result in again} == {"already"}
        assert await system.notes(external_id) == ["because"]

    async def test_another_key_has_its_own_effect(self, system: System) -> None:
        """Two stages of one ticket both write."""
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        second = await system.connector.write(self.update(external_id, key="k2", note="summary"))
        assert second.status == "written"
        assert await system.notes(external_id) == ["because", "summary"]

    async def test_five_at_once_have_one_effect(self, system: System) -> None:
        """Five workers with one update: one writes, the others find it done."""
        external_id = await system.open_ticket()
        results = await asyncio.gather(*(system.connector.write(self.update(external_id)) for _ in range(5)))
        assert sorted(result.status for result in results) == ["already"] * 4 + ["written"]
        assert await system.notes(external_id) == ["because"]

    async def test_a_fault_then_a_retry_has_one_effect(self, system: System, fault: str) -> None:
        """Refused for now, broken off, or done but never answered: the retry leaves exactly one effect."""
        external_id = await system.open_ticket()
        await system.fail_next_write(fault)
        with pytest.raises(ConnectorUnavailable) as caught:
            await system.connector.write(self.update(external_id))
        assert caught.value.retryable
        if fault == "rate_limited":
            assert caught.value.retry_after_s == 7
        retried = await system.connector.write(self.update(external_id))
        assert retried.status == ("already" if fault.endswith("after_effect") else "written")
        assert await system.notes(external_id) == ["because"]


def parsed_or_invalid(connector: Connector, headers: Mapping[str, str], body: bytes) -> None:
    """Parses to something that can be stored, the same each time, or raises PayloadInvalid."""
    try:
        delivery = connector.parse(headers, body)
    except PayloadInvalid:
        return
    stored = delivery.model_dump_json()
    assert "\\u0000" not in stored
    stored.encode("utf-8")
    assert connector.parse(headers, body) == delivery


def _paths(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Where the fields of nested objects lie."""
    for key in value if isinstance(value, dict) else ():
        yield (*path, key)
        yield from _paths(value[key], (*path, key))


def _replace(payload: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for key in parents:
        payload = payload.get(key)  # ty: ignore[invalid-assignment]
        if not isinstance(payload, dict):
            return  # an earlier replacement took this branch away
    payload[last] = value
