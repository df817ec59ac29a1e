"""The outbox: each effect under its key, retried, buried, replayed."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.core.kit import outbox
from services.core.kit.database import Pool, build_pool
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, UpdateConflict
from services.core.kit.lanes import OTHERS, PAUSE_CAP_S, PLACES, TRIPS_AT, Lane, Lanes
from services.core.kit.outbox import Letter, Superseded


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with build_pool(database, min_size=1, max_size=4) as pool:
        async with pool.connection() as conn:
            await conn.execute("insert into tickets (connector, external_id) values ('desk', '1')")
        yield pool


HURRY = "update outbox set due_at = now() where state = 'pending' and last_error is not null"


async def put(pool: Pool, key: str, connector: str | None = "desk") -> None:
    async with pool.connection() as conn:
        await outbox.put(conn, key, {"key": key}, kind="write", ticket_id=1, connector=connector)


async def letter(pool: Pool, key: str) -> dict:
    async with pool.connection() as conn:
        row = await (await conn.execute("select * from outbox where key = %s", (key,))).fetchone()
    assert row is not None
    return row


async def run(pool: Pool, deliver: outbox.Deliver, *, seconds: float = 0.4) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await outbox.dispatch(pool, deliver, stop=stop, lanes=Lanes(("desk", "zendesk")))


async def test_the_same_key_is_one_letter_delivered_once(pool: Pool) -> None:
    """Two dispatchers at once, one delivery."""
    seen: list[str] = []

    async def deliver(found: Letter) -> str:
        seen.append(found.key)
        return "written"

    await put(pool, "1:new")
    await put(pool, "1:new")
    await asyncio.gather(run(pool, deliver), run(pool, deliver))
    assert seen == ["1:new"]
    assert (await letter(pool, "1:new"))["state"] == "sent"


async def test_what_may_pass_is_tried_again_when_the_other_system_says(pool: Pool) -> None:
    """Retry-After is kept; the letter stays pending with its error."""

    async def deliver(found: Letter) -> str:
        raise ConnectorUnavailable("429", retry_after_s=120)

    await put(pool, "1:new")
    await run(pool, deliver)
    row = await letter(pool, "1:new")
    assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 1, "ConnectorUnavailable: 429")
    async with pool.connection() as conn:
        wait = await (
            await conn.execute("select due_at > now() + interval '100 seconds' as later from outbox")
        ).fetchone()
    assert wait == {"later": True}


async def test_a_refusal_is_a_dead_letter_until_it_is_replayed(pool: Pool) -> None:
    """Dead at once; replaying makes it due with its old key."""

    async def refuse(found: Letter) -> str:
        raise ConnectorRejected("no such group")

    async def accept(found: Letter) -> str:
        return "written"

    await put(pool, "1:new")
    await run(pool, refuse)
    assert (await letter(pool, "1:new"))["state"] == "dead"
    async with pool.connection() as conn:
        assert await outbox.replay(conn) == 1
    await run(pool, accept)
    assert (await letter(pool, "1:new"))["state"] == "sent"


async def test_an_error_of_ours_does_not_stop_the_others(pool: Pool) -> None:
    """One letter whose delivery breaks in an unforeseen way is retried later; the next goes out."""

    async def deliver(found: Letter) -> str:
        if found.key == "1:a":
            raise RuntimeError("unforeseen")
        return "written"

    await put(pool, "1:a")
    await put(pool, "1:b")
    await run(pool, deliver)
    assert (await letter(pool, "1:b"))["state"] == "sent"
    assert (await letter(pool, "1:a"))["state"] == "pending"


async def test_odd_words_and_odd_waits_of_another_system_do_not_stop_the_outbox(pool: Pool) -> None:
    """A NUL in its message, a Retry-After of ages: the letter is postponed for an hour at most."""

    async def deliver(found: Letter) -> str:
        raise ConnectorUnavailable("it said \0 and more" + "x" * 5000, retry_after_s=1e18)

    await put(pool, "1:new")
    await run(pool, deliver)
    row = await letter(pool, "1:new")
    assert (row["state"], row["attempts"]) == ("pending", 1)
    assert len(row["last_error"]) <= outbox.ERROR_MAX_CHARS


async def test_a_hanging_system_leaves_another_ones_letters_alone(pool: Pool) -> None:
    """All places of one lane are taken by calls that never end; the other lane carries everything meanwhile."""
    for n in range(PLACES + 4):
        await put(pool, f"1:z{n}", "zendesk")
        await put(pool, f"1:d{n}", "desk")
        await put(pool, f"1:e{n}", None)
    hanging, carried, done = set[str](), set[str](), asyncio.Event()
    stop = asyncio.Event()

    async def deliver(found: Letter) -> str:
        if found.connector == "zendesk":
            hanging.add(found.key)
            await done.wait()  # never, as far as the others are concerned
        carried.add(found.key)
        if len(carried) == 2 * (PLACES + 4):
            stop.set()
        return "written"

    dispatching = asyncio.create_task(outbox.dispatch(pool, deliver, stop=stop, lanes=Lanes(("desk", "zendesk"))))
    async with asyncio.timeout(120):
        await stop.wait()
    assert len(hanging) == PLACES
    assert not any(key.startswith("1:z") for key in carried)
    done.set()
    await dispatching


@asynccontextmanager
async def no_waiting(pool: Pool) -> AsyncIterator[Lanes]:
    """Lanes whose pauses are over at once, and letters that are due again as soon as they were postponed."""

    async def hurry() -> None:
        while True:
            async with pool.connection() as conn:
                await conn.execute(HURRY)
            await asyncio.sleep(0.05)

    hurrying = asyncio.create_task(hurry())
    days = itertools.count(0, 86_400)
    yield Lanes(("desk",), clock=lambda: float(next(days)))
    hurrying.cancel()


async def test_an_outage_of_a_day_makes_no_dead_letter(pool: Pool) -> None:
    """Unavailable is no strike, however often; the letter waits and then goes out."""
    await put(pool, "1:new")
    stop, tries = asyncio.Event(), 0

    async def deliver(found: Letter) -> str:
        nonlocal tries
        tries += 1
        if tries <= 3 * outbox.MAX_STRIKES:
            raise ConnectorUnavailable("no answer")
        stop.set()
        return "written"

    async with no_waiting(pool) as lanes, asyncio.timeout(120):
        await outbox.dispatch(pool, deliver, stop=stop, lanes=lanes)
    row = await letter(pool, "1:new")
    assert (row["state"], row["strikes"]) == ("sent", 0)
    assert row["attempts"] > 3 * outbox.MAX_STRIKES


async def test_what_conflicts_every_time_is_dead_in_the_end(pool: Pool) -> None:
    """A system that answers, and says no each time, is not down."""
    await put(pool, "1:new")
    stop, tries = asyncio.Event(), 0

    async def deliver(found: Letter) -> str:
        nonlocal tries
        tries += 1
        if tries == outbox.MAX_STRIKES:
            stop.set()
        raise UpdateConflict("it changed again")

    async with no_waiting(pool) as lanes, asyncio.timeout(120):
        await outbox.dispatch(pool, deliver, stop=stop, lanes=lanes)
    row = await letter(pool, "1:new")
    assert (row["state"], row["strikes"]) == ("dead", outbox.MAX_STRIKES - 1)


async def test_a_superseded_letter_says_why_and_is_in_the_audit_log(pool: Pool) -> None:
    """It is neither sent nor dead: nothing failed, and nothing was done."""
    await put(pool, "1:new")

    async def deliver(found: Letter) -> Superseded:
        return Superseded("its group is Support by now")

    await run(pool, deliver)
    row = await letter(pool, "1:new")
    assert (row["state"], row["result"]) == ("superseded", "its group is Support by now")
    async with pool.connection() as conn:
        entries = await (await conn.execute("select action, subject, detail from audit_log")).fetchall()
        assert await outbox.replay(conn) == 0
    detail = {"key": "1:new", "why": "its group is Support by now"}
    assert entries == [{"action": "letter.superseded", "subject": "ticket/1", "detail": detail}]


def test_a_lane_closes_after_failures_in_a_row_and_tries_with_one() -> None:
    """One letter finds out whether the system is back; its success opens the lane for all."""
    now = [0.0]
    lane = Lane("desk", clock=lambda: now[0])
    for _ in range(TRIPS_AT):
        assert lane.places() == PLACES
        lane.failed(retry_after_s=0)
    assert lane.places() == 0
    now[0] += PAUSE_CAP_S
    assert lane.places() == 1
    lane.failed(retry_after_s=0)
    assert lane.places() == 0
    now[0] += PAUSE_CAP_S
    lane.worked()
    assert lane.places() == PLACES


def test_a_system_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    """Even after one failure, but for a minute at most: its clock may be wrong."""
    now = [0.0]
    lane = Lane("desk", clock=lambda: now[0])
    lane.failed(retry_after_s=7)
    now[0] += 6
    assert lane.places() == 0
    now[0] += 1
    assert lane.places() == PLACES
    lane.failed(retry_after_s=1e9)
    now[0] += PAUSE_CAP_S
    assert lane.places() == PLACES


def test_letters_without_a_known_connector_travel_together() -> None:
    """Events, and letters whose connector was switched off."""
    lanes = Lanes(("desk",))
    assert lanes.of(None) is lanes.of("gone") is lanes.by_name[OTHERS]
