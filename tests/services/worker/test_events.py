"""What is told to others, from the audit log on: the outbox's letters, and the lake's days; ids alone."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr, ValidationError

from services.core.bus.told import ACTIONS, event_of
from services.core.contracts.events import Event
from services.core.kit import audit
from services.core.kit.database import build_pool
from services.core.kit.objects import open_store
from services.worker import events, lake
from services.worker.settings import WorkerSettings

CANARY = "zzcanaryzz my card is 4111"
TOLD = {
    "group": "Network",
    "band": "AUTO_ROUTE",
    "priority": "high",
    "confidence": 0.97,
    "model_version": "v3",
    "shadow": False,
}
DECIDED = {**TOLD, "reason": CANARY, "top3": [{"group": "Network", "probability": 0.97}]}
SEED = b"""
insert into tickets (connector, external_id, status, state)
select 'generic', n::text, 'open', 'triaged' from generate_series(1, 3) n
"""


def say(database: str, action: str, ticket: int, detail: dict[str, Any]) -> None:
    with psycopg.connect(database) as conn:
        audit.append_now(conn, audit.Entry("worker", action, f"ticket/{ticket}", detail))
        conn.execute(audit.LINK, (audit.LINK_MAX,))


def a_ticket_lives(database: str, ticket: int) -> None:
    say(database, "ticket.decided", ticket, DECIDED)
    say(database, "ticket.filtered", ticket, {"why": CANARY})  # told to nobody
    say(database, "review.corrected", ticket, {"group": "VPN", "proposed": "Network"})
    say(database, "ticket.summarised", ticket, {"group": "VPN", "by": "extractive"})
    say(database, "ticket.erased", ticket, {})


@pytest.fixture
async def outside(database: str, tmp_path: Path) -> AsyncIterator[Any]:
    """The worker's settings and pool: all that these two reach."""
    with psycopg.connect(database) as conn:
        conn.execute(SEED)
    settings = WorkerSettings(
        database_url=SecretStr(database), events_url="https://sink.example.com", lake_url=f"file://{tmp_path / 'lake'}"
    )
    async with build_pool(database, min_size=1, max_size=4) as pool:
        yield SimpleNamespace(settings=settings, pool=pool)


