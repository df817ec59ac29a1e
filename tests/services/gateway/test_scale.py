"""What keeps a busy console from deliveries, and filters that find the same whichever way they read."""

import asyncio
import itertools
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from services.core.kit.database import build_pool, connection
from services.core.kit.errors import DatabaseUnavailable
from services.gateway import repository
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_hooks import call, post

TABS = 14
MIXED = """
insert into tickets (connector, external_id, state, status)
select 'generic', (array['A-', 'a-', 'B'])[1 + n % 3] || n,
       (array['received', 'triaged', 'triaged', 'filtered', 'erased'])[1 + n % 5], 'new'
from generate_series(1, 120) n;
insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, shadow)
select n, 'new:' || n || ':' || k, '{}', (array['Network', 'Access', null])[1 + (n + k) % 3],
       (array['AUTO_ROUTE', 'HUMAN_REVIEW', 'ESCALATE'])[1 + (n * k) % 3], 1, false
from generate_series(1, 120) n cross join generate_series(1, 2) k where n % 4 > 0 and (k = 1 or n % 7 = 0);
"""
NAIVE = """
select t.id from tickets t
left join lateral (select band, "group" from decisions where ticket_id = t.id order by id desc limit 1) d on true
where (%(before)s::bigint is null or t.id < %(before)s) and (%(band)s::text is null or d.band = %(band)s)
  and (%(group)s::text is null or d."group" = %(group)s) and (%(state)s::text is null or t.state = %(state)s)
  and (%(search)s::text is null or t.id::text = ltrim(%(search)s, '#')
       or starts_with(lower(t.external_id), lower(%(search)s)))
order by t.id desc limit %(limit)s
"""
CHOICES: dict[str, tuple[Any, ...]] = {
    "before": (None, 60),
    "band": (None, "AUTO_ROUTE", "ESCALATE"),
    "group": (None, "Network", "nobody"),
    "state": (None, "received", "triaged", "filtered", "erased"),
    "search": (None, "a-1", "#17", "B", "%", "zzz"),
    "limit": (5, 200),
}


async def test_every_filter_finds_what_reading_everything_finds(database: str) -> None:
    """All combinations, through whichever index: also tickets whose decision was replaced by one of another band."""
    async with await AsyncConnection.connect(database, autocommit=True, row_factory=dict_row) as conn:
        await conn.execute(MIXED.encode())
        for values in itertools.product(*CHOICES.values()):
            filters = dict(zip(CHOICES, values, strict=True))
            found = [row["id"] for row in await repository.tickets(conn, filters)]
            assert found == [row["id"] for row in await (await conn.execute(NAIVE, filters)).fetchall()], filters


async def test_tabs_that_take_every_connection_hold_up_no_delivery(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """Their statements wait for a lock until they are cut off; meanwhile webhooks come in and health answers."""
    with psycopg.connect(database) as blocker:
        blocker.execute("lock table tallies in access exclusive mode")
        pages = [asyncio.create_task(gateway.get("/api/status", headers=Keys.header(keys.viewer))) for _ in range(TABS)]
        await _until_waiting(database)
        assert (await asyncio.wait_for(post(gateway, call(subject="x")), 60)).status_code == 202
        assert (await asyncio.wait_for(gateway.get("/health"), 60)).status_code == 200
        assert {page.status_code for page in await asyncio.gather(*pages)} == {503}


async def _until_waiting(database: str) -> None:
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with await AsyncConnection.connect(database, autocommit=True) as conn, asyncio.timeout(60):
        while await (await conn.execute(query)).fetchone() is None:  # noqa: ASYNC110  # the server is asked, it does not tell
            await asyncio.sleep(0.01)


async def test_a_statement_that_takes_too_long_is_cut_off(database: str) -> None:
    """503, as if the database did not answer; the connection is good for the next."""
    async with build_pool(database, min_size=1, max_size=1, statement_timeout_s=0.05) as pool:
        with pytest.raises(DatabaseUnavailable, match="QueryCanceled"):
            async with connection(pool) as conn:
                await conn.execute("select pg_sleep(60)")
        async with connection(pool) as conn:
            assert await (await conn.execute("select 1 as one")).fetchone() == {"one": 1}
