"""The built-in desk on a real database: people's side, write-back once, and what it tells the world."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk import Desk, DeskSettings
from services.core.connectors.desk_agents import DeskAgents, NewDeskTicket, Said
from services.core.connectors.door import Call
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Priority, Status, TicketUpdate
from services.core.kit.database import build_pool
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, PayloadInvalid
from tests.services.core.connectors.conformance import BOTH, SECRET, Sender
from tests.services.core.connectors.events import standard_event
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
KILL_A_WAITING_WRITER = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query ilike '%update desk_tickets%'"""
SETTINGS = DeskSettings(secrets=BOTH)
PRINTER = NewDeskTicket("Printer on fire", "It burns.", requester_email="ana@example.com", tags=("hw",))


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[AsyncConnectionPool]:
    async with build_pool(database, max_size=8) as opened:  # the platform's own, with its row type
        yield opened


@pytest.fixture
def agents(pool: AsyncConnectionPool) -> DeskAgents:
    return DeskAgents(pool)


@pytest.fixture
def desk(pool: AsyncConnectionPool) -> Desk:
    return Desk(SETTINGS, pool)


@dataclass
class System:
    """The desk as the conformance suite wants it. Its one fault: the database drops the connection in mid-write."""

    connector: Desk
    agents: DeskAgents
    pool: AsyncConnectionPool
    url: str
    faults = ("connection_killed",)
    killers: list[asyncio.Task[None]] = field(default_factory=list)

    def another(self) -> Desk:
        return Desk(SETTINGS, self.pool)

    async def open_ticket(self) -> str:
        return (await self.agents.create(PRINTER)).ticket_id

    async def is_struck(self) -> bool:
        """The one who was struck may know it before the killer does."""
        await asyncio.gather(*self.killers)
        return True

    async def person_changes(self, external_id: str, **fields: str) -> None:
        if comment := fields.pop("comment", None):
            await self.agents.comment(external_id, Said("bo", comment))
        column = {"group": "group_name", "priority": "priority", "status": "status"}
        for name, value in fields.items():
            change = f"update desk_tickets set {column[name]} = %s, updated_at = clock_timestamp() where id = %s"
            async with self.pool.connection() as conn:
                await conn.execute(change.encode(), (value, int(external_id)))

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        locked = asyncio.Event()
        self.killers.append(asyncio.create_task(self._kill_who_waits(locked)))
        await locked.wait()

    async def notes(self, external_id: str) -> list[str]:
        ticket = await self.connector.fetch(external_id)
        return [comment.body for comment in ticket.comments if not comment.public] if ticket else []

    async def _kill_who_waits(self, locked: asyncio.Event) -> None:
        """Locks the table, waits until a writer hangs on it, ends that writer's connection."""
        async with await psycopg.AsyncConnection.connect(self.url) as holder:
            await holder.execute("lock table desk_tickets in share mode")
            locked.set()
            async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as killer:
                killed = None
                while killed is None:
                    killed = await (await killer.execute(KILL_A_WAITING_WRITER)).fetchone()


@pytest.fixture
def system(desk: Desk, agents: DeskAgents, pool: AsyncConnectionPool, database: str) -> System:
    return System(desk, agents, pool, database)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


class TestInbound(Inbound):
    sender = Sender(Desk(SETTINGS, AsyncConnectionPool("", open=False)), standard_event)  # the door needs no database


def test_the_desk_takes_numbers_only() -> None:
    """A desk ticket that cannot exist is refused at the door."""
    with pytest.raises(PayloadInvalid, match="desk ticket's number"):
        TestInbound.sender.connector.parse(Call({}, b'{"type": "ticket.created", "data": {"id": "abc"}}'))


async def test_a_ticket_lives_from_open_to_solved(desk: Desk, agents: DeskAgents) -> None:
    """What people do on the desk is what the connector fetches."""
    created = await agents.create(PRINTER)
    await agents.assign(created.ticket_id, group="Facilities", assignee="bo")
    await agents.comment(created.ticket_id, Said("bo", "On my way", public=False))
    await agents.solve(created.ticket_id, Said("bo", "Put out"), group="Fire brigade")
    ticket = await desk.fetch(created.ticket_id)
    assert ticket is not None
    assert (ticket.status, ticket.group, ticket.assignee_id) == (Status.SOLVED, "Fire brigade", "bo")
    assert [(c.body, c.public) for c in ticket.comments] == [("On my way", False), ("Put out", True)]
    assert ticket.requester.email == "ana@example.com"


async def test_its_events_verify_and_parse(desk: Desk, agents: DeskAgents) -> None:
    """The desk's own webhook passes the desk's own door."""
    event = await agents.create(PRINTER)
    call = Call(event.signed(SECRET, now=NOW), event.body())
    desk.verify(call, now=NOW)
    [delivery] = desk.parse(call)
    assert isinstance(delivery, Delivery)
    assert (delivery.kind, delivery.external_id) == (DeliveryKind.CREATED, event.ticket_id)
    assert delivery.delivery_id == event.delivery_id


async def test_the_same_key_ten_times_at_once_has_one_effect(desk: Desk, agents: DeskAgents) -> None:
    """Ten workers that write the same update leave one note and one result `written`."""
    ticket_id = (await agents.create(PRINTER)).ticket_id
    update = TicketUpdate(
        key=f"{ticket_id}/route", external_id=ticket_id, group="Facilities", priority=Priority.HIGH,
        tags=("hw", "routed"), note="Because it burns",
    )  # fmt: skip
    results = await asyncio.gather(*(desk.write(update) for _ in range(10)))
    assert sorted(result.status for result in results) == ["already"] * 9 + ["written"]
    ticket = await desk.fetch(ticket_id)
    assert ticket is not None
    assert (ticket.group, ticket.priority, ticket.tags) == ("Facilities", Priority.HIGH, ("hw", "routed"))
    assert [(c.body, c.public, c.author_id) for c in ticket.comments] == [("Because it burns", False, "pointsman")]
    assert {result.stamp for result in results} == {ticket.stamp}


async def test_fields_that_are_none_stay(desk: Desk, agents: DeskAgents) -> None:
    """An update with a note only changes neither group nor priority."""
    ticket_id = (await agents.create(PRINTER)).ticket_id
    await agents.assign(ticket_id, group="Facilities")
    await desk.write(TicketUpdate(key="n", external_id=ticket_id, note="similar: 7"))
    ticket = await desk.fetch(ticket_id)
    assert ticket is not None
    assert (ticket.group, ticket.priority, ticket.tags) == ("Facilities", None, ("hw",))


async def test_a_ticket_that_is_not_there(desk: Desk) -> None:
    """Fetching says NotFound, writing is refused and does not use up the key."""
    for external_id in ("999999", "0", "x", "9" * 40, "²"):
        with pytest.raises(NotFound, match="no ticket"):
            await desk.fetch(external_id)
        with pytest.raises(ConnectorRejected, match="no ticket"):
            await desk.write(TicketUpdate(key="k", external_id=external_id, note="x"))


async def test_a_database_that_does_not_answer_is_unavailable() -> None:
    """Nothing listens there: the worker is told to come back."""
    url = "postgresql://127.0.0.1:1/none"
    async with AsyncConnectionPool(url, min_size=0, max_size=1, open=False, timeout=0.2) as pool:
        with pytest.raises(ConnectorUnavailable):
            await Desk(SETTINGS, pool).fetch("1")
