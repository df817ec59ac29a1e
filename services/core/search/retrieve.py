"""
Hybrid retrieval in one SQL statement: BM25 over postings and cosine over vectors, fused by reciprocal rank.

Who may read what is inside both arms and inside BM25's own statistics: a chunk the caller may not read changes nothing
they see. Small and narrow searches are exact, because an HNSW scan that filters afterwards loses true neighbours.
"""

from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row

from services.core.contracts.document import Evidence
from services.core.search.documents import literal
from services.core.search.encoder import TextEncoder, Vectors

RRF_K = 60  # Cormack, Clarke and Buettcher 2009; 10 to 60 measured the same here (design/adr/0116)
DEPTH = 100  # of each arm into the fusion
# What an agent answered one person counts a little less than what the company wrote for all: of two that rank alike the
# document comes first. From 61/62 on, what is first in both arms stays first.
CASES = "cases"
CASES_WEIGHT = 0.99
EXACT_MAX_CHUNKS = 10_000  # an exact scan of as many takes some 30 ms on a busy core
EF_SEARCH = 200
MAX_SCAN_TUPLES = 60_000  # how far an iterative scan goes on for a caller who may read few of the chunks
# How much earlier turns say about what a follow-up means: measured on the multi-turn questions of the training part.
PREVIOUS_TERMS, OLDER_TERMS, REPLY_TERMS = 0.5, 0.3, 0.1
PREVIOUS_VECTOR, REPLY_VECTOR = 0.5, 0.2

COUNT = """
select count(*) from (
    select 1 from chunks
    where encoder = %(encoder)s and shelf_id = any(array(
        select id from shelves where (acl = '{}' or acl && %(groups)s)
        and (%(sources)s::text[] is null or source = any(%(sources)s))))
    limit %(limit)s
) first_rows
"""
SCAN_FURTHER = """
select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.max_scan_tuples', %s, true)
"""
SEARCH: LiteralString = """
with readable as materialized (
    select coalesce(array_agg(id), '{{}}') as shelves,
           coalesce(array_agg(id) filter (where source = %(cases)s), '{{}}') as cases from shelves
    where (acl = '{{}}' or acl && %(groups)s) and (%(sources)s::text[] is null or source = any(%(sources)s))
), size as materialized (
    select count(*)::real as n from chunks where shelf_id = any((select shelves from readable)::int[])
), asked as materialized (
    select t.lexeme as term, max(said.weight) as weight
    from unnest(%(texts)s::text[], %(weights)s::real[]) as said(text, weight),
         unnest(to_tsvector('english', said.text)) as t group by t.lexeme
), posting as materialized (
    select a.term, p.chunk_id, a.weight * p.weight as weight from asked a join chunk_terms p using (term)
    where p.shelf_id = any((select shelves from readable)::int[])
), rarity as materialized (
    select a.term, a.weight, ln(1 + (s.n - coalesce(c.df, 0) + 0.5) / (coalesce(c.df, 0) + 0.5)) as idf
    from asked a cross join size s left join (select term, count(*) as df from posting group by term) c using (term)
), by_text as (
    select chunk_id, score, row_number() over (order by score desc, chunk_id) as place from (
        select chunk_id, sum(p.weight * r.idf) as score from posting p join rarity r using (term)
        group by chunk_id order by score desc, chunk_id limit %(depth)s) best
), by_vector as (
    select chunk_id, row_number() over (order by distance, chunk_id) as place from (
        select id as chunk_id, embedding <=> %(vector)s::halfvec as distance from chunks
        where encoder = %(encoder)s and shelf_id = any((select shelves from readable)::int[])
        order by (embedding <=> %(vector)s::halfvec) {exactly} limit %(depth)s) nearest
), ranked as (
    select chunk_id, t.score as text_score,
           coalesce(%(text_share)s / (%(rrf_k)s + t.place), 0) + coalesce(%(vector_share)s / (%(rrf_k)s + v.place), 0)
           as score
    from by_text t full join by_vector v using (chunk_id)
), fused as (
    select chunk_id, text_score, score * case when c.shelf_id = any((select cases from readable)::int[])
                                         then %(cases_weight)s else 1 end as score
    from ranked join chunks c on c.id = chunk_id order by score desc, chunk_id limit %(k)s
)
select f.chunk_id, d.source, d.uri, d.title, c.heading, c.text, c.start_s, c.page, d.updated_at, f.score::real as score,
       (1 - (c.embedding <=> %(vector)s::halfvec))::real as cosine,
       (coalesce(f.text_score, 0) / greatest((select sum(weight * idf) from rarity), 0.000001))::real as terms_matched
from fused f join chunks c on c.id = f.chunk_id join documents d on d.id = c.document_id
order by f.score desc, f.chunk_id
"""
EXACT = SEARCH.format(exactly="+ 0")  # keeps the planner from the index: every readable chunk is compared
APPROXIMATE = SEARCH.format(exactly="")


