"""The generic connector's callback over real HTTP: a receiver that follows Standard Webhooks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.core.connectors import standard_webhooks
from services.core.connectors.door import Call
from services.core.connectors.generic import OPEN_TYPE, Generic, GenericSettings
from services.core.connectors.writing import WriteResult
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import TicketUpdate
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, SignatureInvalid, UpdateConflict
from services.local.doubles.faults import Broken, Hanging
from tests.services.core.connectors.conformance import BOTH, NOW, OTHER_SECRET, SECRET, Sender
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.events import standard_event
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling


@dataclass
class Receiver:
    """Verifies with the reference library and drops the second of two messages with one id."""

    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Any] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Response):
            return fault
        message = Webhook(SECRET.get_secret_value()).verify(await request.body(), dict(request.headers))
        message_id = request.headers["webhook-id"]
        status = "already" if message_id in self.seen else "written"
        self.seen.setdefault(message_id, message)
        if fault:
            return fault()
        answer = {"status": status, "stamp": "s1", "url": "https://desk.example/1"}
        return JSONResponse(answer | ({"id": f"T-{message_id}"} if message["type"] == OPEN_TYPE else {}))


@dataclass
class System:
    connector: Generic
    receiver: Receiver
    http: httpx.AsyncClient
    faults = ("rate_limited", "server_error", "hang_after_effect", "break_after_effect")

    def another(self) -> Generic:
        settings = self.connector.settings
        assert isinstance(settings, GenericSettings)
        return Generic(settings, self.http)

    async def open_ticket(self) -> str:
        return "A-17/é"

    async def is_struck(self) -> bool:
        return not self.receiver.faults

    async def person_changes(self, external_id: str, **fields: str) -> None:
        raise NotImplementedError  # only the receiver knows its tickets

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        self.receiver.faults += [None] * skip
        answers = {
            "rate_limited": Response(status_code=429, headers={"retry-after": "7"}),
            "server_error": Response(status_code=502),
            "hang_after_effect": Hanging,
            "break_after_effect": Broken,
        }
        self.receiver.faults.append(answers[fault])

    async def notes(self, external_id: str) -> list[str]:
        data = [message["data"] for message in self.receiver.seen.values()]
        return [one["note"] for one in data if external_id in (one.get("external_id"), f"T-{one['key']}")]


def connector_settings(url: str | None) -> GenericSettings:
    return GenericSettings(secrets=BOTH, callback_url=url, timeout_s=0.3)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])
    async with serve(app) as url:
        yield System(Generic(connector_settings(f"{url}/hook"), http), receiver, http)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


class TestInbound(Inbound):
    sender = Sender(Generic(connector_settings(None), httpx.AsyncClient()), standard_event)


UPDATE = TicketUpdate(key="17/route", external_id="17", group="Billing")


async def test_the_callback_says_what_to_change(system: System) -> None:
    """Only the fields that change are in it; the answer's stamp and url come back."""
    result = await system.connector.write(UPDATE)
    [(message_id, message)] = system.receiver.seen.items()
    assert message_id == "17/route"
    assert message["type"] == "ticket.update_requested"
    assert message["data"] == {"key": "17/route", "external_id": "17", "group": "Billing", "tags": []}
    assert (result.stamp, result.url) == ("s1", "https://desk.example/1")


async def test_it_cannot_be_asked_and_without_a_callback_not_written_to(http: httpx.AsyncClient) -> None:
    """Then the decision stays with us."""
    connector = Generic(connector_settings(None), http)
    assert await connector.fetch("17") is None
    assert (await connector.write(UPDATE)).status == "unwritable"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(status_code=400), ConnectorRejected),
        (Response(status_code=401), ConnectorRejected),
        (Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}), ConnectorRejected),
        (Response(status_code=409), UpdateConflict),
        (Response(status_code=408), ConnectorUnavailable),
    ],
)
async def test_refusals_are_told_apart(system: System, answer: Response, error: type[Exception]) -> None:
    """What may be tried again and what may not; a redirect is not followed."""
    system.receiver.faults.append(answer)
    with pytest.raises(error):
        await system.connector.write(UPDATE)
    assert system.receiver.seen == {}


