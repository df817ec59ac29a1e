"""The suite on HubSpot's double, and what is its own."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest_asyncio
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.hubspot.connector import PRIORITIES, HubSpot
from services.core.connectors.hubspot.settings import HubSpotSettings
from services.core.connectors.polling import Position
from services.core.connectors.port import Can
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Priority, Requester
from services.local.doubles.double import bearer
from services.local.doubles.hubspot import SOURCES, HubSpotDouble
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, Sender, letter, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.doubled import Clock, Doubled
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling, changes

TICKETS = "crm/v3/objects/tickets"
EVENTS = {
    DeliveryKind.CREATED: {"subscriptionType": "ticket.creation"},
    DeliveryKind.ASSIGNED: {"propertyName": "support_team", "propertyValue": "Billing"},
    DeliveryKind.SOLVED: {"propertyName": "hs_pipeline_stage", "propertyValue": "4"},
    DeliveryKind.UPDATED: {"propertyName": "subject", "propertyValue": "x"},
    DeliveryKind.DELETED: {"subscriptionType": "ticket.deletion"},
}


class System(Doubled):
    async def open_ticket(self, **fields: str) -> str:
        properties = {
            "subject": "Printer",
            "content": "It burns",
            "hs_pipeline": "0",
            "hs_pipeline_stage": "1",
            **fields,
        }
        return (await self.call("POST", TICKETS, json={"properties": properties}))["id"]

    async def notes(self, external_id: str) -> list[str]:
        return [comment.body for comment in (await shown(self, external_id)).comments]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        change = {"support_team": fields["group"]} if "group" in fields else {}
        change |= {"hs_ticket_priority": PRIORITIES.word(Priority(fields["priority"]))} if "priority" in fields else {}
        change |= {"hs_pipeline_stage": "4"} if "status" in fields else {}
        change |= {"hubspot_owner_id": "42"} if "comment" in fields else {}  # what people answer lies elsewhere
        await self.call("PATCH", f"{TICKETS}/{external_id}", json={"properties": change})


def connector(url: str, http: httpx.AsyncClient, **given: Any) -> HubSpot:
    ours = {"token": "pointsman-token", "app_id": SOURCES["pointsman"], "key_property": "pointsman_key"}
    return HubSpot(
        HubSpotSettings.model_validate({"base_url": url, "timeout_s": 2, "secrets": BOTH, **ours, **given}), http
    )


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    clock = Clock(datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
    double = HubSpotDouble(clock, lag_s=30)
    async with serve(double.app()) as url:
        yield System(url, http, double, connector, clock, {"authorization": bearer("bo-token")})


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """As HubSpot's pages show it: https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide."""
    number = sum(str(fields["subject"]).encode())
    told = {"eventId": number, "subscriptionId": 25, "portalId": 33, "appId": 1160, "occurredAt": 1795165199000}
    more = {"attemptNumber": 0, "objectId": fields["id"], "changeSource": "CRM_UI", "sourceId": "userId:42"}
    return {"subscriptionType": "ticket.propertyChange", **told, **more, **EVENTS[kind]}


class TestInbound(Inbound):
    sender = Sender(
        connector("http://127.0.0.1:1", httpx.AsyncClient()),
        event,
        kinds=frozenset(EVENTS),
        is_thin=True,
        bundle=lambda events: events,
    )


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


def test_another_attempt_is_no_other_delivery() -> None:
    """HubSpot counts its attempts inside the body; the rest of an event is its key."""
    ours = TestInbound.sender.connector
    first = event(DeliveryKind.CREATED, {"id": 17, "subject": "s"})
    calls = [json.dumps([first | {"attemptNumber": number}]).encode() for number in range(3)]
    heard = [ours.parse(Call({}, body))[0] for body in calls]
    assert len({one.delivery_id for one in heard if isinstance(one, Delivery)}) == 1


def test_our_own_change_is_known_by_the_app(system: System) -> None:
    """Its events name the app as their source."""
    own = event(DeliveryKind.ASSIGNED, {"id": 17, "subject": "s"}) | {"sourceId": "1234567"}
    [heard] = system.connector.parse(Call({}, json.dumps([own]).encode()))
    assert (heard.kind, heard.why_ignored) == (DeliveryKind.IGNORED, "our own update came back")


async def test_whoever_asks_is_the_contact(system: System) -> None:
    """Associated when we open, and read from there."""
    opened = await system.connector.open(HANDED_OVER)
    assert (await shown(system, opened.external_id)).requester == Requester(
        id="501", name="Ana", email="ana@example.com"
    )


def test_without_a_unique_property_nothing_is_opened(system: System) -> None:
    """Nothing else would find it again."""
    assert Can.OPEN not in system.another(key_property=None).can


async def test_a_note_is_text_however_it_looks(system: System) -> None:
    """Its body is HTML there."""
    external_id, note = await system.open_ticket(), "<b>a</b> & b\nsecond line"
    await system.connector.write(letter(external_id, note=note))
    assert await system.notes(external_id) == [note]


async def test_many_in_one_moment_are_heard_once(system: System) -> None:
    """Eight in one millisecond, pages of three, ties in any order."""
    opened = [await system.open_ticket() for _ in range(8)]
    rows = await changes(system, Position(system.clock.at - timedelta(days=1)))
    assert sorted(row.ticket.external_id for row in rows) == opened


def test_the_signature_by_another_hand() -> None:
    """
    Made by openssl: printf '%s' 'POSThttps://p.example.com/hooks/hubspot[]1795165200000' |
    openssl dgst -sha256 -hmac client-secret -binary | base64. A proxy called us by another address.
    """
    headers = {
        "x-hubspot-request-timestamp": "1795165200000",
        "x-hubspot-signature-v3": "bWQAs70l1MTcUK3yl0wikU+H6WSpFpBTuk+qnJ8cexg=",
    }
    settings = HubSpotSettings(secrets=(SecretStr("client-secret"),), hook_url="https://p.example.com/hooks/hubspot")
    call = Call(headers, b"[]", "POST", "http://10.0.0.7:8080/hooks/hubspot")
    HubSpot(settings, httpx.AsyncClient()).verify(call, now=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
