"""Numbers of pages that are kept, not counted: the same as counting, at every moment."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from services.core.kit import tallies
from services.core.kit.database import Pool, build_pool

COUNTED = "select count(*) from tickets"
DISTINCT = """
select band, count(*) from (select distinct on (ticket_id) band from decisions order by ticket_id, id desc) latest
group by band
"""
TICKET = "insert into tickets (connector, external_id) values ('generic', %s) returning id"
DECISION = """
insert into decisions (ticket_id, workflow_id, decision, band, confidence, shadow)
values (%s, %s, '{}', %s, 1, false)
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with build_pool(database, min_size=1, max_size=6) as opened:
        yield opened


async def counted(conn: AsyncConnection) -> tuple[int, dict[str, int]]:
    cursor = conn.cursor(row_factory=tuple_row)
    total = await (await cursor.execute(COUNTED)).fetchone()
    assert total is not None
    return total[0], dict(await (await cursor.execute(DISTINCT)).fetchall())


async def told(conn: AsyncConnection) -> tuple[int, dict[str, int]]:
    return await tallies.tickets(conn), await tallies.bands(conn)


async def add(conn: AsyncConnection, dice: random.Random, name: str) -> None:
    """A ticket, mostly with a decision, sometimes with one that replaces it."""
    cursor = conn.cursor(row_factory=tuple_row)
    row = await (await cursor.execute(TICKET, (name,))).fetchone()
    assert row is not None
    for number in range(dice.choice((0, 1, 1, 1, 2, 3))):
        band = dice.choice(("AUTO_ROUTE", "HUMAN_REVIEW", "ESCALATE"))
        await cursor.execute(DECISION, (row[0], f"{name}:{number}", band))


async def test_what_is_told_is_what_is_there_before_during_and_after_a_fold(pool: Pool) -> None:
    """Also when a decision is folded and the one that replaces it is not."""
    dice = random.Random(4)  # reproducible, nothing secret
    async with pool.connection() as conn:
        assert await told(conn) == (0, {})
        for number in range(60):
            await add(conn, dice, str(number))
            if number % 7 == 0:
                await tallies.fold(conn, settled_s=0)
            assert await told(conn) == await counted(conn)


async def test_folds_beside_writers_lose_and_repeat_nothing(pool: Pool) -> None:
    """Four writers, each in transactions, and one folder: nobody waits for another in a circle."""

    async def write(who: int) -> None:
        dice = random.Random(who)  # reproducible, nothing secret
        for number in range(25):
            async with pool.connection() as conn, conn.transaction():
                await add(conn, dice, f"{who}/{number}")

    async def fold(until: asyncio.Event) -> None:
        while not until.is_set():
            async with pool.connection() as conn:
                await tallies.fold(conn)
            await asyncio.sleep(0)

    ended = asyncio.Event()
    folding = asyncio.create_task(fold(ended))
    await asyncio.gather(*(write(who) for who in range(4)))
    ended.set()
    await folding
    async with pool.connection() as conn:
        assert await told(conn) == await counted(conn)
        assert (await told(conn))[0] == 100


async def test_a_row_that_becomes_visible_late_is_counted(pool: Pool) -> None:
    """Its id is lower than one that was committed before: the fold waits for what may still be on its way."""
    async with pool.connection() as slow, pool.connection() as fast:
        async with slow.transaction():
            await slow.execute(TICKET, ("slow",))
            await fast.execute(TICKET, ("fast",))
            await fast.execute("update tickets set created_at = now() - interval '1 hour' where external_id = 'fast'")
            await fast.execute(TICKET, ("young",))
            await tallies.fold(fast, settled_s=3600 * 2)
        await tallies.fold(fast, settled_s=0)
        assert await told(fast) == await counted(fast) == (3, {})


async def test_a_young_row_stops_the_fold_before_older_ones_behind_it(pool: Pool) -> None:
    """What lies behind it in the order of ids is folded with it, later."""
    async with pool.connection() as conn:
        for name in ("young", "old"):
            await conn.execute(TICKET, (name,))
        await conn.execute("update tickets set created_at = now() - interval '1 day' where external_id = 'old'")
        await tallies.fold(conn)
        row = await (await conn.execute("select up_to from tallies where what = 'tickets'")).fetchone()
        assert row == {"up_to": 0}
        assert (await told(conn))[0] == 2
