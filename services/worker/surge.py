"""
Many alike tickets in a short time make one incident suggestion with the tickets in it, found by a look each minute.

New tickets are embedded behind their triage, a few at a time, and compared with each other and with those of the last
days. What is alike to a growing incident joins it, one ticket too, and says nothing of what is usual. Only vectors of
the serving model compare: after a promotion what came before is not counted. One worker does it.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString

import structlog
from psycopg.rows import DictRow

from services.core.contracts.surge import SurgeRules
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.errors import InputInvalid
from services.core.kit.locks import Lock
from services.core.models.client import RouterClient
from services.core.models.texts import join_text
from services.core.search import similar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from services.core.drift.surges import Surge

log = structlog.get_logger()

LOOK_S = 60.0
BATCH = 8  # texts in one question to the router: it must not make tickets wait
EMBED_MAX = 400  # of a look; in a storm the newest, the others at the next look
PAST_MAX = 5_000  # rows of the past that are compared, evenly chosen
NOW_MAX = 1_000
ABOUT_MAX = 200  # an incident's first tickets say what it is about: it does not wander off
PAST_MIN = 50  # fewer say nothing of what is usual

RULES = "select rules from watch_rules where kind = 'surge' order by id desc limit 1"
CHAMPION = "select version from models where status = 'champion'"
UNSEEN: LiteralString = """
select t.id, t.subject, t.body, t.created_at from tickets t left join arrivals a on a.ticket_id = t.id
where t.state = 'triaged' and t.subject is not null and t.created_at > %(since)s and t.created_at <= %(now)s
  and (a.ticket_id is null or a.model_version <> %(version)s and t.created_at > %(lately)s)
order by t.created_at desc limit %(most)s
"""
# The lock keeps an erasure waiting; of a ticket that was erased meanwhile nothing is kept.
SEE = """
insert into arrivals (ticket_id, model_version, embedding, at)
select id, %(version)s, %(embedding)s::halfvec, created_at from tickets
where id = %(id)s and state <> 'erased' for share
on conflict (ticket_id) do update set model_version = excluded.model_version, embedding = excluded.embedding
"""
FORGET = "delete from arrivals where at < %s"
LATELY = """
select ticket_id, embedding::text as embedding from arrivals
where at > %(since)s and at <= %(now)s and model_version = %(version)s and embedding is not null
order by at desc limit %(most)s
"""
# An outage that goes on does not make itself usual, nor does one that people confirmed.
USUAL: LiteralString = """
from arrivals a where a.at <= %(until)s and a.model_version = %(version)s and a.embedding is not null
  and not exists (
    select from incident_tickets m join incidents i on i.id = m.incident_id where m.ticket_id = a.ticket_id
      and (i.state = 'confirmed' or i.state = 'suggested' and i.grown_at > %(quiet)s))
"""
PAST = f"select a.embedding::text as embedding {USUAL} order by md5(a.ticket_id::text) limit %(most)s"
COUNT = f"select count(*) as n, min(a.at) as since {USUAL}"
GROWING = "select id, grown_at from incidents where grown_at > %(quiet)s order by id"
ABOUT = """
select a.embedding::text as embedding from incident_tickets m join arrivals a on a.ticket_id = m.ticket_id
where m.incident_id = %(incident)s and a.model_version = %(version)s and a.embedding is not null
order by m.ticket_id limit %(most)s
"""
LATER = """
select a.ticket_id, a.embedding::text as embedding from arrivals a
where a.at > %(since)s and a.at <= %(now)s and a.model_version = %(version)s and a.embedding is not null
  and not exists (select from incident_tickets m where m.ticket_id = a.ticket_id)
order by a.at desc limit %(most)s
"""
SHARING = """
select i.id from incidents i join incident_tickets m on m.incident_id = i.id
where m.ticket_id = any(%(ids)s) and i.grown_at > %(quiet)s order by i.id desc limit 1
"""
SUGGEST = """
insert into incidents (expected, p, grown_at) values (%(expected)s, %(p)s, %(now)s) returning id
"""
JOIN = """
with joined as (
    insert into incident_tickets (incident_id, ticket_id)
    select %(incident)s, id from tickets where id = any(%(ids)s) and state <> 'erased'
    on conflict do nothing returning ticket_id)
