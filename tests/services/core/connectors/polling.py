"""Every claim about `changes`: nothing is missed, nothing is heard twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can
from tests.services.core.connectors.conformance import System, later, letter, needs, shown


class Polling:
    """What is heard from a durable position on."""

    async def test_every_change_is_heard_once(self, system: System) -> None:
        """From a durable position on: none missed when many share a second, none twice."""
        needs(system, Can.POLL)
        opened = [await system.open_ticket() for _ in range(5)]
        begun = (await shown(system, opened[0])).updated_at
        assert begun is not None
        position = Position(begun - timedelta(seconds=2))
        first = await changes(system, position)
        assert sorted(row.ticket.external_id for row in first if row.ticket.external_id in opened) == sorted(opened)
        assert [row.at for row in first] == sorted(row.at for row in first)
        last = first[-1].position
        assert await changes(system, last) == []
        await second_over(last)
        await system.person_changes(opened[2], comment="I am looking into it")
        [later] = await changes(system, last)
        assert later.ticket.external_id == opened[2]
        assert (later.actor or "").lower() not in system.connector.own_actors
        assert await changes(system, later.position) == []

    async def test_nothing_is_heard_before_its_time(self, system: System) -> None:
        """What lies after `until` waits, for more may come in before it; read again it is there, once."""
        needs(system, Can.POLL)
        opened = [await system.open_ticket() for _ in range(2)]
        begun = (await shown(system, opened[0])).updated_at
        assert begun is not None
        start, until = Position(begun - timedelta(seconds=2)), begun - timedelta(seconds=1)
        early = await system.connector.changes(start, until)
        assert [row.at for row in early if row.at > until] == []
        later_on = await changes(system, early[-1].position if early else start)
        heard = [row.ticket.external_id for row in (*early, *later_on)]
        assert [heard.count(one) for one in opened] == [1, 1]

    async def test_a_list_that_is_behind_loses_nothing(self, system: System) -> None:
        """Where `heard_after_s` says so, what others see at once and we see late is left until it must be there."""
        needs(system, Can.POLL)
        behind = timedelta(seconds=system.connector.heard_after_s)
        if not behind:
            pytest.skip("this system's list is never behind")
        opened = [await system.open_ticket() for _ in range(4)]
        position = Position(now_there(system) - timedelta(days=1))
        early = await system.connector.changes(position, now_there(system) - behind)
        later_on = await changes(system, early[-1].position if early else position)
        assert sorted(row.ticket.external_id for row in (*early, *later_on)) == sorted(opened)

    async def test_what_a_person_set_and_what_we_set_are_told_apart(self, system: System) -> None:
        """Where the list names who changed a ticket last, our own write is known as ours."""
        needs(system, Can.POLL, Can.FIELDS)
        opened = [await system.open_ticket() for _ in range(2)]
        begun = (await shown(system, opened[0])).updated_at
        assert begun is not None
        last = (await changes(system, Position(begun - timedelta(seconds=2))))[-1].position
        await second_over(last)
        await system.person_changes(opened[0], group="Support")
        await system.connector.write(letter(opened[1]))
        later = {row.ticket.external_id: row for row in await changes(system, last)}
        assert set(later) == set(opened)
        assert [later[one].ticket.group for one in opened] == ["Support", "Billing"]
        assert (later[opened[0]].actor or "").lower() not in system.connector.own_actors
        ours = later[opened[1]].actor
        assert ours is None or ours.lower() in system.connector.own_actors


def now_there(system: System) -> datetime:
    """By the clock of a double; a real system has ours."""
    clock: Any = getattr(system, "clock", None)
    return clock() if clock else datetime.now(UTC)


async def second_over(position: Position) -> None:
    """What a real system changes in the second of a position lies behind it: the worker waits its lag out, so do we."""
    left_s = (position.at + timedelta(seconds=1) - datetime.now(UTC)).total_seconds()
    await asyncio.sleep(min(max(left_s, 0), 1.1))  # a double has a clock of its own


async def changes(system: System, after: Position) -> list[Changed]:
    """All there is after the position, page by page, as the worker reads it when the list has caught up."""
    later(system, system.connector.heard_after_s)
    found: list[Changed] = []
    while rows := await system.connector.changes(after, datetime(2100, 1, 1, tzinfo=UTC)):
        found += rows
        assert rows[-1].position != after, "`changes` gave rows and did not move on from its position: it never ends"
        after = rows[-1].position
    return found
