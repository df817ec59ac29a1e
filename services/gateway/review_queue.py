"""The review queue as people read it: in which order, why the router thinks so, what is near, and what is alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString

from psycopg.rows import DictRow

from services.core.kit.database import Connection
from services.gateway.reviewing import SEEN

Order = Literal["information", "age"]
ALIKE_FLOOR = 0.8  # cosine of two tickets that people would answer with one word; see ADR 0240
ALIKE_MAX = 30

NEWEST: LiteralString = """
left join lateral (
    select id, decision, "group" from decisions where ticket_id = t.id order by id desc limit 1) d on true
"""
# Through the indexes: what has a place in the order of information, then the most urgent, or the oldest.
CHOSEN: dict[Order, LiteralString] = {
    "information": """
with placed as (
    select w.ticket_id, w.place from review_reasons w join reviews r using (ticket_id)
    where r.state = 'open' and w.place is not null order by w.place limit %(limit)s
), chosen as (
    select ticket_id, place from placed
    union all
    (select ticket_id, null from reviews where state = 'open' and ticket_id not in (select ticket_id from placed)
     order by urgency desc, opened_at limit %(limit)s)
)
""",
    "age": """
with chosen as (
    select ticket_id, null::int as place from reviews where state = 'open' order by opened_at, ticket_id
    limit %(limit)s
)
""",
}
SORTED: dict[Order, LiteralString] = {
    "information": "order by c.place nulls last, r.urgency desc, r.opened_at limit %(limit)s",
    "age": "order by r.opened_at, t.id limit %(limit)s",
}
SHOWN: LiteralString = """
select t.id, t.connector, t.external_id, t.subject, t.body, r.reason, r.opened_at, d.decision, w.words, w.near,
"""
FROM_CHOSEN: LiteralString = """ as mark, (
    select count(*) from review_reasons o join reviews x on x.ticket_id = o.ticket_id and x.state = 'open'
    join lateral (
        select "group" from decisions where ticket_id = o.ticket_id order by id desc limit 1) p on p."group" = d."group"
    where o.ticket_id <> t.id and o.model_version = w.model_version
      and 1 - (o.embedding <=> w.embedding) >= %(floor)s) as alike
from chosen c join reviews r on r.ticket_id = c.ticket_id and r.state = 'open' join tickets t on t.id = r.ticket_id
"""
REASONS: LiteralString = """
left join review_reasons w on w.ticket_id = t.id
    and w.text_md5 = md5(coalesce(t.subject, '') || chr(31) || coalesce(t.body, ''))
"""
CARD: LiteralString = SHOWN + SEEN + FROM_CHOSEN + NEWEST + REASONS
QUEUES: dict[Order, LiteralString] = {order: CHOSEN[order] + CARD + SORTED[order] for order in CHOSEN}
ONE: LiteralString = "with chosen as (select %(ticket_id)s::bigint as ticket_id)" + CARD
LISTED: LiteralString = """
select t.id, t.connector, t.external_id, t.subject, d.decision, 1 - (o.embedding <=> w.embedding) as score,
"""
FROM_ALIKE: LiteralString = """ as mark
from review_reasons w
join lateral (select "group" from decisions where ticket_id = w.ticket_id order by id desc limit 1) own on true
join review_reasons o on o.model_version = w.model_version and o.ticket_id <> w.ticket_id
join reviews r on r.ticket_id = o.ticket_id and r.state = 'open' join tickets t on t.id = o.ticket_id
"""
NEAREST: LiteralString = """
where w.ticket_id = %(ticket_id)s and d."group" = own."group" and 1 - (o.embedding <=> w.embedding) >= %(floor)s
order by score desc, t.id limit %(limit)s
"""
ALIKE: LiteralString = LISTED + SEEN + FROM_ALIKE + NEWEST + NEAREST
# What is erased has no vector any more, so nothing of it can be shown.
NEAR = "select ref, external_id, group_name, title from ticket_vectors where ref = any(%s)"


@dataclass(frozen=True)
class Near:
    """A past ticket that reads alike. `ticket_id` is ours; None for one that was imported."""

    external_id: str
    title: str
    group: str | None
    score: float
    ticket_id: int | None


@dataclass(frozen=True)
class Proposal:
    """One of the first three groups: the words that speak for it, and the near tickets that were closed there."""

    group: str
    probability: float
    words: tuple[str, ...] = ()
    near: tuple[Near, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """A ticket that waits for a person. `mark` is what an answer names as seen; `near`: past ones of other groups."""

    ticket: DictRow
    proposals: tuple[Proposal, ...] = ()
    near: tuple[Near, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Those that speak for the first group."""
        return self.proposals[0].words if self.proposals else ()


@dataclass
class _Known:
    """The past tickets that some cards name, by ref."""

    rows: dict[str, DictRow] = field(default_factory=dict)

    def near(self, ticket: DictRow) -> list[Near]:
        return [_near(self.rows[ref], score) for ref, score in ticket["near"] or () if ref in self.rows]


async def waiting(conn: Connection, *, order: Order, limit: int) -> list[Waiting]:
    """The queue's next tickets."""
    rows = await (await conn.execute(QUEUES[order], {"limit": limit, "floor": ALIKE_FLOOR})).fetchall()
    return await _with_reasons(conn, rows)


async def one(conn: Connection, ticket_id: int) -> Waiting | None:
    """The card of one ticket; None when it does not wait."""
    rows = await (await conn.execute(ONE, {"ticket_id": ticket_id, "floor": ALIKE_FLOOR})).fetchall()
    return (await _with_reasons(conn, rows))[0] if rows else None


async def alike(conn: Connection, ticket_id: int) -> list[DictRow]:
    """Waiting tickets that read like this one and have the same group proposed, the nearest first."""
    values = {"ticket_id": ticket_id, "floor": ALIKE_FLOOR, "limit": ALIKE_MAX}
    return await (await conn.execute(ALIKE, values)).fetchall()


async def _with_reasons(conn: Connection, rows: Sequence[DictRow]) -> list[Waiting]:
    refs = [ref for row in rows for ref, _ in row["near"] or ()]
    known = _Known()
    if refs:
        known.rows = {row["ref"]: row for row in await (await conn.execute(NEAR, (refs,))).fetchall()}
    return [_waiting(row, known.near(row)) for row in rows]


def _waiting(row: DictRow, near: list[Near]) -> Waiting:
    scored: list[dict[str, Any]] = (row["decision"] or {}).get("top3") or []
    words = row["words"] or {}
    proposals = tuple(
        Proposal(
            entry["group"],
            entry["probability"],
            tuple(words.get(entry["group"], ())),
            tuple(_of(near, {entry["group"]})),
        )
        for entry in scored
    )
    named = {entry["group"] for entry in scored}
    return Waiting(row, proposals, tuple(one for one in near if one.group not in named))


def _of(near: Iterable[Near], groups: set[str]) -> Iterable[Near]:
    return (one for one in near if one.group in groups)


def _near(row: DictRow, score: float) -> Near:
    kind, _, number = row["ref"].partition("/")
    ticket_id = int(number) if kind == "ticket" and number.isdecimal() else None
    return Near(row["external_id"], row["title"], row["group_name"], score, ticket_id)
