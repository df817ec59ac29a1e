"""
Nearest tickets by their embeddings. SQL only; callers commit.

Few rows are scanned exactly; many through the HNSW index with iterative scans, because an index scan that
filters afterwards loses most true neighbours. Only vectors of one encoder compare, so every query names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, tuple_row

from services.core.kit.errors import InputInvalid

DIMENSIONS = 384  # MiniLM-L6; the column's type says the same
EXACT_MAX_ROWS = 5_000  # an exact scan of as many takes under 20 ms on a busy core (design/adr/0043)
FLOOR = 0.35  # cosine; below it a "similar" ticket is noise to the agent who reads the note
EF_SEARCH = 100  # candidates of one index pass: recall at 5 was .96 to 1.00 on 50,000 rows (design/adr/0043)
MAX_SCAN_TUPLES = 40_000  # how far an iterative scan goes on for an encoder with a small share of the rows

# What is stored was read earlier: meanwhile its ticket may have been erased. The lock keeps an erasure waiting.
INDEX = """
with ticket as (select state from tickets where id = %s::bigint for share)
insert into ticket_vectors
    (ref, kind, external_id, group_name, title, resolution, solved_at, model_version, embedding)
select %s, %s, %s, %s::text, %s, %s, %s::timestamptz, %s, %s::halfvec
where not exists (select from ticket where state = 'erased')
on conflict (ref) do update set
    kind = excluded.kind, external_id = excluded.external_id, group_name = excluded.group_name, title = excluded.title,
    resolution = coalesce(nullif(excluded.resolution, ''), ticket_vectors.resolution), solved_at = excluded.solved_at,
    model_version = excluded.model_version, embedding = excluded.embedding
"""
# `+ 0` keeps the planner from the index: every row is compared.
EXACT = """
select * from (
    select ref, kind, external_id, group_name, title, resolution, solved_at,
           1 - (embedding <=> %(query)s::halfvec) as score
    from ticket_vectors
    where model_version = %(model_version)s and ref is distinct from %(exclude_ref)s
    order by (embedding <=> %(query)s::halfvec) + 0, ref limit %(k)s
) nearest where score >= %(floor)s
"""
APPROXIMATE = """
select * from (
    select ref, kind, external_id, group_name, title, resolution, solved_at,
           1 - (embedding <=> %(query)s::halfvec) as score
    from ticket_vectors
    where model_version = %(model_version)s and ref is distinct from %(exclude_ref)s
    order by embedding <=> %(query)s::halfvec limit %(k)s
) nearest where score >= %(floor)s order by score desc, ref
"""
SCAN_FURTHER = """
select set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.max_scan_tuples', %s, true)
"""
COUNT = """
select count(*) from (
    select 1 from ticket_vectors where model_version = %s limit %s
) first_rows
"""
STALE = """
select ref from ticket_vectors where model_version <> %s
order by solved_at desc nulls last, ref limit %s
"""
FORGET = "delete from ticket_vectors where ref = %s"


@dataclass(frozen=True)
class TicketVector:
    """
    One ticket as it is found later. `title` and `resolution` are redacted.

    `ref` is our own id, unique. `model_version` names the encoder; `embedding` has 384 numbers, or none when
    the router has no encoder: then there is nothing to index.
    """

    ref: str
    kind: Literal["history", "ticket"]
    external_id: str
    title: str
    model_version: str
    embedding: Sequence[float]
    group_name: str | None = None
    resolution: str = ""
    solved_at: datetime | None = None


@dataclass(frozen=True)
class SimilarTicket:
    """`score` is the cosine of the two embeddings, at most 1."""

    ref: str
    kind: str
    external_id: str
    group_name: str | None
    title: str
    resolution: str
    solved_at: datetime | None
    score: float


async def index(conn: AsyncConnection[Any], vectors: Sequence[TicketVector]) -> int:
    """
    Stores vectors, replacing those with the same ref, but none of an erased ticket; returns how many had an embedding.

    One statement each: outside of a transaction no ticket is held while another is waited for.

    Raises:
        InputInvalid: an embedding has another length than 384.
    """
    rows = [_row(vector) for vector in vectors if vector.embedding]
    for row in rows:
        await conn.execute(INDEX, row)
    return len(rows)


async def nearest(
    conn: AsyncConnection[Any],
    embedding: Sequence[float],
    *,
    model_version: str,
    k: int = 5,
    floor: float = FLOOR,
    exclude_ref: str | None = None,
) -> list[SimilarTicket]:
    """
    At most `k` tickets of this encoder with a cosine of at least `floor`, nearest first.

    Raises:
        InputInvalid: the embedding has another length than 384. An empty one finds nothing.
    """
    if not embedding:
        return []
    values = {
        "query": _literal(embedding),
        "model_version": model_version,
        "k": k,
        "floor": floor,
        "exclude_ref": exclude_ref,
    }
    async with conn.transaction(), conn.cursor(row_factory=class_row(SimilarTicket)) as cursor:
        if await _is_small(conn, model_version):
            return await (await cursor.execute(EXACT, values)).fetchall()
        await conn.execute(SCAN_FURTHER, (str(EF_SEARCH), str(MAX_SCAN_TUPLES)))
        return await (await cursor.execute(APPROXIMATE, values)).fetchall()


async def stale(conn: AsyncConnection[Any], model_version: str, *, limit: int = 500) -> list[str]:
    """Refs whose vector is another encoder's, newest solved first: to be embedded again after a promotion."""
    cursor = await conn.cursor(row_factory=tuple_row).execute(STALE, (model_version, limit))
    return [row[0] for row in await cursor.fetchall()]


async def forget(conn: AsyncConnection[Any], ref: str) -> bool:
    """Erasure of one ticket's vector; False when there was none."""
    return (await conn.execute(FORGET, (ref,))).rowcount > 0


async def _is_small(conn: AsyncConnection[Any], model_version: str) -> bool:
    cursor = await conn.cursor(row_factory=tuple_row).execute(COUNT, (model_version, EXACT_MAX_ROWS + 1))
    row = await cursor.fetchone()
    return row is not None and row[0] <= EXACT_MAX_ROWS


def ticket_of(ref: str) -> int | None:
    """The ticket's id; None for a row of the history."""
    kind, _, number = ref.partition("/")
    return int(number) if kind == "ticket" and number.isdecimal() else None


def _row(vector: TicketVector) -> tuple[object, ...]:
    return (
        ticket_of(vector.ref),
        *(vector.ref, vector.kind, vector.external_id, vector.group_name, vector.title),
        *(vector.resolution, vector.solved_at, vector.model_version, _literal(vector.embedding)),
    )


def _literal(embedding: Sequence[float]) -> str:
    """pgvector's text form: needs no driver extension."""
    if len(embedding) != DIMENSIONS:
        raise InputInvalid(
            f"An embedding of {len(embedding)} numbers; ticket_vectors holds {DIMENSIONS}. "
            "Train the router with an encoder of that size, or migrate the column."
        )
    return "[" + ",".join(f"{number:.7g}" for number in embedding) + "]"
