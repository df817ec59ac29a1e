"""A polled system: what changed there is heard once, in order, by whichever worker has the turn."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.desk import Desk, DeskSettings
from services.core.connectors.polling import Changed
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Status, Ticket, TicketUpdate
from services.core.kit.database import Pool, build_pool
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker.polling import hear, poll, tell
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside

OPEN = """
insert into desk_tickets (subject, body, requester_email, updated_at)
values (%s, 'It burns', 'ana@example.com', now() - interval '1 minute') returning id::text as id
"""
CHANGE = "update desk_tickets set {}, updated_at = now() - interval '30 seconds' where id = %s"

WRITTEN = """
insert into outbox (key, kind, connector, ticket_id, payload, state, settled_at)
select 'k', 'write', 'desk', id, '{"group": "Billing"}', 'sent', now() from tickets
"""


@pytest.fixture
async def outside(database: str) -> AsyncIterator[Outside]:
    """A worker that asks the desk; heard since long ago, so that a test need not wait."""
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        await run(pool, "insert into positions values ('desk', '2000-01-01', '', '2000-01-01')")
        redaction = Redaction(build_redactor())
        llm = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        desk = Desk(DeskSettings(poll_every_s=1), pool)
        settings = WorkerSettings(database_url=SecretStr(database))
        yield Outside(settings, pool, {"desk": desk}, redaction, RouterClient("http://127.0.0.1:9", http, 1), llm)


async def run(pool: Pool, query: Any, *values: Any) -> list[dict[str, Any]]:
    async with pool.connection() as conn:
        cursor = await conn.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


async def turn(outside: Outside) -> int:
    await run(outside.pool, "update positions set read_at = '2000-01-01'")
    return await hear(outside, outside.connectors["desk"])


async def kinds(pool: Pool) -> list[str]:
    return [row["kind"] for row in await run(pool, "select kind from deliveries order by id")]


async def test_each_change_is_one_delivery_and_starts_its_workflow(outside: Outside) -> None:
    """Opened, given to a group, solved; nothing in between is told twice."""
    [opened] = await run(outside.pool, OPEN, "Printer")
    assert [await turn(outside), await turn(outside)] == [1, 0]
    await run(outside.pool, CHANGE.format("group_name = 'Billing'"), opened["id"])
    await turn(outside)
    await run(outside.pool, CHANGE.format("status = 'solved'").replace("30", "20"), opened["id"])
    assert [await turn(outside), await turn(outside)] == [1, 0]
    assert await kinds(outside.pool) == ["created", "assigned", "solved"]
    started = await run(outside.pool, "select name from dbos.workflow_status order by created_at")
    assert [row["name"] for row in started] == ["new_ticket", "assigned_ticket", "solved_ticket"]


async def test_what_has_only_just_changed_waits(outside: Outside) -> None:
    """A transaction may still commit with an earlier time: the position never passes it."""
    await run(outside.pool, OPEN.replace("1 minute", "0 seconds"), "Printer")
    assert await turn(outside) == 0


async def test_a_list_that_is_behind_is_not_asked_for_what_it_may_not_show(outside: Outside) -> None:
    """As far as the connector says its list is behind; nothing that changed since moves the position."""
    await run(outside.pool, OPEN, "Printer")  # a minute ago
    outside.connectors["desk"].heard_after_s = 3600
    assert await turn(outside) == 0
    outside.connectors["desk"].heard_after_s = 10
    assert await turn(outside) == 1


async def test_our_own_write_does_not_come_back(outside: Outside) -> None:
    """The desk names no actor: the state is what we wrote, so nothing but an update is told."""
    [opened] = await run(outside.pool, OPEN, "Printer")
    await turn(outside)
    update = TicketUpdate(key="1/route", external_id=opened["id"], priority="high", note="because")  # ty: ignore[invalid-argument-type]
    await outside.connectors["desk"].write(update)
    await run(outside.pool, CHANGE.format("subject = subject"), opened["id"])
    await turn(outside)
    assert await kinds(outside.pool) == ["created", "updated"]


def test_what_a_person_solved_before_our_note_is_told() -> None:
    """The list names the last hand only: ours, a moment after theirs."""
    desk = Desk(DeskSettings(), None)  # ty: ignore[invalid-argument-type]  nothing is asked
    known = {"status": "open", "current_group": "Billing", "written_group": None}
    for status, group, kind in (
        (Status.SOLVED, "Billing", DeliveryKind.SOLVED),
        (Status.OPEN, "Billing", None),
        (Status.OPEN, "Support", None),
        (Status.DELETED, "Billing", DeliveryKind.DELETED),
    ):
        ticket = Ticket(connector="desk", external_id="1", status=status, group=group)
        told = tell(desk, Changed(datetime(2026, 11, 20, tzinfo=UTC), ticket, next(iter(desk.own_actors))), known)
        assert (told.kind if told else None) == kind


async def test_where_nobody_is_named_our_route_is_no_persons(outside: Outside) -> None:
    """The desk's list names no actor: our own group does not come back as a correction, another one does."""
    [opened] = await run(outside.pool, OPEN, "Printer")
    await turn(outside)
    await run(outside.pool, WRITTEN)
    await run(outside.pool, CHANGE.format("group_name = 'Billing'"), opened["id"])
    await turn(outside)
    assert await kinds(outside.pool) == ["created"]
    await run(outside.pool, CHANGE.format("group_name = 'Support'").replace("30", "20"), opened["id"])
    await turn(outside)
    assert await kinds(outside.pool) == ["created", "assigned"]


async def test_several_workers_take_turns(outside: Outside) -> None:
    """Five ask at once: one of them has the turn, and each ticket is one delivery."""
    for number in range(150):
        await run(outside.pool, OPEN, f"Printer {number}")
    found = await asyncio.gather(*(hear(outside, outside.connectors["desk"]) for _ in range(5)))
    assert sorted(found) == [0, 0, 0, 0, 150]
    assert await kinds(outside.pool) == ["created"] * 150


async def test_killed_in_the_middle_it_goes_on_where_it_was(outside: Outside) -> None:
    """The position that was not advanced is read again; the deliveries that were stored are duplicates."""
    await run(outside.pool, OPEN, "Printer")
    await turn(outside)
    await run(outside.pool, "update positions set at = '2000-01-01', last_id = ''")
    assert await turn(outside) == 1
    assert await kinds(outside.pool) == ["created"]


async def test_a_system_that_is_away_ends_nothing(outside: Outside) -> None:
    """The loop goes on, and ends when it is told to."""
    stop = asyncio.Event()
    await run(outside.pool, "alter table desk_tickets rename to away")
    polling = asyncio.create_task(poll(outside, stop=stop))
    while not await run(outside.pool, "select 1 from positions where read_at > '2001-01-01'"):  # noqa: ASYNC110  another task
        await asyncio.sleep(0.05)
    assert not polling.done()
    await run(outside.pool, "alter table away rename to desk_tickets")
    await run(outside.pool, OPEN, "Printer")
    while not await kinds(outside.pool):  # noqa: ASYNC110  another task
        await asyncio.sleep(0.05)
    stop.set()
    await polling
