"""
Explains what waits for a person: which words mattered, which past tickets are near, and in which order to ask.

Behind the tickets, one at a time and only as far as people will come: the reviews that are asked next. Other tickets'
titles are not kept, only where they lie, so an erasure takes them away here, too.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.contracts.prediction import Prediction
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.errors import InputInvalid
from services.core.kit.locks import Lock
from services.core.models import informative, words
from services.core.models.client import RouterClient
from services.core.models.texts import join_text
from services.core.search import similar
from services.worker import repository

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = structlog.get_logger()

PAUSE_S = 3.0
FAILED_PAUSE_S = 20.0  # the router or the database is away: once in a while is enough
BETWEEN_S = 0.2  # so that a ticket that comes now is not kept waiting
QUIET_S = 1.0  # no ticket for so long: the router has nothing better to do
BUSY_S = 5.0  # between two while tickets come: each asks the router about forty texts, a ticket about one
AHEAD = 200  # reviews explained before anybody asks, by information; half as many by age
NEAR = 4
ASK_BATCH = 10  # texts in one question to the router: it must not make tickets wait
KEPT_DAYS = 7  # of answered reviews: what is like them teaches less
RANKED = 400

# The text as the decision's reader sees it; another text or another champion, and the reasons are made anew.
DUE = """
with ahead as (
    (select ticket_id, urgency from reviews where state = 'open' order by urgency desc, opened_at limit %(ahead)s)
    union
    (select ticket_id, urgency from reviews where state = 'open' order by opened_at, ticket_id limit %(ahead)s / 2)
)
select t.id, t.subject, t.body, d.decision, m.version, md5(t.subject || chr(31) || coalesce(t.body, '')) as text_md5
from ahead a join tickets t on t.id = a.ticket_id and t.subject is not null
join models m on m.status = 'champion'
join lateral (select decision from decisions where ticket_id = t.id order by id desc limit 1) d on true
left join review_reasons w on w.ticket_id = t.id
where w.ticket_id is null or w.model_version <> m.version
   or w.text_md5 <> md5(t.subject || chr(31) || coalesce(t.body, ''))
order by a.urgency desc, t.id limit 1
"""
KEEP = """
insert into review_reasons (ticket_id, text_md5, model_version, words, near, embedding)
select r.ticket_id, %(text_md5)s, %(model_version)s, %(words)s, %(near)s, %(embedding)s::halfvec
from reviews r where r.ticket_id = %(id)s and r.state = 'open'
on conflict (ticket_id) do update set text_md5 = excluded.text_md5, model_version = excluded.model_version,
    words = excluded.words, near = excluded.near, embedding = excluded.embedding, place = null, made_at = now()
"""
# What an order rests on: when it is the same as at the last round, so is the order.
STATE = """
select count(*) filter (where r.state = 'open') as n, max(w.made_at) as made_at, max(r.closed_at) as closed_at
from review_reasons w join reviews r using (ticket_id)
"""
OPEN = """
select w.ticket_id, r.urgency, w.embedding::text as embedding from review_reasons w join reviews r using (ticket_id)
join models m on m.status = 'champion' and m.version = w.model_version
where r.state = 'open' and w.embedding is not null order by r.urgency desc, w.ticket_id limit %s
"""
ANSWERED = """
select w.embedding::text as embedding from review_reasons w join reviews r using (ticket_id)
join models m on m.status = 'champion' and m.version = w.model_version
where r.state <> 'open' and w.embedding is not null order by r.closed_at desc limit %s
"""
PLACE = """
update review_reasons w set place = p.place from unnest(%s::bigint[], %s::int[]) as p (ticket_id, place)
where w.ticket_id = p.ticket_id and w.place is distinct from p.place
"""
FORGET = """
delete from review_reasons w using reviews r where r.ticket_id = w.ticket_id and r.state <> 'open'
  and r.closed_at < now() - make_interval(days => %s)
