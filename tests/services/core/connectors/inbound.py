"""Every claim about the calls a system makes: what is refused, what is heard, and that nothing breaks the reader."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.core.connectors.door import Call, Shared, Signed, written_time
from services.core.connectors.hearing import Unusable
from services.core.connectors.port import Connector
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Priority, Status
from services.core.kit.errors import PayloadInvalid, SignatureInvalid, SignatureStale
from tests.services.core.connectors.conformance import BOTH, NOW, OTHER_SECRET, TOLERANCE_S, URL, Sender

WRONGLY_SIGNED = (
    "other form", "{timestamp}.{body}", "{timestamp}{body}", "{body}{timestamp}", "{body}", "{timestamp}", "{url}{body}"
)  # fmt: skip
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
UNCHECKED = [HealthCheck.differing_executors, HealthCheck.too_slow]
FUZZ = settings(deadline=None, database=None, max_examples=100, suppress_health_check=UNCHECKED)


class AnyHeader(dict[str, str]):
    """Headers in which every other name is there as well, whichever a connector may ask for."""

    def __init__(self, headers: Mapping[str, str], other: str) -> None:
        super().__init__(headers)
        self.other = other

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return self.other

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


class Inbound:
    """Every claim about `verify` and `parse`."""

    sender: Sender

    def accepts(self, call: Call, *, now: datetime = NOW) -> None:
        self.sender.connector.verify(call, now=now)

    def refuses(self, call: Call, *, now: datetime = NOW) -> None:
        with pytest.raises(SignatureInvalid):
            self.sender.connector.verify(call, now=now)

    def heard(self, body: bytes, headers: Mapping[str, str] | None = None) -> Delivery:
        [found] = self.sender.connector.parse(Call(headers or {}, body, "POST", URL))
        assert isinstance(found, Delivery)
        return found

    def signing(self) -> Signed:
        if not isinstance(self.sender.door, Signed):
            pytest.skip("this system does not sign, it shares a secret")
        return self.sender.door

    def timed(self) -> Signed:
        if self.signing().timestamp_header is None:
            pytest.skip("this system signs no time")
        return self.signing()

    def tells(self, kind: DeliveryKind) -> None:
        if kind not in self.sender.kinds:
            pytest.skip(f"this system tells of no {kind}")

    def carries_fields(self) -> None:
        if self.sender.is_thin:
            pytest.skip("this system's events carry no fields of the ticket")

    def test_the_right_signature_passes(self) -> None:
        """A call signed by the rules is accepted."""
        self.accepts(self.sender.signed(self.sender.body()))

    def test_our_forgery_tool_can_sign_rightly(self) -> None:
        """The tests below refuse forgeries because they are wrong, not because the tool cannot sign."""
        self.accepts(self.sender.forged(self.sender.body(), self.signing().content))

    @pytest.mark.parametrize("wrong", WRONGLY_SIGNED)
    def test_a_signature_made_wrongly_is_refused(self, wrong: str) -> None:
        """Each way that public code gets it wrong."""
        door, body = self.signing(), self.sender.body()
        if wrong == door.content:
            pytest.skip("this one is right here")
        if wrong == "other form":
            self.refuses(self.sender.forged(body, door.content, swap_form=True))
        elif not (door.content == "{body}" and wrong in ("{timestamp}{body}", "{body}{timestamp}")):
            self.refuses(self.sender.forged(body, wrong))

    @pytest.mark.parametrize("form", ["s", "ms", "iso"])
    def test_a_timestamp_in_the_wrong_form_is_refused(self, form: Any) -> None:
        """Seconds for milliseconds, or ISO 8601 for either, though signed rightly."""
        door = self.timed()
        call = self.sender.forged(self.sender.body(), door.content, timestamp=written_time(NOW, form))
        self.accepts(call) if form == door.timestamp_form else self.refuses(call)

    @pytest.mark.parametrize("age_s", [-TOLERANCE_S, 0, TOLERANCE_S])
    def test_within_the_tolerance_passes(self, age_s: int) -> None:
        """Both edges belong to it."""
        self.accepts(self.sender.signed(self.sender.body(), now=NOW - timedelta(seconds=age_s)))

    @pytest.mark.parametrize("age_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 86_400 * 400])
    def test_stale_or_from_the_future_is_refused(self, age_s: int) -> None:
        """One second beyond either edge, and a year-old replay."""
        self.timed()
        with pytest.raises(SignatureStale):
            self.accepts(self.sender.signed(self.sender.body(), now=NOW - timedelta(seconds=age_s)))

    def test_an_altered_body_is_refused(self) -> None:
        """One byte more, one byte other, and none at all."""
        self.signing()
        call = self.sender.signed(self.sender.body())
        for altered in (call.body + b" ", call.body[:-1] + b" ", b""):
            self.refuses(Call(call.headers, altered, call.method, call.url))

    def test_another_address_or_method_is_refused_where_they_are_signed(self) -> None:
        """A call to one address cannot be replayed to another."""
        door, call = self.signing(), self.sender.signed(self.sender.body())
        for part, other in (
            ("{url}", Call(call.headers, call.body, call.method, URL + "0")),
            ("{method}", Call(call.headers, call.body, "PUT", call.url)),
        ):
            self.refuses(other) if part in door.content else self.accepts(other)

    def test_another_timestamp_is_refused(self) -> None:
        """The time is part of what is signed: a replay cannot make itself young."""
        name = self.timed().timestamp_header or ""
        call, later = (self.sender.signed(self.sender.body(), now=NOW + timedelta(seconds=s)) for s in (0, 60))
        self.refuses(Call({**call.headers, name: later.headers[name]}, call.body, call.method, call.url))

    def test_every_signing_header_is_needed(self) -> None:
        """Missing or empty: refused."""
        call = self.sender.signed(self.sender.body())
        door = self.sender.door
        names = [door.header] if isinstance(door, Shared) else [door.signature_header, door.timestamp_header]
        for name in filter(None, names):
            rest = {key: value for key, value in call.headers.items() if key != name}
            for headers in (rest, rest | {name: ""}):
                self.refuses(Call(headers, call.body, call.method, call.url))

    @pytest.mark.parametrize(
        "nonsense", ["v1,", ",", "é", "=", "v1,AAAA", "A" * 44, "v1,v1,v1", "\x00", " ", "sha256="]
    )
    def test_a_nonsense_signature_is_refused(self, nonsense: str) -> None:
        """Refused, and never an error of another kind."""
        call, door = self.sender.signed(self.sender.body()), self.sender.door
        name = door.header if isinstance(door, Shared) else door.signature_header
        self.refuses(Call({**call.headers, name: nonsense}, call.body, call.method, call.url))

    @pytest.mark.parametrize("nonsense", ["x", "-1", "9" * 30, "2026-99-99T00:00:00Z", "NaN", "é", "1_0"])
    def test_a_nonsense_timestamp_is_refused(self, nonsense: str) -> None:
        """Even when it is what was signed."""
        self.refuses(self.sender.forged(self.sender.body(), self.timed().content, timestamp=nonsense))

    def test_both_secrets_pass_while_one_replaces_the_other(self) -> None:
        """Rotation: the old and the new secret are good, a third is not."""
        body = self.sender.body()
        for secret in BOTH:
            self.accepts(self.sender.signed(body, secret=secret))
        self.refuses(self.sender.signed(body, secret=OTHER_SECRET))

    def test_sent_again_it_is_the_same_delivery(self) -> None:
        """A retry is signed anew and keeps its delivery id; another call has another."""
        body = self.sender.body()
        first, again = (self.sender.signed(body, now=NOW + timedelta(seconds=s)) for s in (0, 30))
        assert self.heard(body, first.headers).delivery_id == self.heard(body, again.headers).delivery_id
        other = self.sender.body(id="18", subject="Another")
        headers = self.sender.signed(other, id="d-2").headers
        assert self.heard(other, headers).delivery_id != self.heard(body, first.headers).delivery_id

    def test_what_is_not_signed_makes_no_other_delivery(self) -> None:
        """A replay within the tolerance may carry any header that nobody signs; it stays the delivery it was."""
        kind = DeliveryKind.SOLVED if DeliveryKind.SOLVED in self.sender.kinds else DeliveryKind.CREATED
        body = self.sender.body(kind)
        headers = self.sender.signed(body).headers
        found = {self.heard(body, AnyHeader(headers, f"i-{n}")).delivery_id for n in range(4)}
        assert len(found) == 1

    def test_what_two_events_lack_does_not_make_them_one(self) -> None:
        """Null in the same field of two tickets' events: a key made of nothing would be the key of every event."""
        for path in _paths(self.sender.payload()):
            bodies = [_without(path, self.sender.payload(id=id, subject=id)) for id in ("17", "18")]
            try:
                one, other = map(self.heard, bodies)
            except PayloadInvalid:
                continue  # it cannot be read without that field
            assert one.delivery_id != other.delivery_id, f"without {path} all events have the key {one.delivery_id}"

    def test_out_of_order_every_call_stands_alone(self) -> None:
        """`solved` before `created`: each parses to itself, with the time it happened."""
        kinds = [DeliveryKind.SOLVED, DeliveryKind.ASSIGNED, DeliveryKind.CREATED]
        kinds = [kind for kind in kinds if kind in self.sender.kinds]
        found = [self.heard(self.sender.body(kind)) for kind in kinds]
        assert [delivery.kind for delivery in found] == kinds
        assert {delivery.external_id for delivery in found} == {"17"}
        assert all(delivery.occurred_at is not None for delivery in found)

    @pytest.mark.parametrize(
        "kind", [DeliveryKind.DELETED, DeliveryKind.ERASED, DeliveryKind.UPDATED, DeliveryKind.COMMENTED]
    )
    def test_the_other_kinds_are_told_apart(self, kind: DeliveryKind) -> None:
        """Deletion and erasure must never be taken for something else."""
        self.tells(kind)
        assert self.heard(self.sender.body(kind)).kind is kind

    def test_a_ticket_is_always_named(self) -> None:
        """However little the event says, what it lacks can be fetched."""
        ticket = self.heard(self.sender.body()).ticket
        assert (ticket.connector, ticket.external_id) == (self.sender.connector.name, "17")

    def test_an_unknown_status_is_not_a_new_one(self) -> None:
        """What nothing tells must not reopen a ticket."""
        assert self.heard(self.sender.body(status="in-orbit")).ticket.status is None

    def test_unknown_fields_do_no_harm(self) -> None:
        """Whatever the system adds next year."""
        body = self.sender.body(invented_next_year={"deep": [1, None, {"x": True}]})
        assert self.heard(body).external_id == "17"

    def test_ids_may_be_numbers_or_strings(self) -> None:
        """The same ticket either way."""
        assert {self.heard(self.sender.body(id=given)).external_id for given in (17, "17")} == {"17"}

    def test_words_may_be_in_any_case(self) -> None:
        """Status and priority in capitals."""
        self.carries_fields()
        ticket = self.heard(self.sender.body(status="OPEN", priority="URGENT")).ticket
        assert (ticket.status, ticket.priority) == (Status.OPEN, Priority.URGENT)

    @pytest.mark.parametrize("bad_id", [None, "", " ", True, [], {}, 1.5, "x" * 129])
    def test_no_usable_ticket_id_is_said_so(self, bad_id: Any) -> None:
        """The message names the field."""
        with pytest.raises(PayloadInvalid, match=r"(?i)id"):
            self.heard(self.sender.body(id=bad_id))

    def test_one_bad_event_neither_loses_nor_blocks_the_others(self) -> None:
        """The bad one is named by its place; the good ones are heard, each under its own key."""
        if self.sender.bundle is None:
            pytest.skip("this system sends one event in a call")
        events = [
            self.sender.event(DeliveryKind.CREATED, {"id": number, "subject": "s"}) for number in ("1", None, "3")
        ]
        body = json.dumps(self.sender.bundle(events)).encode()
        one, bad, three = self.sender.connector.parse(self.sender.signed(body))
        assert isinstance(bad, Unusable)
        assert bad.position == 1
        assert isinstance(one, Delivery)
        assert isinstance(three, Delivery)
        assert (one.external_id, three.external_id) == ("1", "3")
        assert one.delivery_id != three.delivery_id

    @pytest.mark.parametrize(
        "body", [b"", b"null", b"17", b"{", b"\xff\xfe", b'{"a":' * 20_000, b'{"a":' * 60 + b"1" + b"}" * 60]
    )
    def test_garbage_is_payload_invalid(self, body: bytes) -> None:
        """Empty, not JSON, not an object, not UTF-8, bottomless."""
        with pytest.raises(PayloadInvalid):
            self.heard(body)

    def test_an_error_never_repeats_the_text(self) -> None:
        """Ticket text must not get into logs by way of a parse error."""
        with pytest.raises(PayloadInvalid) as caught:
            self.heard(b'{"subject": "my card is 4111 1111 1111 1111')
        assert "4111" not in str(caught.value)

    @FUZZ
    @given(body=st.binary(max_size=200))
    def test_any_bytes_parse_or_are_invalid(self, body: bytes) -> None:
        """Nothing but PayloadInvalid ever comes out of it."""
        parsed_or_invalid(self.sender.connector, Call({}, body))

    @FUZZ
    @given(value=JSON_VALUES)
    def test_any_json_parses_or_is_invalid(self, value: Any) -> None:
        """The same for whatever is JSON (and for what Python writes as JSON: NaN, lone surrogates)."""
        parsed_or_invalid(self.sender.connector, Call({}, json.dumps(value).encode()))

    @FUZZ
    @given(data=st.data())
    def test_any_value_in_any_field_parses_or_is_invalid(self, data: st.DataObject) -> None:
        """A good payload with up to three fields replaced, and any delivery id."""
        kinds = sorted(self.sender.kinds & {DeliveryKind.CREATED, DeliveryKind.ASSIGNED, DeliveryKind.SOLVED})
        payload = json.loads(self.sender.body(data.draw(st.sampled_from(kinds))))  # a copy: not to reach the next test
        for _ in range(data.draw(st.integers(1, 3))):
            path = data.draw(st.sampled_from(list(_paths(payload))))
            _replace(payload, path, data.draw(JSON_VALUES))
        headers = dict(self.sender.signed(b"").headers)
        if isinstance(self.sender.door, Signed) and self.sender.door.id_header:
            headers[self.sender.door.id_header] = data.draw(st.text())
        parsed_or_invalid(self.sender.connector, Call(headers, json.dumps(payload).encode()))


def parsed_or_invalid(connector: Connector, call: Call) -> None:
    """Parses to something that can be stored, the same each time, or raises PayloadInvalid."""
    try:
        heard = connector.parse(call)
    except PayloadInvalid:
        return
    for one in heard:
        stored = one.model_dump_json() if isinstance(one, Delivery) else one.why
        assert "\\u0000" not in stored
        stored.encode("utf-8")
    assert connector.parse(call) == heard


def _without(path: tuple[Any, ...], payload: Any) -> bytes:
    copy = json.loads(json.dumps(payload))
    _replace(copy, path, None)
    return json.dumps(copy).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Where the fields of nested objects lie; a bundle's events are at 0, 1, ..."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from _paths(value[key], (*path, key))


def _replace(payload: Any, path: tuple[Any, ...], value: Any) -> None:
    *parents, last = path
    try:
        for key in parents:
            payload = payload[key]
        payload[last] = value
    except (TypeError, KeyError, IndexError):
        return  # an earlier replacement took this branch away