@dataclass(frozen=True)
class Question:
    """
    A question with what was said before it, all redacted. `previous` are the person's own earlier turns, oldest first;
    `reply` is what they were answered last.
    """

    text: str
    previous: tuple[str, ...] = ()
    reply: str = ""


@dataclass(frozen=True)
class Scope:
    """
    What may be found: documents for everybody and for these groups, in these sources (None: all).

    The shares switch an arm off (0) to measure the other; `cases_weight` is what a case counts beside a document.
    """

    groups: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    k: int = 10
    text_share: float = 1.0
    vector_share: float = 1.0
    cases_weight: float = CASES_WEIGHT


@dataclass(frozen=True)
class Found:
    """
    `terms_matched` is BM25 of each evidence as a share of what the question's terms are worth; `vector` is the question
    as it was searched, in its context; None when there was nothing to search for.
    """

    question: Question
    evidence: tuple[Evidence, ...] = ()
    terms_matched: tuple[float, ...] = ()
    vector: Vectors | None = field(default=None, compare=False)


async def retrieve(
    conn: AsyncConnection[Any], encoder: TextEncoder, question: Question, scope: Scope = Scope()
) -> Found:
    """The best chunks for what the question means here, best first."""
    if not question.text.strip():
        return Found(question)
    vector = meant_vector(encoder, question)
    return await search(conn, question, vector, encoder.version, scope)


async def search(
    conn: AsyncConnection[Any], question: Question, vector: Vectors, encoder: str, scope: Scope = Scope()
) -> Found:
    """As `retrieve`, for a vector that is there already."""
    values = _values(question, vector, encoder, scope)
    async with conn.transaction():
        small = await _is_small(conn, values)
        if not small:
            await conn.execute(SCAN_FURTHER, (str(EF_SEARCH), str(MAX_SCAN_TUPLES)))
        cursor = await conn.cursor(row_factory=dict_row).execute(EXACT if small else APPROXIMATE, values)
        rows = await cursor.fetchall()
    matched = tuple(float(row.pop("terms_matched")) for row in rows)
    return Found(question, tuple(Evidence.model_validate(row) for row in rows), matched, vector)


def meant_vector(encoder: TextEncoder, question: Question) -> Vectors:
    """The question, leaning towards what it follows: unit vector (384,)."""
    said = [(question.text, 1.0)]
    said += [(question.previous[-1], PREVIOUS_VECTOR)] if question.previous else []
    said += [(question.reply, REPLY_VECTOR)] if question.reply.strip() else []
    vectors = encoder.embed([text for text, _ in said])
    mixed = sum(weight * vector for (_, weight), vector in zip(said, vectors, strict=True))
    return mixed / max(float((mixed @ mixed) ** 0.5), 1e-9)


def meant_terms(question: Question) -> list[tuple[str, float]]:
    """Texts whose words are looked for, with what a word of each counts; one said in several counts its most."""
    older = [(text, OLDER_TERMS) for text in question.previous[:-1]]
    previous = [(text, PREVIOUS_TERMS) for text in question.previous[-1:]]
    return [(question.text, 1.0), *previous, *older, (question.reply, REPLY_TERMS)]


def _values(question: Question, vector: Vectors, encoder: str, scope: Scope) -> dict[str, Any]:
    terms = meant_terms(question)
    return {
        "texts": [text for text, _ in terms],
        "weights": [weight for _, weight in terms],
        "vector": literal(vector),
        "encoder": encoder,
        "groups": list(scope.groups),
        "sources": None if scope.sources is None else list(scope.sources),
        "k": scope.k,
        "depth": DEPTH,
        "rrf_k": RRF_K,
        "text_share": scope.text_share,
        "vector_share": scope.vector_share,
        "cases": CASES,
        "cases_weight": scope.cases_weight,
        "limit": EXACT_MAX_CHUNKS + 1,
    }


async def _is_small(conn: AsyncConnection[Any], values: dict[str, Any]) -> bool:
    row = await (await conn.cursor(row_factory=tuple_row).execute(COUNT, values)).fetchone()
    return row is not None and row[0] <= EXACT_MAX_CHUNKS