"""


async def explain(pool: Pool, router: RouterClient, *, stop: asyncio.Event) -> None:
    """Until `stop`; nobody waits for it, so whatever fails is tried again."""
    ordered: tuple[object, ...] = ()
    while not stop.is_set():
        try:
            goes_on, ordered = await one_round(pool, router, ordered)
            pause_s = until_next_s(router) if goes_on else PAUSE_S
        except Exception as exc:  # the router, the database, or a text that nobody foresaw: reasons can wait
            log.warning("worker.reasons.postponed", error=type(exc).__name__)
            pause_s = FAILED_PAUSE_S
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)


def until_next_s(router: RouterClient) -> float:
    """A moment; several seconds while tickets are being routed."""
    return BETWEEN_S if router.quiet_s() > QUIET_S else BUSY_S


async def one_round(
    pool: Pool, router: RouterClient, ordered: tuple[object, ...] = ()
) -> tuple[bool, tuple[object, ...]]:
    """One worker at a time. Whether there is more to explain, and what the order rests on now."""
    async with connection(pool) as conn:
        if not await _may_i(conn):
            return False, ordered
        try:
            goes_on = await _explain_next(router, conn)
            state = tuple((await (await conn.execute(STATE)).fetchone() or {}).values())
            if state != ordered:
                await conn.execute(FORGET, (KEPT_DAYS,))
                await rank(conn)
            return goes_on, state
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.REASONS.value,))


async def _explain_next(router: RouterClient, conn: Connection) -> bool:
    row = await (await conn.execute(DUE, {"ahead": AHEAD})).fetchone()
    if row is None:
        return False
    text = join_text(row["subject"], row["body"] or "") or "(empty)"
    try:
        whole, embedding = await router.predict(text, want_embedding=True)
        found = words.that_mattered(_groups(row), whole, await _without_each_word(router, text))
    except InputInvalid:  # a text that no model reads has no reasons; the next one's turn
        whole, embedding, found = None, None, {}
    model_version = whole.model_version if whole else row["version"]
    async with conn.transaction():
        if await repository.hold(conn, row["id"]):
            await _keep(conn, row, model_version, found, embedding or [])
    return model_version == row["version"]


async def rank(conn: Connection) -> None:
    """Gives the open reviews that are explained their places in the order of information."""
    import numpy as np

    rows = await (await conn.execute(OPEN, (RANKED,))).fetchall()
    if not rows:
        return
    asked = await (await conn.execute(ANSWERED, (RANKED,))).fetchall()
    urgency = np.array([max(row["urgency"], 0.0) + 1e-3 for row in rows])
    places = informative.order(urgency, _matrix(rows), _matrix(asked) if asked else None)
    await conn.execute(PLACE, ([rows[at]["ticket_id"] for at in places], list(range(len(places)))))


async def _without_each_word(router: RouterClient, text: str) -> dict[str, Prediction]:
    parts = words.without_each_word(text)
    names, found = list(parts), {}
    for start in range(0, len(names), ASK_BATCH):
        some = names[start : start + ASK_BATCH]
        answers = await router.predict_many([parts[name] or "(empty)" for name in some])
        found |= {name: prediction for name, (prediction, _) in zip(some, answers, strict=True)}
    return found


async def _keep(
    conn: Connection, row: DictRow, model_version: str, found: dict[str, tuple[str, ...]], embedding: list[float]
) -> None:
    embedding = embedding if len(embedding) == similar.DIMENSIONS else []
    ref = f"ticket/{row['id']}"
    near = await similar.nearest(conn, embedding, model_version=model_version, k=NEAR, exclude_ref=ref)
    values = {
        "id": row["id"],
        "text_md5": row["text_md5"],
        "model_version": model_version,
        "words": Jsonb(found),
        "near": Jsonb([[one.ref, round(one.score, 3)] for one in near]),
        "embedding": json.dumps(embedding) if embedding else None,
    }
    await conn.execute(KEEP, values)


def _groups(row: DictRow) -> list[str]:
    return [scored["group"] for scored in row["decision"]["top3"]]


def _matrix(rows: Sequence[DictRow]) -> "NDArray[np.float32]":
    import numpy as np

    return np.array([json.loads(row["embedding"]) for row in rows], np.float32)


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.REASONS.value,))).fetchone()
    return bool(row and row["mine"])