update incidents set grown_at = %(now)s where id = %(incident)s and exists (select from joined)
"""


async def watch_surges(pool: Pool, router: RouterClient, *, stop: asyncio.Event) -> None:
    """Looks every minute until `stop`."""
    while not stop.is_set():
        try:
            await look_once(pool, router, now=datetime.now(UTC))
        except Exception as exc:  # the next look finds the same tickets
            log.warning("worker.surge.postponed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)


async def look_once(pool: Pool, router: RouterClient, *, now: datetime) -> int:
    """How many incidents were suggested."""
    async with connection(pool) as conn:
        if not await _may_i(conn):
            return 0
        try:
            row = await (await conn.execute(RULES)).fetchone()
            rules = SurgeRules.stored(row["rules"]) if row else SurgeRules()
            champion = await (await conn.execute(CHAMPION)).fetchone()
            if champion is None:
                return 0
            await _see(conn, router, champion["version"], rules, now)
            return await _look(conn, champion["version"], rules, now)
        finally:
            await conn.execute("select pg_advisory_unlock(%s)", (Lock.SURGE.value,))


async def _see(conn: Connection, router: RouterClient, version: str, rules: SurgeRules, now: datetime) -> None:
    """Embeds what came since the last look, by the model that serves."""
    oldest = now - timedelta(days=rules.past_days)
    await conn.execute(FORGET, (oldest,))
    lately = now - timedelta(minutes=rules.minutes)
    values = {"since": max(oldest, now - timedelta(days=1)), "now": now, "version": version, "lately": lately,
              "most": EMBED_MAX}  # fmt: skip
    rows = await (await conn.execute(UNSEEN, values)).fetchall()
    for start in range(0, len(rows), BATCH):
        await _see_some(conn, router, rows[start : start + BATCH])


async def _see_some(conn: Connection, router: RouterClient, rows: Sequence[DictRow]) -> None:
    texts = [join_text(row["subject"], row["body"] or "") or "(empty)" for row in rows]
    try:
        found = await router.predict_many(texts, want_embeddings=True)
    except InputInvalid:  # one that no model reads is asked alone, and then left out
        if len(rows) > 1:
            for row in rows:
                await _see_some(conn, router, [row])
            return
        found = [((await router.predict_many(["(empty)"]))[0][0], None)]
    for row, (prediction, vector) in zip(rows, found, strict=True):
        kept = json.dumps(vector) if vector is not None and len(vector) == similar.DIMENSIONS else None
        await conn.execute(SEE, {"id": row["id"], "version": prediction.model_version, "embedding": kept})


async def _look(conn: Connection, version: str, rules: SurgeRules, now: datetime) -> int:
    from services.core.drift import surges

    since = now - timedelta(minutes=rules.minutes)
    quiet = now - timedelta(minutes=rules.quiet_minutes)
    values = {"since": since, "until": since, "now": now, "version": version, "most": NOW_MAX, "quiet": quiet}
    growing = await (await conn.execute(GROWING, values)).fetchall()
    lately = await (await conn.execute(LATELY, values)).fetchall()
    if not growing and len(lately) < rules.tickets:
        return 0
    counted = await (await conn.execute(COUNT, values)).fetchone()
    if counted is None or counted["n"] < PAST_MIN:
        return 0
    past = _matrix(await (await conn.execute(PAST, values | {"most": PAST_MAX})).fetchall())
    minutes = max(1.0, (since - counted["since"]).total_seconds() / 60) * len(past) / counted["n"]
    found = surges.find(_matrix(lately), past, minutes, rules)
    new = 0
    async with conn.transaction():
        for incident in growing:
            after = incident["grown_at"] - timedelta(minutes=rules.minutes)
            about, later = await _later(conn, values | {"incident": incident["id"], "since": after})
            near = surges.alike(_matrix(about), _matrix(later), past, minutes, rules)
            joining = {"incident": incident["id"], "ids": [later[at]["ticket_id"] for at in near], "now": now}
            await conn.execute(JOIN, joining)
        for surge in found:
            new += await _suggest(conn, surge, [lately[at]["ticket_id"] for at in surge.members], quiet, now)
    return new


async def _later(conn: Connection, values: dict[str, Any]) -> tuple[list[DictRow], list[DictRow]]:
    """What the incident is about, also where people have dismissed it, and what came later and is in none."""
    about = await (await conn.execute(ABOUT, values | {"most": ABOUT_MAX})).fetchall()
    return about, await (await conn.execute(LATER, values)).fetchall()


async def _suggest(conn: Connection, surge: "Surge", ids: list[int], quiet: datetime, now: datetime) -> bool:
    """Whether it is a new one; those that share a ticket with one that still grows join it."""
    values = {"ids": ids, "now": now, "quiet": quiet}
    growing = await (await conn.execute(SHARING, values)).fetchone()
    told = {"expected": surge.expected, "p": surge.p, "now": now}
    row = growing or await (await conn.execute(SUGGEST, told)).fetchone()
    assert row is not None
    await conn.execute(JOIN, values | {"incident": row["id"]})
    if growing is None:
        log.info("worker.surge.found", incident_id=row["id"], tickets=len(ids), expected=round(surge.expected, 2))
    return growing is None


def _matrix(rows: Sequence[DictRow]) -> "NDArray[np.float32]":
    import numpy as np

    found = np.array([json.loads(row["embedding"]) for row in rows], np.float32).reshape(-1, similar.DIMENSIONS)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


async def _may_i(conn: Connection) -> bool:
    row = await (await conn.execute("select pg_try_advisory_lock(%s) as mine", (Lock.SURGE.value,))).fetchone()
    return bool(row and row["mine"])
