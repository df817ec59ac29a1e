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
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.core.connectors.generic import Generic
from services.core.connectors.port import WriteResult
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.ticket import TicketUpdate
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, UpdateConflict
from services.local.zendesk_double.faults import Broken, Hanging
from tests.services.core.connectors.conformance import SECRET, Outbound
from tests.services.core.connectors.conftest import Serve

FAULTS = ("rate_limited", "server_error", "hang_after_effect", "break_after_effect")


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
        return JSONResponse({"status": status, "stamp": "s1", "url": "https://desk.example/1"})


@dataclass
class System:
    connector: Generic
    receiver: Receiver

    async def open_ticket(self) -> str:
        return "A-17/é"

    async def fail_next_write(self, fault: str) -> None:
        answers = {
            "rate_limited": Response(status_code=429, headers={"retry-after": "7"}),
            "server_error": Response(status_code=502),
            "hang_after_effect": Hanging,
            "break_after_effect": Broken,
        }
        self.receiver.faults.append(answers[fault])

    async def notes(self, external_id: str) -> list[str]:
        data = [message["data"] for message in self.receiver.seen.values()]
        return [item["note"] for item in data if item["external_id"] == external_id]


def connector_settings(url: str | None) -> ConnectorSettings:
    return ConnectorSettings(generic_secrets=(SECRET,), generic_callback_url=url, timeout_s=0.3)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])
    async with serve(app) as url:
        yield System(Generic(connector_settings(f"{url}/hook"), http), receiver)


class TestConformance(Outbound):
    @pytest.fixture(params=FAULTS)
    def fault(self, request: pytest.FixtureRequest) -> str:
        return request.param


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
