"""A ticket whose text is not known and whose system does not answer: it waits as a letter, and starts once more."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Ticket
from services.core.kit.database import build_pool
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.intake import ingest
from services.core.kit.lanes import TRIPS_AT
from services.core.kit.outbox import Letter
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker import repository, solve, steps
from services.worker.later import PUT_OFF, first_of, read_or_put_off, resume
from services.worker.letters import deliver
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside

LETTER_ROWS = "select id, key, kind, connector, ticket_id, payload, attempts from outbox order by id"


class Away(Connector):
    """A system that does not answer, or raises what it is told to."""

    name, system, can = "generic", "Away", Can.FETCH

    def __init__(self) -> None:
        super().__init__(ConnectorSettings())
        self.asked = 0
        self.raises: Exception = ConnectorUnavailable("no answer")

    async def fetch(self, external_id: str) -> Ticket | None:
        self.asked += 1
        raise self.raises


@pytest.fixture
async def outside(database: str) -> AsyncIterator[Outside]:
    """A worker with a ticket whose text nobody knows yet."""
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        redaction = Redaction(build_redactor())
        llm = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        settings = WorkerSettings(database_url=SecretStr(database))
        router = RouterClient("http://127.0.0.1:9", http, 1)
        ticket = Ticket(connector="generic", external_id="A-1")
        kind = DeliveryKind.CREATED
        async with pool.connection() as conn:
            thin = Delivery(connector="generic", delivery_id="1", kind=kind, external_id="A-1", ticket=ticket)
            await ingest(conn, thin, body_sha256="")
        yield Outside(settings, pool, {"generic": Away()}, redaction, router, llm)


async def rows(outside: Outside, query: str) -> list[dict[str, Any]]:
    async with outside.pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def prepare(outside: Outside, workflow_id: str = "new:1") -> str | None:
    return await read_or_put_off(outside, 1, "new_ticket", workflow_id, lambda: steps.refresh(outside, 1))


async def letters(outside: Outside) -> list[Letter]:
    return [Letter(**row) for row in await rows(outside, LETTER_ROWS)]


async def started(outside: Outside) -> list[tuple[str, str]]:
    query = "select workflow_uuid, queue_partition_key from dbos.workflow_status order by created_at, workflow_uuid"
    return [(row["workflow_uuid"], row["queue_partition_key"]) for row in await rows(outside, query)]


async def test_a_ticket_that_cannot_be_read_waits_as_one_letter(outside: Outside) -> None:
    """Killed and run again, put off or resumed: one letter and one more turn, in its system's part of the queue."""
    assert [await prepare(outside), await prepare(outside)] == [PUT_OFF, PUT_OFF]
    [letter] = await letters(outside)
    assert (letter.kind, letter.connector, letter.ticket_id) == ("read", "generic", 1)
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConnectorUnavailable):
            await deliver(outside, None, http, letter)
        assert await started(outside) == [("new:1", "generic")]
        refuses = Away()
        refuses.raises = ConnectorRejected("no such ticket")  # an answer all the same: the workflow knows what to do
        answering = replace(outside, connectors={"generic": refuses})
        assert [await deliver(answering, None, http, letter) for _ in range(2)] == ["answered", "answered"]
    assert await started(outside) == [("new:1", "generic"), ("new:1:later:1", "generic")]


async def test_every_turn_has_a_letter_of_its_own_and_the_effects_of_the_first(outside: Outside) -> None:
    """The system went away again between the letter and the workflow."""
    await prepare(outside, "new:1:later:1")
    [letter] = await letters(outside)
    assert letter.payload["start"]["workflow_id"] == "new:1:later:2"
    assert first_of("new:1:later:2") == "new:1"
    assert first_of("assigned:1:evt:later:x") == "assigned:1:evt:later:x"


async def test_an_erased_ticket_is_not_put_off(outside: Outside) -> None:
    """Neither by a step that began before, nor by a letter that was leased before."""
    await prepare(outside)
    [letter] = await letters(outside)
    await solve.erase(outside, 1)
    assert await letters(outside) == []
    await read_or_put_off(outside, 1, "new_ticket", "new:1", lambda: _unread(outside))
    assert await letters(outside) == []
    gone = replace(outside, connectors={})
    await resume(gone, letter)
    assert await steps.triage(gone, 1, "new:1") == steps.LEFT_ALONE


async def _unread(outside: Outside) -> None:
    raise ConnectorUnavailable("it was being read while it was erased")


async def test_a_system_that_hangs_is_not_asked_for_every_ticket(outside: Outside) -> None:
    """After some failures its lane is closed to questions too; a heartbeat tells since when."""
    away = outside.connectors["generic"]
    assert isinstance(away, Away)
    for _ in range(TRIPS_AT + 3):
        await prepare(outside)
    assert away.asked == TRIPS_AT
    assert list(outside.silent()) == ["generic"]
    outside.lanes.of("generic").worked()  # a letter got through
    assert outside.silent() == {}
    away.raises = ConnectorRejected("no such ticket")
    assert await prepare(outside) is None
    async with outside.pool.connection() as conn:
        assert (await repository.redacted(conn, 1))["subject"] == ""


async def test_one_question_finds_out_whether_a_system_is_back(outside: Outside) -> None:
    """The others are told at once that it is away, and those that hung with it do not lengthen its pause."""
    now, ends = [0.0], asyncio.Event()
    lane = outside.lanes.of("generic")
    lane.clock = lambda: now[0]

    async def hang() -> None:
        await ends.wait()
        raise ConnectorUnavailable("no answer")

    asked = [asyncio.create_task(lane.ask(hang)) for _ in range(20)]
    await asyncio.sleep(0)
    ends.set()
    await asyncio.gather(*asked, return_exceptions=True)
    now[0] = lane.closed_until
    assert lane.failures == TRIPS_AT
    ends.clear()
    trying = asyncio.create_task(lane.ask(hang))
    await asyncio.sleep(0)
    with pytest.raises(ConnectorUnavailable, match="left alone"):
        await lane.ask(hang)
    assert lane.places() == 0
    ends.set()
    await asyncio.gather(trying, return_exceptions=True)
    assert lane.failures == TRIPS_AT + 1
