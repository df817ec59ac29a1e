"""Starting workflows inside a transaction, and giving a dead executor's work back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.core.kit import workflows
from services.core.kit.database import Pool, build_pool


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with build_pool(database, min_size=1, max_size=2) as pool:
        yield pool


async def status(pool: Pool, workflow_id: str) -> str | None:
    async with pool.connection() as conn:
        row = await (
            await conn.execute("select status from dbos.workflow_status where workflow_uuid = %s", (workflow_id,))
        ).fetchone()
    return row["status"] if row else None


START = workflows.Start("new_ticket", "new:1", {"ticket_id": "1"}, "desk")


async def test_a_workflow_exists_exactly_when_its_transaction_does(pool: Pool) -> None:
    """Rolled back: no workflow. Committed: enqueued, and once however often."""
    async with pool.connection() as conn:
        async with conn.transaction(force_rollback=True):
            await workflows.enqueue(conn, START)
        assert await status(pool, "new:1") is None
        for _ in range(2):
            async with conn.transaction():
                await workflows.enqueue(conn, START)
    assert await status(pool, "new:1") == "ENQUEUED"


async def test_the_work_of_a_dead_executor_is_given_back_and_a_living_ones_is_not(pool: Pool) -> None:
    """A heartbeat that stopped long ago frees its workflows; a fresh one keeps them."""
    async with pool.connection() as conn:
        for executor, age_s in (("dead", 60), ("alive", 0)):
            await workflows.enqueue(conn, workflows.Start("new_ticket", executor, {"ticket_id": "1"}, "desk"))
            await conn.execute(
                "update dbos.workflow_status set status = 'PENDING', executor_id = %s where workflow_uuid = %s",
                (executor, executor),
            )
            await conn.execute(
                "insert into executors values (%s, now() - make_interval(secs => %s))", (executor, age_s)
            )
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)
    await workflows.beat_and_reap(pool, "me", stop=stop, silent=dict)
    assert await status(pool, "dead") == "ENQUEUED"
    assert await status(pool, "alive") == "PENDING"


async def test_what_an_older_version_left_starts_anew_unless_someone_living_has_it(pool: Pool) -> None:
    """After an upgrade: mine and the dead executor's are adopted without their checkpoints, a living one's is not."""
    async with pool.connection() as conn:
        await conn.execute("insert into executors (executor_id) values ('alive')")
        for executor in ("me", "dead", "alive"):
            await workflows.enqueue(conn, workflows.Start("new_ticket", executor, {"ticket_id": "1"}, "desk"))
            await conn.execute(
                "update dbos.workflow_status set status = 'PENDING', executor_id = %s, application_version = '0' "
                "where workflow_uuid = %s",
                (executor, executor),
            )
            await conn.execute(
                "insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, output) "
                "values (%s, 1, 'prepare', 'null')",
                (executor,),
            )
    assert await workflows.adopt_older(pool, "me") == 2
    assert [await status(pool, executor) for executor in ("me", "dead", "alive")] == ["ENQUEUED", "ENQUEUED", "PENDING"]
    async with pool.connection() as conn:
        left = await (await conn.execute("select workflow_uuid from dbos.operation_outputs")).fetchall()
    assert left == [{"workflow_uuid": "alive"}]
