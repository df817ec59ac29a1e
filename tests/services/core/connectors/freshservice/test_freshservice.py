"""The suite on Freshservice's double, and what is its own."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.core.connectors.freshservice.connector import PRIORITIES, Freshservice
from services.core.connectors.freshservice.settings import FreshserviceSettings
from services.core.connectors.polling import Position
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Priority, Requester, Status
from services.core.kit.errors import ConnectorRejected
from services.local.doubles.double import basic
from services.local.doubles.freshservice import GROUPS, FreshserviceDouble
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, Sender, letter, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.doubled import Clock, Doubled
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling, changes

TICKETS = "api/v2/tickets"


class System(Doubled):
    async def open_ticket(self, **fields: Any) -> str:
        ticket = {
            "subject": "Printer",
            "description": "It burns",
            "email": "ana@example.com",
            "status": 2,
            "priority": 2,
        }
        return str((await self.call("POST", TICKETS, json=ticket | fields))["ticket"]["id"])

    async def open_many(self, count: int) -> list[str]:
        """All at one moment, put where the double keeps them: what they are for is reading."""
        first = await self.open_ticket()
        numbers = [str(int(first) + more) for more in range(count)]
        for number in numbers[1:]:
            self.double.tickets[number] = {**self.double.tickets[first], "id": int(number)}
            self.double.said[number] = []
        return numbers

    async def notes(self, external_id: str) -> list[str]:
        return [one["body_text"] for one in self.double.said[external_id] if one["private"]]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        ids = {name: number for number, name in GROUPS.items()}
        change: dict[str, Any] = {"group_id": ids[fields["group"]]} if "group" in fields else {}
        change |= {"priority": PRIORITIES.word(Priority(fields["priority"]))} if "priority" in fields else {}
        change |= {"status": 4} if "status" in fields else {}
        await self.call("PUT", f"{TICKETS}/{external_id}", json=change)
        if "comment" in fields:
            await self.call(
                "POST", f"{TICKETS}/{external_id}/notes", json={"body": fields["comment"], "private": False}
            )


def connector(url: str, http: httpx.AsyncClient, **given: Any) -> Freshservice:
    settings = {"base_url": url, "api_key": "pointsman-key", "agent_id": "901", "timeout_s": 2, "secrets": BOTH}
    return Freshservice(FreshserviceSettings.model_validate(settings | given), http)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    clock = Clock()
    double = FreshserviceDouble(clock, lag_s=120)
    async with serve(double.app()) as url:
        yield System(url, http, double, connector, clock, {"authorization": basic("bo-key", "X")})


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body that the guide has pasted into the workflow."""
    return {"event": kind.value, "ticket_id": fields["id"], "subject": fields["subject"], "at": "2026-11-20T08:59:59Z"}


class TestInbound(Inbound):
    sender = Sender(connector("http://127.0.0.1:1", httpx.AsyncClient()), event, is_thin=True)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_tags_of_people_stay(system: System) -> None:
    """The API replaces all tags: ours join theirs."""
    external_id = await system.open_ticket(tags=["vip"])
    await system.connector.write(letter(external_id))
    assert (await shown(system, external_id)).tags == ("vip", "routed")


async def test_a_note_is_text_however_it_looks(system: System) -> None:
    """Its body is HTML there: what looks like it is escaped, lines stay lines."""
    external_id, note = await system.open_ticket(), "<b>a</b> & b\nsecond line"
    await system.connector.write(letter(external_id, note=note))
    assert [comment.body for comment in (await shown(system, external_id)).comments] == [note]


async def test_what_is_in_the_trash_takes_no_letter(system: System) -> None:
    """It still answers; the letter ends, and says why."""
    external_id = await system.open_ticket()
    await system.call("DELETE", f"{TICKETS}/{external_id}")
    assert (await shown(system, external_id)).status is Status.DELETED
    assert (await system.connector.write(letter(external_id))).status == "superseded"


async def test_a_list_in_another_order_is_heard_once(system: System) -> None:
    """Three pages, the oldest changed last: in order of time, each once."""
    opened = await system.open_many(207)
    system.clock.at += timedelta(seconds=5)
    await system.person_changes(opened[0], group="Support")
    rows = await changes(system, Position(system.clock.at - timedelta(days=1)))
    assert sorted(row.ticket.external_id for row in rows) == sorted(opened)
    assert rows[-1].ticket.external_id == opened[0]


async def test_nobody_opens_no_ticket(system: System) -> None:
    """Freshservice wants to know who asks: the chat's own address, where a visitor gave none."""
    nobody = HANDED_OVER.model_copy(update={"requester": Requester()})
    with pytest.raises(ConnectorRejected, match="opened_for"):
        await system.connector.open(nobody)
    opened = await system.another(opened_for="chat@example.com").open(nobody)
    assert (await shown(system, opened.external_id)).requester.email == "chat@example.com"
