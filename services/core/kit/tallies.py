"""
How many tickets there are, and how they were decided: kept up to an id, counted from there on.

Taking a ticket in costs nothing for it and locks nothing. Upkeep folds what has settled into the tally. A row may
become visible after one with a higher id, so only rows are folded that are older than any transaction lasts.
"""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

SETTLED_S = (
    300  # a transaction ends within TRANSACTION_TIMEOUT_S of services/core/kit/database.py; twice that, and more
)
FOLD_ROWS = 2000  # a few milliseconds

TICKETS = """
select (found ->> 'all')::bigint + (select count(*) from tickets where id > up_to) from tallies where what = 'tickets'
"""
# A decision counts for its band, and against the band of the one that it replaces.
BANDS = """
select band, sum(n)::bigint as tickets from tallies cross join lateral (
    select key as band, value::bigint as n from jsonb_each_text(found)
    union all
    select band, 1 from decisions where id > up_to
    union all
    select before.band, -1 from decisions d cross join lateral (
        select band from decisions where ticket_id = d.ticket_id and id < d.id order by id desc limit 1) before
    where d.id > up_to) counted
where what = 'decisions' group by band having sum(n) > 0 order by band
"""
FOLD_TICKETS = """
with slice as (
    select id, created_at < now() - make_interval(secs => %(settled_s)s) as is_settled from tickets
    where id > (select up_to from tallies where what = 'tickets') order by id limit %(rows)s
), ready as (
    select max(id) as up_to, count(*) as n from slice
    where id < coalesce((select min(id) from slice where not is_settled), 9223372036854775807)
)
update tallies set up_to = ready.up_to, found = jsonb_build_object('all', (found ->> 'all')::bigint + ready.n)
from ready where what = 'tickets' and ready.n > 0
"""
FOLD_DECISIONS = """
with slice as (
    select id, ticket_id, band, decided_at < now() - make_interval(secs => %(settled_s)s) as is_settled from decisions
    where id > (select up_to from tallies where what = 'decisions') order by id limit %(rows)s
), ready as (
    select * from slice
    where id < coalesce((select min(id) from slice where not is_settled), 9223372036854775807)
), change as (
    select band, 1 as n from ready
    union all
    select before.band, -1 from ready r cross join lateral (
        select band from decisions where ticket_id = r.ticket_id and id < r.id order by id desc limit 1) before
    union all
    select key, value::bigint from tallies cross join jsonb_each_text(found) where what = 'decisions'
), total as (
    select jsonb_object_agg(band, n) as found from (select band, sum(n) as n from change group by band) summed
)
update tallies set up_to = (select max(id) from ready), found = total.found
from total where what = 'decisions' and exists (select from ready)
"""


async def tickets(conn: AsyncConnection[Any]) -> int:
    """All tickets, whatever became of them."""
    row = await (await conn.cursor(row_factory=tuple_row).execute(TICKETS)).fetchone()
    return row[0] if row else 0


async def bands(conn: AsyncConnection[Any]) -> dict[str, int]:
    """Tickets by the band of their newest decision."""
    return dict(await (await conn.cursor(row_factory=tuple_row).execute(BANDS)).fetchall())


async def fold(conn: AsyncConnection[Any], *, settled_s: float = SETTLED_S) -> None:
    """Takes the next settled rows into the tallies. One at a time: the caller holds upkeep's lock."""
    values = {"settled_s": settled_s, "rows": FOLD_ROWS}
    await conn.execute(FOLD_TICKETS, values)
    await conn.execute(FOLD_DECISIONS, values)
