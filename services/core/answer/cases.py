"""What a person resolved becomes a case, found beside documents: the question its title, the resolution its text."""

import asyncio
import hashlib
from uuid import UUID

import numpy as np
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.contracts.conversation import Author
from services.core.contracts.document import TITLE_MAX_CHARS, Chunk, Document, DocumentKind
from services.core.kit.database import Connection
from services.core.kit.errors import NotFound
from services.core.llm.sentences import keywords
from services.core.search import documents
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.retrieve import Question, Scope, search

SOURCE = "cases"
# Cosine of two cases, question and resolution together. Not measured on real
# cases yet: high enough that only all but the same words merge.
SAME_CASE = 0.92
TEXT_MAX_CHARS = 1_500
DRAFT = "insert into case_drafts (session_id, document) values (%s, %s) on conflict (session_id) do nothing"
WAITING = "select session_id, document, at from case_drafts where state = 'waiting' order by at limit 200"
DECIDE = """
update case_drafts set state = %s, decided_by = %s, decided_at = now() where session_id = %s and state = 'waiting'
returning document
"""


async def put_case(conn: Connection, encoder: TextEncoder, session: DictRow, said: list[DictRow]) -> str | None:
    """
    Indexes the case of a conversation that an agent resolved, from redacted words only; its address.

    None when there is nothing to learn: nobody answered, or the same case is known.
    """
    case = as_case(session["id"], said, tuple(session["groups"]))
    if case is None:
        return None
    return await _index(conn, encoder, case)


def as_case(session_id: UUID, said: list[DictRow], acl: tuple[str, ...]) -> Document | None:
    """Only the agents' words can be quoted from it; its audience is the conversation's."""
    asked = [one["redacted"] for one in said if one["author"] == Author.USER]
    solved = [one["redacted"] for one in said if one["author"] == Author.AGENT]
    if not asked or not solved:
        return None
    title, text = " ".join(asked[0].split()), "\n".join(solved)[:TEXT_MAX_CHARS]
    return Document(
        source=SOURCE,
        uri=f"case:{session_id}",
        title=title[:TITLE_MAX_CHARS],
        kind=DocumentKind.CASE,
        content_sha256=hashlib.sha256(f"{title}\n{text}".encode()).hexdigest(),
        acl=acl,
        chunks=(Chunk(ordinal=0, text=text, heading=keywords(title, text)),),
    )


async def draft_case(conn: Connection, session: DictRow, said: list[DictRow]) -> None:
    """Keeps the case of a conversation until a person says whether others are answered from it."""
    case = as_case(session["id"], said, tuple(session["groups"]))
    if case is not None:
        await conn.execute(DRAFT, (session["id"], Jsonb(case.model_dump(mode="json"))))


async def waiting(conn: Connection) -> list[DictRow]:
    """Cases that nobody has decided about, oldest first."""
    return await (await conn.execute(WAITING)).fetchall()


async def approve(conn: Connection, encoder: TextEncoder, session_id: UUID, by: str) -> str | None:
    """
    Indexes a waiting case; its address, None when the same one is known.

    Raises:
        NotFound: none waits under this id.
    """
    case = Document.model_validate((await _decide(conn, session_id, "approved", by))["document"])
    return await _index(conn, encoder, case)


async def reject(conn: Connection, session_id: UUID, by: str) -> None:
    """Nobody is answered from it. Raises as `approve`."""
    await _decide(conn, session_id, "rejected", by)


async def _decide(conn: Connection, session_id: UUID, state: str, by: str) -> DictRow:
    row = await (await conn.execute(DECIDE, (state, by, session_id))).fetchone()
    if row is None:
        raise NotFound(f"No case waits under {session_id}. List them: pointsman rag cases")
    return row


async def _index(conn: Connection, encoder: TextEncoder, case: Document) -> str | None:
    vector = await asyncio.to_thread(encoder.embed, [documents.embedded_text(case.title, case.chunks[0])])
    if await _is_known(conn, vector[0], encoder.version, case):
        return None
    await documents.put(conn, case, vector, encoder=encoder.version)
    return case.uri


async def _is_known(conn: Connection, vector: Vectors, encoder: str, case: Document) -> bool:
    """Looked for among the cases of the same audience only."""
    scope = Scope(groups=case.acl, sources=(SOURCE,), k=1, text_share=0.0)
    found = await search(conn, Question(case.title), np.asarray(vector), encoder, scope)
    return any(one.cosine >= SAME_CASE and one.uri != case.uri for one in found.evidence)
