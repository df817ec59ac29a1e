"""
What every connector must pass. A new one subclasses `Inbound` and `Outbound`; design/guides/connectors.md shows how.

`Inbound` needs a `Sender`: what the system's events look like; signing, rightly and in every wrong way, follows from
the connector's own door. `Outbound` needs a `System`: the running system or an honest double. What a system cannot do,
its connector says (`can`), and the suite asks for no more: nothing here is overridden.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.core.connectors.door import Call, Shared, Signed, written_time
from services.core.connectors.hearing import MARKER_PREFIX, OWN_ACTOR, Unusable
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import NewTicket, Priority, Requester, Seen, Status, Ticket, TicketUpdate
from services.core.kit.errors import (
    ConnectorRejected,
    ConnectorUnavailable,
    NotFound,
    PayloadInvalid,
    PointsmanError,
    SignatureInvalid,
    SignatureStale,
)

NOW = datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC)
SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LW9uZQ==")
NEXT_SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LXR3bw==")
OTHER_SECRET = SecretStr("whsec_" + "YS1zZWNyZXQtb2Ytc29tZWJvZHktZWxzZQ==")
BOTH = (SECRET, NEXT_SECRET)
TOLERANCE_S = 300
URL = "https://pointsman.example.com/hooks/system?a=1"
# What senders and proxies put beside a call, and nobody signs: a new value must not make a new delivery.
UNSIGNED_IDS = (
    "x-zendesk-webhook-invocation-id", "x-atlassian-webhook-identifier", "x-request-id", "idempotency-key",
    "x-hubspot-request-id", "x-forwarded-for", "traceparent",
)  # fmt: skip
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


@dataclass(frozen=True)
class Sender:
    """
    The sending side of one connector, which knows SECRET and NEXT_SECRET.

    `event` makes one event of its kind from ticket fields (`id`, `subject`, `status`, `priority`, ...). `kinds`: those
    the system tells. `is_thin`: an event carries the ticket's id and little else. `bundle` makes the body of a call
    from several events, where the system bundles them.
    """

    connector: Connector
    event: Callable[[DeliveryKind, Mapping[str, Any]], Any]
    kinds: frozenset[DeliveryKind] = frozenset(DeliveryKind) - {DeliveryKind.IGNORED}
    is_thin: bool = False
    bundle: Callable[[list[Any]], Any] | None = None

    @property
    def door(self) -> Signed | Shared:
        assert isinstance(self.connector.door, Signed | Shared)
        return self.connector.door

    def payload(self, kind: DeliveryKind = DeliveryKind.CREATED, **fields: Any) -> Any:
        event = self.event(kind, {"id": "17", "subject": "Printer on fire", **fields})
        return self.bundle([event]) if self.bundle else event

    def body(self, kind: DeliveryKind = DeliveryKind.CREATED, **fields: Any) -> bytes:
        return json.dumps(self.payload(kind, **fields)).encode()

    def signed(self, body: bytes, *, now: datetime = NOW, secret: SecretStr = SECRET, id: str = "d-1") -> Call:
        bare = Call({}, body, "POST", URL)
        return Call(self.door.sign(secret, bare, delivery_id=id, now=now), body, "POST", URL)

    def forged(self, body: bytes, content: str, *, swap_form: bool = False, timestamp: str | None = None) -> Call:
        """A call whose signature the right secret made, but of `content` or in the other form; not by our own code."""
        door = self.door
        assert isinstance(door, Signed)
        headers = dict(self.signed(body).headers)
        if door.timestamp_header and timestamp is not None:
            headers[door.timestamp_header] = timestamp
        texts = {"timestamp": headers.get(door.timestamp_header or "", ""), "id": headers.get(door.id_header or "", "")}
        signed = content.format(**texts, method="POST", url=URL, body="\0").encode().replace(b"\0", body)
        digest = hmac.new(door.key_of(SECRET), signed, getattr(hashlib, door.algorithm)).digest()
        is_hex = (door.form == "hex") != swap_form
        headers[door.signature_header] = door.prefix + (digest.hex() if is_hex else base64.b64encode(digest).decode())
        return Call(headers, body, "POST", URL)


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
        """A replay within the tolerance may carry any unsigned header; it stays the delivery it was."""
        kind = DeliveryKind.SOLVED if DeliveryKind.SOLVED in self.sender.kinds else DeliveryKind.CREATED
        body = self.sender.body(kind)
        headers = self.sender.signed(body).headers
        found = {self.heard(body, {**headers, **dict.fromkeys(UNSIGNED_IDS, f"i-{n}")}).delivery_id for n in range(4)}
        assert len(found) == 1

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


FAULTS = ("rate_limited", "server_error", "hang", "hang_after_effect", "break_after_effect", "connection_killed")


class System(Protocol):
    """
    A running ticketing system, or its honest double.

    `faults`: which of FAULTS it can have. A group named Billing and one named Support exist there.
    """

    connector: Connector
    faults: Sequence[str]

    def another(self) -> Connector:
        """A second instance, as another worker has it."""
        ...

    async def open_ticket(self) -> str:
        """A fresh ticket's id, without group and priority; a made-up one where the system cannot be asked."""
        ...

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        """
        The write call after the next `skip` meets `fault`; `rate_limited` says Retry-After: 7, the others speak for
        themselves. Where a call may take long, `connector` is more impatient from now on: a hang costs its time-out.
        """
        ...

    async def is_struck(self) -> bool:
        """Whether the fault has happened."""
        ...

    async def notes(self, external_id: str) -> list[str]:
        """Every private note that took effect on the ticket, as the system itself knows them."""
        ...

    async def person_changes(self, external_id: str, **fields: str) -> None:
        """Somebody sets `group` or `priority` (our words), `status` solved, or adds a `comment`."""
        ...