def letters(database: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as conn:
        return conn.execute("select key, kind, connector, ticket_id, payload from outbox order by id").fetchall()


async def test_a_tickets_life_is_told_once_in_order_without_a_word_of_it(outside: Any, database: str) -> None:
    """Routed, reviewed, solved, erased: whoever looks twice, or beside another, tells nothing twice."""
    assert not await events.one_round(outside)  # begins where the log is now
    a_ticket_lives(database, 1)
    await asyncio.gather(*(events.one_round(outside) for _ in range(4)))
    while await events.one_round(outside):
        pass
    found = letters(database)
    told = [Event.model_validate(letter["payload"]) for letter in found]
    assert [event.type.split(".")[2] for event in told] == ["routed", "reviewed", "solved", "erased"]
    assert {letter["kind"] for letter in found} == {"event"}
    assert {event.subject for event in told} == {"1"}
    assert len({event.id for event in told}) == 4
    assert told[0].data == TOLD
    assert told[1].data == {"group": "VPN", "proposed": "Network", "verdict": "corrected"}
    assert told[3].data == {}
    assert "zzcanaryzz" not in str(found)


async def test_what_was_before_events_were_on_is_not_told(outside: Any, database: str) -> None:
    """Switching a bus on sends no year of history."""
    a_ticket_lives(database, 1)
    await events.one_round(outside)
    assert letters(database) == []
    say(database, "ticket.decided", 2, DECIDED)
    await events.one_round(outside)
    assert [letter["ticket_id"] for letter in letters(database)] == [2]


async def test_events_are_off_by_default(outside: Any, database: str) -> None:
    """No address: nothing is read, nothing is put."""
    assert WorkerSettings(database_url=SecretStr(database)).events_url is None
    off = SimpleNamespace(settings=outside.settings.model_copy(update={"events_url": None}), pool=outside.pool)
    await asyncio.wait_for(events.tell(off, stop=asyncio.Event()), 30)  # ty: ignore[invalid-argument-type]
    with psycopg.connect(database) as conn:
        assert conn.execute("select count(*) from event_positions").fetchone() == (0,)


async def test_a_round_is_bounded_and_says_that_there_is_more(outside: Any, database: str) -> None:
    """A week without the worker is caught up in rounds."""
    await events.one_round(outside)
    with psycopg.connect(database) as conn:
        for _ in range(events.ROUND + 1):
            audit.append_now(conn, audit.Entry("worker", "ticket.erased", "ticket/1", {}))
        conn.execute(audit.LINK, (2 * events.ROUND,))
    assert await events.one_round(outside)
    assert not await events.one_round(outside)
    assert len(letters(database)) == events.ROUND + 1


@pytest.mark.parametrize("action", ACTIONS)
def test_an_event_holds_nothing_but_its_own_fields(action: str) -> None:
    """Whatever an entry's detail holds one day, text does not go along; the id is made of what happened alone."""
    entry = {"seq": 5, "at": datetime(2026, 11, 20, tzinfo=UTC), "action": action, "subject": "ticket/9"}
    event = event_of({**entry, "detail": {**DECIDED, "body": CANARY, "subject": CANARY}})
    assert "zzcanaryzz" not in event.model_dump_json()
    assert event_of({**entry, "detail": {}}).id == event.id
    assert event.id.startswith("9:")
    assert event.id.endswith(":5")


def test_the_contract_itself_refuses_text() -> None:
    """A publisher that took a short cut is stopped by the event's own type."""
    with pytest.raises(ValidationError, match="body"):
        Event(
            id="1",
            source="x",
            type="pointsman.ticket.erased.v1",
            subject="1",
            time=datetime.now(UTC),
            data={"body": CANARY},
        )


async def test_the_lake_holds_a_day_once_and_duckdb_reads_it(outside: Any, database: str, tmp_path: Path) -> None:
    """Yesterday's events as Parquet; again and by another worker the same bytes; a lost day comes back."""
    import duckdb

    a_ticket_lives(database, 1)
    say(database, "ticket.decided", 2, DECIDED)
    store, day = open_store(outside.settings.lake_url), _day_of_the_log(database)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert await lake.write_due(outside, store, now=begin + timedelta(hours=24, minutes=59)) == []  # not over for sure
    over = begin + timedelta(hours=25)
    assert await lake.write_due(outside, store, now=over) == [day.date()]
    file = tmp_path / "lake" / "events" / f"day={day.date()}" / "events.parquet"
    first = file.read_bytes()
    assert await lake.write_due(outside, store, now=over) == []
    assert await lake.write_day(outside, store, day.date()) == 5
    assert file.read_bytes() == first
    query = f"""
        select type, count(*), max("group"), max(confidence)
        from read_parquet('{tmp_path}/lake/events/*/*.parquet', hive_partitioning = true)
        where day = '{day.date()}' group by type order by type
    """
    assert duckdb.sql(query).fetchall() == [
        ("pointsman.ticket.erased.v1", 1, None, None),
        ("pointsman.ticket.reviewed.v1", 1, "VPN", None),
        ("pointsman.ticket.routed.v1", 2, "Network", 0.97),
        ("pointsman.ticket.solved.v1", 1, "VPN", None),
    ]
    assert b"zzcanaryzz" not in first
    file.unlink()
    assert await lake.write_due(outside, store, now=over) == [day.date()]
    assert file.read_bytes() == first


async def test_a_day_without_events_is_written_empty(outside: Any, database: str, tmp_path: Path) -> None:
    """A gap in the lake is then a gap in the writing, and never a quiet Sunday."""
    import duckdb

    a_ticket_lives(database, 1)
    store, day = open_store(outside.settings.lake_url), _day_of_the_log(database)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert len(await lake.write_due(outside, store, now=begin + timedelta(days=3, hours=2))) == 3
    files = sorted((tmp_path / "lake").glob("events/*/*.parquet"))
    counts = [row[0] for file in files for row in duckdb.sql(f"select count(*) from '{file}'").fetchall()]
    assert counts == [4, 0, 0]


def _day_of_the_log(database: str) -> datetime:
    """Of the database's clock: a test at midnight is a test as well."""
    with psycopg.connect(database) as conn:
        row = conn.execute("select min(at) from audit").fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


async def test_a_day_with_entries_that_wait_to_be_linked_is_not_over(outside: Any, database: str) -> None:
    """The linker was away for a day: a file without its entries would never be written again."""
    a_ticket_lives(database, 1)
    with psycopg.connect(database) as conn:
        audit.append_now(conn, audit.Entry("worker", "ticket.erased", "ticket/2", {}))
    store, day = open_store(outside.settings.lake_url), _day_of_the_log(database)
    later = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=2, hours=2)
    assert day.date() not in await lake.write_due(outside, store, now=later)
    with psycopg.connect(database) as conn:
        conn.execute(audit.LINK, (audit.LINK_MAX,))
    assert day.date() in await lake.write_due(outside, store, now=later)


@pytest.mark.parametrize(
    ("name", "value"), [("POINTSMAN_EVENTS_URL", "kafka://broker/topic"), ("POINTSMAN_LAKE_URL", "hdfs://lake")]
)
def test_an_address_nobody_knows_stops_the_start_by_its_name(name: str, value: str) -> None:
    """One line with the setting and what it may be, before anything is connected to."""
    environment = {**os.environ, "POINTSMAN_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", name: value}
    command = [sys.executable, "-W", "ignore", "-m", "services.worker"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"worker: {name} ")
    assert "Traceback" not in done.stderr