async def test_retry_after_may_be_a_date(system: System) -> None:
    """The other form of RFC 9110; nonsense is no form."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for given, least, most in ((soon, 80, 90), ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0)):
        system.receiver.faults.append(Response(status_code=503, headers={"retry-after": given}))
        with pytest.raises(ConnectorUnavailable) as caught:
            await system.connector.write(UPDATE)
        assert caught.value.retry_after_s is not None
        assert least <= caught.value.retry_after_s <= most
    system.receiver.faults.append(Response(status_code=503, headers={"retry-after": "soon"}))
    with pytest.raises(ConnectorUnavailable) as caught:
        await system.connector.write(UPDATE)
    assert caught.value.retry_after_s is None


async def test_an_errors_message_holds_no_ticket_text(system: System) -> None:
    """Only the answer's own error fields are repeated, cut short."""
    answer = {"error": "BadGroup", "description": "no such group", "echo": "my card is 4111", "details": "x" * 900}
    system.receiver.faults.append(JSONResponse(answer, status_code=422))
    with pytest.raises(ConnectorRejected, match="BadGroup no such group") as caught:
        await system.connector.write(UPDATE)
    assert "4111" not in str(caught.value)
    assert len(str(caught.value)) < 500


async def test_an_odd_answer_counts_as_taken(system: System) -> None:
    """A 2xx is the receiver's word, whatever else it says."""
    for content in (b"", b"ok", b"[1]", json.dumps({"stamp": 7, "status": []}).encode()):
        system.receiver.faults.append(Response(content=content))
        assert await system.connector.write(UPDATE) == WriteResult("written")


def heard(body: bytes) -> Delivery:
    [found] = TestInbound.sender.connector.parse(Call({}, body))
    assert isinstance(found, Delivery)
    return found


def verified(headers: dict[str, str], body: bytes, *, now: datetime = NOW) -> None:
    TestInbound.sender.connector.verify(Call(headers, body), now=now)


def signed(body: bytes, *, secret: SecretStr = SECRET, id: str = "m", now: datetime = NOW) -> dict[str, str]:
    return standard_webhooks.DOOR.sign(secret, Call({}, body), delivery_id=id, now=now)


def test_the_reference_library_and_ours_accept_each_other() -> None:
    """Interoperability with the `standardwebhooks` package, both ways."""
    now, body = datetime.now(NOW.tzinfo), '{"type": "ticket.created", "data": {"id": 1}}'
    reference = Webhook(SECRET.get_secret_value())
    theirs = reference.sign("msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": theirs}
    verified(headers, body.encode(), now=now)
    ours = signed(body.encode(), id="msg_2", now=now)
    assert reference.verify(body, ours) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET.get_secret_value()).verify(body, ours)


def test_several_signatures_in_one_header() -> None:
    """While a secret rotates the sender signs with both; unknown versions beside them do no harm."""
    both = " ".join(signed(b"{}", secret=secret)["webhook-signature"] for secret in (OTHER_SECRET, SECRET))
    verified(signed(b"{}") | {"webhook-signature": f"v1a,AAAA {both}"}, b"{}")
    only_other_version = {"webhook-signature": signed(b"{}")["webhook-signature"].replace("v1,", "v1a,")}
    with pytest.raises(SignatureInvalid):
        verified(signed(b"{}") | only_other_version, b"{}")


def test_another_message_id_is_refused() -> None:
    """The id is signed too: a replay cannot pass for a new delivery."""
    with pytest.raises(SignatureInvalid):
        verified(signed(b"{}", id="m-1") | {"webhook-id": "m-2"}, b"{}")


def test_an_unknown_event_type_is_ignored_and_says_so() -> None:
    """A sender may send more than we use."""
    delivery = heard(b'{"type": "ticket.viewed", "data": {"id": 1}}')
    assert delivery.kind is DeliveryKind.IGNORED
    assert "ticket.viewed" in (delivery.why_ignored or "")


def test_our_own_update_comes_back_ignored() -> None:
    """The sender names the actor; erasure is heard all the same."""
    own = {"actor_id": "pointsman", "data": {"id": 1}}
    assert heard(json.dumps(own | {"type": "ticket.assigned"}).encode()).kind is DeliveryKind.IGNORED
    assert heard(json.dumps(own | {"type": "ticket.erased"}).encode()).kind is DeliveryKind.ERASED


@pytest.mark.parametrize("public", [True, False])
def test_a_comment_is_told_with_who_may_read_it(public: bool) -> None:
    """Conversations carry public ones to the customer, and never the others."""
    comment = {"body": "Done", "public": public, "author_id": "bo"}
    event = {"type": "ticket.commented", "data": {"id": 1, "comment": comment}}
    delivery = heard(json.dumps(event).encode())
    assert delivery.comment is not None
    assert (delivery.comment.body, delivery.comment.public) == ("Done", public)


async def test_a_receiver_may_say_that_a_person_was_faster(system: System) -> None:
    """It alone can compare what was seen with its ticket."""
    system.receiver.faults.append(JSONResponse({"status": "superseded", "why": "its group is Support by now"}))
    result = await system.connector.write(UPDATE)
    assert (result.status, result.why) == ("superseded", "its group is Support by now")
