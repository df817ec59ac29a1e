"""Documents in the database: put, removed, listed. SQL only; callers commit."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row

from services.core.contracts.document import Chunk, Document
from services.core.search.encoder import DIMENSIONS, Vectors

# BM25's usual constants (Robertson and Zaragoza 2009). The mean length is fixed because chunks are cut to one size: a
# weight once stored stays right while the index grows.
K1, B = 1.2, 0.75
MEAN_TERMS = 120.0  # terms of a full chunk, measured on the evaluation corpus

SHELF = """
insert into shelves (source, acl) values (%(source)s, %(acl)s)
on conflict (source, acl) do update set source = excluded.source returning id
"""
PUT = """
insert into documents (shelf_id, source, uri, title, kind, content_sha256)
values (%(shelf_id)s, %(source)s, %(uri)s, %(title)s, %(kind)s, %(content_sha256)s)
on conflict (source, uri) do update set
    shelf_id = excluded.shelf_id, title = excluded.title, kind = excluded.kind,
    content_sha256 = excluded.content_sha256, updated_at = now()
returning id
"""
CLEAR = "delete from chunks where document_id = %s"
ADD = """
insert into chunks (document_id, shelf_id, ordinal, heading, text, start_s, page, encoder, embedding)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s::halfvec)
"""
POST = """
insert into chunk_terms (term, chunk_id, shelf_id, weight)
select t.lexeme, c.id, c.shelf_id,
       t.n * (%(k1)s + 1) / (t.n + %(k1)s * (1 - %(b)s + %(b)s * sum(t.n) over (partition by c.id) / %(mean)s))
from chunks c cross join lateral (
    select lexeme, cardinality(positions)::real as n
    from unnest(to_tsvector('english', %(title)s || E'\\n' || array_to_string(c.heading, E'\\n') || E'\\n' || c.text))
) t where c.document_id = %(document_id)s
"""
KNOWN = "select uri, content_sha256 from documents where source = %s"
RIGHTS = "select d.uri, s.acl from documents d join shelves s on s.id = d.shelf_id where d.source = %s"
AUDIENCES = "select acl from shelves where source = %s"
REMOVE = "delete from documents where source = %s and uri = any(%s)"
LIST = """
select d.source, d.uri, d.title, d.kind, s.acl, count(c.id) as chunks, d.updated_at
from documents d join shelves s on s.id = d.shelf_id left join chunks c on c.document_id = d.id
where %(source)s::text is null or d.source = %(source)s
group by d.id, s.acl order by d.source, d.uri
"""


async def put(conn: AsyncConnection[Any], document: Document, vectors: Vectors, *, encoder: str) -> int:
    """Stores a document with one vector per chunk in place of what its source had under its uri; its id."""
    cursor = conn.cursor(row_factory=tuple_row)
    named = {"source": document.source, "acl": sorted(set(document.acl))}
    shelf_id = await _only(await cursor.execute(SHELF, named))
    values = document.model_dump(include={"source", "uri", "title", "kind", "content_sha256"}, mode="json")
    document_id = await _only(await cursor.execute(PUT, values | {"shelf_id": shelf_id}))
    await cursor.execute(CLEAR, (document_id,))
    rows = zip(document.chunks, vectors, strict=True)
    await cursor.executemany(ADD, [(document_id, shelf_id, *_row(chunk, vector, encoder)) for chunk, vector in rows])
    terms = {"title": document.title, "document_id": document_id, "k1": K1, "b": B, "mean": MEAN_TERMS}
    await cursor.execute(POST, terms)
    return document_id


async def known(conn: AsyncConnection[Any], source: str) -> dict[str, str]:
    """Content hash by uri of everything a source has."""
    cursor = await conn.cursor(row_factory=tuple_row).execute(KNOWN, (source,))
    return dict(await cursor.fetchall())


async def rights(conn: AsyncConnection[Any], source: str) -> dict[str, tuple[str, ...]]:
    """The groups that may read each document of a source, by uri."""
    cursor = await conn.cursor(row_factory=tuple_row).execute(RIGHTS, (source,))
    return {uri: tuple(acl) for uri, acl in await cursor.fetchall()}


async def audiences(conn: AsyncConnection[Any], source: str) -> set[tuple[str, ...]]:
    """Every set of groups that documents of a source were ever for, also when none is left."""
    cursor = await conn.cursor(row_factory=tuple_row).execute(AUDIENCES, (source,))
    return {tuple(acl) for (acl,) in await cursor.fetchall()}


async def remove(conn: AsyncConnection[Any], source: str, uris: Sequence[str]) -> int:
    """Forgets documents with their chunks, postings and vectors; returns how many there were."""
    return (await conn.execute(REMOVE, (source, list(uris)))).rowcount


async def listing(conn: AsyncConnection[Any], source: str | None = None) -> list[dict[str, Any]]:
    """What is indexed, with its audience and number of chunks."""
    cursor = await conn.cursor(row_factory=dict_row).execute(LIST, {"source": source})
    return await cursor.fetchall()


def literal(vector: Sequence[float] | Vectors) -> str:
    """pgvector's text form: needs no driver extension."""
    assert len(vector) == DIMENSIONS
    return "[" + ",".join(f"{number:.7g}" for number in vector) + "]"


def embedded_text(title: str, chunk: Chunk) -> str:
    """What the encoder reads of a chunk: where it stands, then its words."""
    above = " > ".join(dict.fromkeys(part for part in (title, *chunk.heading) if part))
    return f"{above}\n{chunk.text}" if above else chunk.text


def _row(chunk: Chunk, vector: Vectors, encoder: str) -> tuple[object, ...]:
    place = (chunk.ordinal, list(chunk.heading), chunk.text, chunk.start_s, chunk.page)
    return (*place, encoder, literal(vector))


async def _only(cursor: Any) -> int:
    return (await cursor.fetchone())[0]
