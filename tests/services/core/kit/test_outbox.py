"""The outbox: each effect under its key, retried, buried, replayed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.core.kit import outbox
from services.core.kit.database import Pool, build_pool
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.core.kit.outbox import Letter


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with build_pool(database, min_size=1, max_size=4) as pool:
        async with pool.connection() as conn:
            await conn.execute("insert into tickets (connector, external_id) values ('desk', '1')")
        yield pool


async def put(pool: Pool, key: str) -> None:
    async with pool.connection() as conn:
        await outbox.put(conn, key, {"key": key}, kind="write", ticket_id=1, connector="desk")


async def letter(pool: Pool, key: str) -> dict:
    async with pool.connection() as conn:
        row = await (await conn.execute("select * from outbox where key = %s", (key,))).fetchone()
    assert row is not None
    return row


async def run(pool: Pool, deliver: outbox.Deliver, *, seconds: float = 0.4) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await outbox.dispatch(pool, deliver, stop=stop)


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
