"""
What people ask that no document answers: questions that were refused, or that only people could solve, put together by
what they mean, with how often, what it cost, and the document that came nearest.

Reads redacted words only. What was found is kept for the console, and made anew each time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import UUID

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from services.core.kit.locks import Lock
from services.core.search.documents import literal
from services.core.search.encoder import TextEncoder, Vectors

DAYS = 90
QUESTIONS_MAX = 5_000
SAME_QUESTION = 0.7  # cosine to the middle of a cluster; how it was measured: design/adr/0153

# A conversation that somebody asked a person for: the question is what was asked before that.
ASKED = """
with handed as (
    select s.id, s.groups, s.reason, s.created_at,
           (select min(at) from session_events e where e.session_id = s.id and e.kind = 'escalated') as since,
           (select min(at) from session_events e where e.session_id = s.id and e.kind = 'resolved'
                                                   and e.detail ->> 'by' = 'agent') as solved_at,
           coalesce((select sum(usd) from llm_calls c where c.ticket_id = 'session/' || s.id), 0) as usd
    from sessions s where s.created_at > now() - make_interval(days => %(days)s)
      and exists (select from session_events e where e.session_id = s.id and e.kind = 'escalated')
)
select h.*, q.id as message_id, q.text from handed h cross join lateral (
    select m.id, m.text from messages m
    left join messages r on r.replies_to = m.id
    where m.session_id = h.id and m.author = 'user'
      and coalesce(r.answer ->> 'reason', '') <> 'asked_for_human' and m.at <= coalesce(h.since, now())
    order by (r.answer ->> 'action' = 'handoff') desc nulls last, m.place desc limit 1
) q order by h.created_at desc limit %(limit)s
"""
NEAREST = """
select d.uri, d.title, (1 - (c.embedding <=> %(vector)s::halfvec))::real as nearness,
       not (s.acl = '{}' or s.acl && %(groups)s) as hidden
from chunks c join documents d on d.id = c.document_id join shelves s on s.id = c.shelf_id
where c.encoder = %(encoder)s order by c.embedding <=> %(vector)s::halfvec limit 1
"""
CLEAR = "delete from gaps"
PUT = """
insert into gaps (example, questions, refused, escalated, by_people, usd, hours, uri, title, nearness, hidden)
select %(example)s, %(questions)s, %(refused)s, %(escalated)s, %(by_people)s, %(usd)s, %(hours)s,
       %(uri)s, %(title)s, %(nearness)s, %(hidden)s where exists (select from messages where id = %(example)s)
"""
LIST = """
select m.text as question, g.questions, g.refused, g.escalated, g.by_people, g.usd, g.hours, g.uri, g.title,
       g.nearness, g.hidden, g.at
from gaps g join messages m on m.id = g.example order by g.questions desc, g.id limit %s
"""


@dataclass(frozen=True)
class Cluster:
    """Questions that mean the same; the first is nearest to the middle."""

    rows: tuple[DictRow, ...]
    middle: Vectors


async def refresh(conn: AsyncConnection[Any], encoder: TextEncoder, *, days: int = DAYS) -> int:
    """Looks again and keeps what was found; how many gaps there are."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(ASKED, {"days": days, "limit": QUESTIONS_MAX})
        rows = await cursor.fetchall()
    vectors = await asyncio.to_thread(encoder.embed, [row["text"] for row in rows])
    clusters = await asyncio.to_thread(cluster, rows, vectors)
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (Lock.GAPS.value,))
        await conn.execute(CLEAR)
        for one in clusters:
            nearest = await _nearest(conn, one, encoder.version)
            await conn.execute(PUT, measured(one) | nearest)
    return len(clusters)


async def listing(conn: AsyncConnection[Any], *, limit: int = 50) -> list[DictRow]:
    """The gaps as they were last found, the most frequent first."""
    return await (await conn.cursor(row_factory=dict_row).execute(LIST, (limit,))).fetchall()


def cluster(rows: Sequence[DictRow], vectors: Vectors) -> list[Cluster]:
    """Each question joins the nearest middle that is near enough, or begins a cluster; the largest first."""
    members: list[list[int]] = []
    sums: list[Vectors] = []
    for place, vector in enumerate(vectors):
        near = [float(total @ vector) / max(float(np.linalg.norm(total)), 1e-9) for total in sums]
        best = int(np.argmax(near)) if near else -1
        if best >= 0 and near[best] >= SAME_QUESTION:
            members[best].append(place)
            sums[best] = sums[best] + vector
        else:
            members.append([place])
            sums.append(vector.copy())
    made = [_cluster(rows, vectors, places, total) for places, total in zip(members, sums, strict=True)]
    return sorted(made, key=lambda one: -len(one.rows))


def measured(found: Cluster) -> dict[str, Any]:
    """How often, with what outcome, at what price. `hours`: the median from hand-over to solution."""
    waits = [(row["solved_at"] - row["since"]).total_seconds() / 3600 for row in found.rows if row["solved_at"]]
    return {
        "example": _id(found.rows[0]),
        "questions": len(found.rows),
        "refused": sum(row["reason"] != "asked_for_human" for row in found.rows),
        "escalated": len(found.rows),
        "by_people": len(waits),
        "usd": sum(row["usd"] for row in found.rows),
        "hours": round(median(waits), 2) if waits else None,
    }


def _cluster(rows: Sequence[DictRow], vectors: Vectors, places: list[int], total: Vectors) -> Cluster:
    middle = total / max(float(np.linalg.norm(total)), 1e-9)
    ordered = sorted(places, key=lambda place: -float(vectors[place] @ middle))
    return Cluster(tuple(rows[place] for place in ordered), middle)


async def _nearest(conn: AsyncConnection[Any], found: Cluster, encoder: str) -> dict[str, Any]:
    """Among all documents: one that those who asked may not read is told as hidden."""
    values = {"vector": literal(found.middle), "encoder": encoder, "groups": found.rows[0]["groups"]}
    row = await (await conn.cursor(row_factory=dict_row).execute(NEAREST, values)).fetchone()
    return dict(row) if row else {"uri": None, "title": None, "nearness": None, "hidden": False}


def _id(row: DictRow) -> UUID:
    return row["message_id"]
