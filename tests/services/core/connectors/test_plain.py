"""The suite on a system that can do little: its writes are two calls, and nothing guards them but our skeleton."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.hearing import Told
from services.core.connectors.outbound import Page, every
from services.core.connectors.polling import Changed, Position
from services.core.connectors.writing import Priorities
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Priority, Ticket
from services.core.kit.errors import ConnectorUnavailable
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, Sender, letter, seen_now, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.plain import PRIORITIES, TEAMS, TICKET, Plain, PlainDouble, PlainSettings
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
    build: type[Plain] = Plain
    faults = tuple(FAULTS)

    def another(self) -> Plain:
        return self.build(settings(self.url), self.http)

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
        given["urgency"] = PRIORITIES.words.get(fields.get("priority", ""))  # ty: ignore[no-matching-overload]
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


class Alike(Plain):
    """Writes whatever it is told, and reads one word."""

    priorities = Priorities(dict.fromkeys(Priority, 2))


class Forgetful(Plain):
    """Opens under a key that it does not find again."""

    async def find(self, key: str) -> str | None:
        return None


class Hasty(Plain):
    """Gives what is not over yet."""

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        return await super().changes(after, datetime(2100, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("broken", "room", "claim", "said"),
    [
        (Alike, Outbound, "test_each_priority_comes_back", "low and urgent are one"),
        (Forgetful, Outbound, "test_opened_and_never_answered_it_is_not_opened_again", "does not find what"),
        (Hasty, Polling, "test_nothing_is_heard_before_its_time", "row.at > until|datetime"),
    ],
)
async def test_the_suite_finds_a_connector_that_breaks_its_word(
    system: System, broken: type[Plain], room: type[Any], claim: str, said: str
) -> None:
    """And says what it found, also where the claim is a bare assert."""
    system.build = broken
    system.connector = system.another()
    with pytest.raises(AssertionError, match=said):
        await getattr(room(), claim)(system)


class Coarse(Plain):
    """As many systems are: three words for our four."""

    priorities = Priorities({Priority.LOW: 1, Priority.NORMAL: 2, Priority.HIGH: 2, Priority.URGENT: 4})


async def test_two_of_our_priorities_may_be_one_word_there(system: System) -> None:
    """The letter is not refused for it, and its own word is no person's change."""
    system.build = Coarse
    system.connector = system.another()
    await Outbound().test_each_priority_comes_back(system)
    external_id = await system.open_ticket()
    seen = await seen_now(system, external_id)
    await system.connector.write(letter(external_id, priority="normal"))
    assert (await shown(system, external_id)).priority is Priority.HIGH
    again = await system.connector.write(letter(external_id, key="k2", priority="normal", seen=seen))
    assert (again.status, again.why) == ("written", "")


class Numbered(Plain):
    """Its key is made of a field that may be missing."""

    def understand(self, event: Any, call: Call) -> Told:
        return replace(super().understand(event, call), key=f"event:{event.get('number')}")


def test_the_suite_finds_a_key_that_is_made_of_nothing() -> None:
    """All events without a number would be one delivery: the first is heard, the others are lost."""
    room = Inbound()
    room.sender = Sender(Numbered(settings("http://127.0.0.1:1"), httpx.AsyncClient()), numbered)
    with pytest.raises(AssertionError, match="event:None"):
        room.test_what_two_events_lack_does_not_make_them_one()


def numbered(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    return event(kind, fields) | {"number": fields["id"]}


async def test_a_row_without_its_time_is_said_so(system: System) -> None:
    """Nothing can be heard behind it: the field is named, and the poll tries again."""
    ticket = Ticket(connector="plain", external_id="7")
    with pytest.raises(ConnectorUnavailable, match="tells no usable changed of ticket 7"):
        TICKET.changed_at(ticket)


async def test_a_short_page_is_not_the_last_one() -> None:
    """The system says whether there are more: pages lack what our user may not see."""
    pages = [Page([1, 2], True), Page([], True), Page([3], False), Page([4], False)]
    asked: list[tuple[int, int]] = []

    async def page(number: int, start: int) -> Page:
        asked.append((number, start))
        return pages[number]

    assert await every(page) == [1, 2, 3]
    assert asked == [(0, 0), (1, 2), (2, 2)]