class Outbound:
    """Every claim about `write`, `open` and `changes`, as far as the connector says that its system can."""

    def update(self, external_id: str, **fields: Any) -> TicketUpdate:
        given = {"key": f"{external_id}/route", "group": "Billing", "priority": "high", "note": "because"}
        return TicketUpdate.model_validate(given | {"external_id": external_id, "tags": ("routed",)} | fields)

    def needs(self, system: System, *abilities: Can) -> None:
        for ability in abilities:
            if ability not in system.connector.can:
                pytest.skip(f"this system cannot {ability.name}")

    async def seen(self, system: System, external_id: str) -> Seen:
        """The ticket as a decision about it would see it."""
        self.needs(system, Can.FETCH)
        ticket = await shown(system, external_id)
        return Seen(stamp=ticket.stamp, group=ticket.group, priority=ticket.priority, status=ticket.status)

    async def test_a_write_takes_effect(self, system: System) -> None:
        """And says so, and shows."""
        external_id = await system.open_ticket()
        result = await system.connector.write(self.update(external_id))
        assert result.status == "written"
        assert await notes(system, external_id) == ["because"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, external_id)
            assert (ticket.group, ticket.priority) == ("Billing", Priority.HIGH)
            assert [comment.public for comment in ticket.comments] == [False]

    async def test_our_own_note_is_known_as_ours(self, system: System) -> None:
        """Else we would summarise ourselves."""
        self.needs(system, Can.FETCH)
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        assert [comment.author_id for comment in (await shown(system, external_id)).comments] == [OWN_ACTOR]

    async def test_a_field_that_is_none_stays(self, system: System) -> None:
        """A note alone moves nothing."""
        self.needs(system, Can.FETCH)
        external_id = await system.open_ticket()
        await system.person_changes(external_id, group="Support", priority="low")
        await system.connector.write(self.update(external_id, group=None, priority=None, tags=()))
        ticket = await shown(system, external_id)
        assert (ticket.group, ticket.priority) == ("Support", Priority.LOW)

    async def test_our_tags_show(self, system: System) -> None:
        """Where the system has tags; the tag of a second letter joins that of the first."""
        self.needs(system, Can.TAGS)
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        await system.connector.write(self.update(external_id, key="k2", tags=("solved-by-us",)))
        assert {"routed", "solved-by-us"} <= set((await shown(system, external_id)).tags)

    async def test_the_same_key_again_has_no_second_effect(self, system: System) -> None:
        """However often, and with whatever content."""
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        again = [await system.connector.write(self.update(external_id, note=note)) for note in ("because", "other")]
        assert {result.status for result in again} == {"already"}
        assert await notes(system, external_id) == ["because"]

    async def test_another_key_has_its_own_effect(self, system: System) -> None:
        """Two stages of one ticket both write."""
        external_id = await system.open_ticket()
        await system.connector.write(self.update(external_id))
        second = await system.connector.write(self.update(external_id, key="k2", note="summary"))
        assert second.status == "written"
        assert await notes(system, external_id) == ["because", "summary"]

    async def test_five_at_once_have_one_effect(self, system: System) -> None:
        """Five tasks of a worker with one update: one writes, the others find it done."""
        external_id = await system.open_ticket()
        results = await asyncio.gather(*(system.connector.write(self.update(external_id)) for _ in range(5)))
        assert sorted(result.status for result in results) == ["already"] * 4 + ["written"]
        assert await notes(system, external_id) == ["because"]

    async def test_two_instances_at_once_have_one_effect(self, system: System) -> None:
        """Two workers with one letter, where the system itself can tell them apart."""
        self.needs(system, Can.GUARDED)
        external_id = await system.open_ticket()
        two = (system.connector, system.another())
        results = await asyncio.gather(*(two[n % 2].write(self.update(external_id)) for n in range(4)))
        assert sorted(result.status for result in results) == ["already"] * 3 + ["written"]
        assert await notes(system, external_id) == ["because"]

    async def test_two_instances_with_letters_of_their_own_disturb_nobody(self, system: System) -> None:
        """Two workers, two letters, one ticket, one moment: both take effect once."""
        external_id = await system.open_ticket()
        letters = [self.update(external_id, key=f"k{n}", note=f"n{n}", tags=()) for n in range(2)]
        two = (system.connector, system.another())
        results = await asyncio.gather(*(one.write(letter) for one, letter in zip(two, letters, strict=True)))
        assert [result.status for result in results] == ["written", "written"]
        assert sorted(await notes(system, external_id)) == ["n0", "n1"]

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_fault_then_a_retry_has_one_effect(self, system: System, fault: str) -> None:
        """Refused for now, broken off, or done but never answered: the retry leaves exactly one effect."""
        if fault not in system.faults:
            pytest.skip(f"this system has no {fault}")
        external_id = await system.open_ticket()
        await system.fail_next_write(fault)
        is_struck = False
        while not is_struck:  # on a busy machine an earlier call may time out
            with pytest.raises(ConnectorUnavailable) as caught:
                await system.connector.write(self.update(external_id))
            is_struck = await system.is_struck()
        assert caught.value.retryable
        if fault == "rate_limited":
            assert caught.value.retry_after_s == 7
        retried = await system.another().write(self.update(external_id))
        is_done = fault.endswith("after_effect") and Can.ATOMIC in system.connector.can
        assert retried.status == ("already" if is_done else "written")
        assert await notes(system, external_id) == ["because"]

    @pytest.mark.parametrize("call", [0, 1, 2])
    async def test_killed_between_its_calls_another_worker_completes_it(self, system: System, call: int) -> None:
        """The worker dies when the system has carried out this call and not answered: nothing is lost or doubled."""
        if "hang_after_effect" not in system.faults:
            pytest.skip("this system has no hang_after_effect")
        external_id = await system.open_ticket()
        await system.fail_next_write("hang_after_effect", skip=call)
        writing = asyncio.create_task(system.connector.write(self.update(external_id)))
        while not (await system.is_struck() or writing.done()):  # noqa: ASYNC110  maybe another process
            await asyncio.sleep(0.01)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError, PointsmanError):
            await writing
        if not await system.is_struck():
            pytest.skip(f"this connector makes no more than {call} calls that change something")
        assert (await system.another().write(self.update(external_id))).status in ("written", "already")
        assert await notes(system, external_id) == ["because"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, external_id)
            assert (ticket.group, ticket.priority) == ("Billing", Priority.HIGH)

    @pytest.mark.parametrize(("field", "value"), [("group", "Support"), ("priority", "low")])
    async def test_what_a_person_has_changed_stands(self, system: System, field: str, value: str) -> None:
        """The letter ends as superseded, says why, and leaves nothing on the ticket."""
        external_id = await system.open_ticket()
        seen = await self.seen(system, external_id)
        await system.person_changes(external_id, **{field: value})
        result = await system.connector.write(self.update(external_id, seen=seen))
        assert result.status == "superseded"
        assert value in result.why
        assert getattr(await shown(system, external_id), field) == value
        assert await notes(system, external_id) == []

    async def test_what_a_person_has_solved_stays_as_it_is(self, system: System) -> None:
        """Nothing is routed that is done."""
        external_id = await system.open_ticket()
        seen = await self.seen(system, external_id)
        await system.person_changes(external_id, status="solved")
        assert (await system.connector.write(self.update(external_id, seen=seen))).status == "superseded"
        assert (await shown(system, external_id)).group is None

    async def test_a_persons_comment_supersedes_nothing(self, system: System) -> None:
        """It moves the stamp, not the decision."""
        external_id = await system.open_ticket()
        seen = await self.seen(system, external_id)
        await system.person_changes(external_id, comment="I am looking into it")
        assert (await system.connector.write(self.update(external_id, seen=seen))).status == "written"
        assert (await shown(system, external_id)).group == "Billing"

    async def test_a_person_who_did_the_same_is_no_conflict(self, system: System) -> None:
        """The group is where we wanted it: the rest and the note are written."""
        external_id = await system.open_ticket()
        seen = await self.seen(system, external_id)
        await system.person_changes(external_id, group="Billing")
        assert (await system.connector.write(self.update(external_id, seen=seen))).status == "written"
        assert await notes(system, external_id) == ["because"]

    async def test_a_note_alone_is_never_superseded(self, system: System) -> None:
        """It changes nothing of theirs."""
        external_id = await system.open_ticket()
        seen = await self.seen(system, external_id)
        await system.person_changes(external_id, group="Support", priority="low")
        note = self.update(external_id, seen=seen, group=None, priority=None)
        assert (await system.connector.write(note)).status == "written"
        assert await notes(system, external_id) == ["because"]

    async def test_a_group_that_is_not_there_is_refused_for_good(self, system: System) -> None:
        """And nothing is written."""
        self.needs(system, Can.GROUPS)
        external_id = await system.open_ticket()
        with pytest.raises(ConnectorRejected, match=r"'Blling'") as caught:
            await system.connector.write(self.update(external_id, group="Blling"))
        assert not caught.value.retryable
        assert await notes(system, external_id) == []

    async def test_a_ticket_that_is_not_there_is_final(self, system: System) -> None:
        """Fetching says NotFound, writing is refused: neither is tried again."""
        self.needs(system, Can.FETCH)
        with pytest.raises((NotFound, ConnectorRejected)):
            await system.connector.fetch("999999999")
        with pytest.raises(ConnectorRejected):
            await system.connector.write(self.update("999999999"))

    async def test_a_ticket_is_opened_once_per_key(self, system: System) -> None:
        """A conversation handed over: the transcript to read, the note for agents alone."""
        self.needs(system, Can.OPEN)
        first = await system.connector.open(HANDED_OVER)
        again = await system.another().open(HANDED_OVER)
        assert first.external_id == again.external_id
        assert await notes(system, first.external_id) == ["asked for a person"]
        if Can.FETCH in system.connector.can:
            ticket = await shown(system, first.external_id)
            assert (ticket.subject, ticket.body) == (HANDED_OVER.subject, HANDED_OVER.body)
            assert all(not comment.public for comment in ticket.comments)

    async def test_every_change_is_heard_once(self, system: System) -> None:
        """From a durable position on: none missed when many share a second, none twice."""
        self.needs(system, Can.POLL)
        opened = [await system.open_ticket() for _ in range(5)]
        begun = (await shown(system, opened[0])).updated_at
        assert begun is not None
        position = Position(begun - timedelta(seconds=2))
        first = await changes(system, position)
        assert sorted(row.ticket.external_id for row in first if row.ticket.external_id in opened) == sorted(opened)
        assert [row.at for row in first] == sorted(row.at for row in first)
        last = first[-1].position
        assert await changes(system, last) == []
        await system.person_changes(opened[2], group="Support")
        await system.connector.write(self.update(opened[3]))
        later = {row.ticket.external_id: row for row in await changes(system, last)}
        assert set(later) == {opened[2], opened[3]}
        assert (later[opened[2]].ticket.group, later[opened[3]].ticket.group) == ("Support", "Billing")
        assert (later[opened[2]].actor or "").lower() not in system.connector.own_actors
        ours = later[opened[3]].actor
        assert ours is None or ours.lower() in system.connector.own_actors


HANDED_OVER = NewTicket(
    key="conversation/7", subject="Refund for order 100", body="Ana: where is my refund?", note="asked for a person",
    requester=Requester(name="Ana", email="ana@example.com"), tags=("handed-over",),
)  # fmt: skip


async def changes(system: System, after: Position) -> list[Changed]:
    """All there is after the position, page by page, as the worker reads it."""
    found: list[Changed] = []
    while rows := await system.connector.changes(after, datetime(2100, 1, 1, tzinfo=UTC)):
        found += rows
        after = rows[-1].position
    return found


async def notes(system: System, external_id: str) -> list[str]:
    """The notes on the ticket without the mark that some systems keep in them."""
    return [note.partition(f"\n\n[{MARKER_PREFIX}")[0] for note in await system.notes(external_id)]


async def shown(system: System, external_id: str) -> Ticket:
    ticket = await system.connector.fetch(external_id)
    assert ticket is not None
    return ticket


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
