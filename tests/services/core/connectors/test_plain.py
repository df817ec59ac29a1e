"""The suite on a system that can do little: its writes are two calls, and nothing guards them but our skeleton."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.core.connectors.outbound import Page, every
from services.core.connectors.polling import Position
from services.core.contracts.delivery import DeliveryKind
from services.core.kit.errors import ConnectorUnavailable
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, Sender
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.plain import PRIORITIES, TEAMS, Plain, PlainDouble, PlainSettings
from tests.services.core.connectors.polling import Polling, changes

FAULTS: Mapping[str, dict[str, Any]] = {
    "rate_limited": {"kind": "status", "status": 429, "retry_after": "7"},
    "server_error": {"kind": "status", "status": 503},
    "hang": {"kind": "hang"},
    "hang_after_effect": {"kind": "hang_after_effect"},
    "break_after_effect": {"kind": "break_after_effect"},
}


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@dataclass
class System:
    url: str
    http: httpx.AsyncClient
    double: PlainDouble
    connector: Plain
    clock: Clock
    faults = tuple(FAULTS)

    def another(self) -> Plain:
        return Plain(settings(self.url), self.http)

    async def open_ticket(self) -> str:
        made = await self.call(
            "POST", "tickets", json={"title": "Printer", "text": "It burns", "email": "a@example.com"}
        )
        return str(made["id"])  # the clock stands still: they all share one second

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        (await self.http.post(f"{self.url}/double/faults", json=FAULTS[fault] | {"skip": skip})).raise_for_status()

    async def is_struck(self) -> bool:
        return not (await self.http.get(f"{self.url}/double/faults")).json()["waiting"]

    async def notes(self, external_id: str) -> list[str]:
        return [note["text"] for note in self.double.tickets[external_id]["notes"] if not note["public"]]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        self.clock.at += timedelta(seconds=5)
        if comment := fields.pop("comment", None):
            await self.call("POST", f"tickets/{external_id}/notes", json={"text": comment, "public": True})
        ids = {name: number for number, name in TEAMS.items()}
        given = {"team_id": ids.get(fields.get("group", "")), "state": fields.get("status")}
        given["urgency"] = PRIORITIES.get(fields.get("priority", ""))  # ty: ignore[invalid-argument-type]
        change = {name: value for name, value in given.items() if value is not None}
        await self.call("PATCH", f"tickets/{external_id}", json=change)

    async def call(self, method: str, path: str, **content: Any) -> Any:
        answer = await self.http.request(method, f"{self.url}/{path}", auth=("bo", "secret"), **content)
        return answer.raise_for_status().json()


def settings(url: str) -> PlainSettings:
    return PlainSettings(secrets=BOTH, base_url=url, password=SecretStr("secret"), timeout_s=0.5)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    clock = Clock()
    double = PlainDouble(clock)
    async with serve(double.app()) as url:
        yield System(url, http, double, Plain(settings(url), http), clock)


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"event": kind.value, "ticket_id": fields["id"], "by": "bo", "at": "2026-11-20T08:59:59Z"}


class TestInbound(Inbound):
    sender = Sender(Plain(settings("http://127.0.0.1:1"), httpx.AsyncClient()), event, is_thin=True)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_a_page_never_splits_a_second(system: System) -> None:
    """Pages hold two; seven tickets that share a second, then two of the next, are each heard once."""
    opened = [await system.open_ticket() for _ in range(7)]
    system.clock.at += timedelta(seconds=1)
    opened += [await system.open_ticket() for _ in range(2)]
    rows = await changes(system, Position(datetime(2000, 1, 1, tzinfo=UTC)))
    assert sorted(row.ticket.external_id for row in rows) == sorted(opened)


async def test_a_second_that_is_not_over_waits(system: System) -> None:
    """What may still change behind the position is not read yet."""
    await system.open_ticket()
    before = Position(datetime(2000, 1, 1, tzinfo=UTC))
    assert await system.connector.changes(before, system.clock() - timedelta(seconds=1)) == []
    assert len(await system.connector.changes(before, system.clock())) == 1


async def test_wrong_credentials_are_refused(system: System) -> None:
    """The double is honest about who calls."""
    answer = await system.http.get(f"{system.url}/tickets/1", auth=("bo", "guess"))
    assert answer.status_code == 401


class Lagging(Plain):
    """Its search shows nothing that was made a moment ago."""

    finds_after_s = 60

    async def find(self, key: str) -> str | None:
        return None


async def test_what_may_have_been_opened_and_is_not_found_yet_is_not_opened_again(system: System) -> None:
    """The first attempt took effect and was never answered; the next one waits for the search instead of doubling."""
    ours = Lagging(settings(system.url), system.http)
    await system.fail_next_write("break_after_effect")
    for _ in range(2):
        with pytest.raises(ConnectorUnavailable) as caught:
            await ours.open(HANDED_OVER)
    assert 0 < (caught.value.retry_after_s or 0) <= 60
    assert len(system.double.tickets) == 1


async def test_a_short_page_is_not_the_last_one() -> None:
    """The system says whether there are more: pages lack what our user may not see."""
    pages = [Page([1, 2], True), Page([], True), Page([3], False), Page([4], False)]
    asked: list[tuple[int, int]] = []

    async def page(number: int, start: int) -> Page:
        asked.append((number, start))
        return pages[number]

    assert await every(page) == [1, 2, 3]
    assert asked == [(0, 0), (1, 2), (2, 2)]
