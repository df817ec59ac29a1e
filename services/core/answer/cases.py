"""What a person resolved becomes a case, found beside documents: the question its title, the resolution its text."""

import asyncio
import hashlib
from uuid import UUID

import numpy as np
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.answer.passage import sentences
from services.core.answer.wishes import is_mere_call
from services.core.contracts.conversation import Author
from services.core.contracts.document import TITLE_MAX_CHARS, Chunk, Document, DocumentKind, Evidence
from services.core.kit.database import Connection
from services.core.kit.errors import NotFound
from services.core.kit.locks import Lock
from services.core.llm.sentences import keywords
from services.core.search import documents
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.retrieve import CASES, Question, Scope, search

# Cosine of two cases, question and resolution together, and of two sentences of resolutions. Of pairs of questions that
# are as near 97 % want the same (`pointsman rag thresholds`, design/adr/0174); no set with resolutions is at hand.
SAME_CASE = 0.92
TEXT_MAX_CHARS = 1_500
FACTS, FACTS_MAX_CHARS = "Facts: ", 300
DRAFT = "insert into case_drafts (session_id, document) values (%s, %s) on conflict (session_id) do nothing"
WAITING = "select session_id, document, at from case_drafts where state = 'waiting' order by at limit 200"
PART = """
insert into case_parts (session_id, uri) select id, %s from sessions where id = %s
on conflict (session_id) do update set uri = excluded.uri
"""
SAME_AUDIENCE = """
select d.uri from documents d join shelves s on s.id = d.shelf_id
where d.source = %s and d.uri = any(%s::text[]) and s.acl = %s::text[]
"""
DECIDE = """
update case_drafts set state = %s, decided_by = %s, decided_at = now() where session_id = %s and state = 'waiting'
returning document
"""


async def put_case(conn: Connection, encoder: TextEncoder, session: DictRow, said: list[DictRow]) -> str | None:
    """
    Indexes the case of a conversation that an agent resolved, from redacted words only; its address, which is another
    one's when that case is the same: what is new about it is added there.

    None when there is nothing to learn: nobody answered.
    """
    case = as_case(session["id"], said, tuple(session["groups"]))
    if case is None:
        return None
    return await _index(conn, encoder, session["id"], case)


def as_case(session_id: UUID, said: list[DictRow], acl: tuple[str, ...]) -> Document | None:
    """
    Only the agents' words can be quoted from it; its audience is the conversation's. What else the person said is above
    them, where it is found by, and never quoted.
    """
    asked = _asked(said)
    solved = [one["redacted"] for one in said if one["author"] == Author.AGENT]
    if not asked or not solved:
        return None
    title, text = " ".join(asked[0].split()), "\n".join(solved)[:TEXT_MAX_CHARS]
    told = " ".join(" ".join(asked[1:]).split())[:FACTS_MAX_CHARS]
    return _case(f"case:{session_id}", title, text, acl, facts=f"{FACTS}{told}" if told else "")


def _asked(said: list[DictRow]) -> list[str]:
    """What the person said of the matter; mere calls for a person only where there is nothing else."""
    every = [one["redacted"] for one in said if one["author"] == Author.USER]
    return [text for text in every if not is_mere_call(text)] or every


async def draft_case(conn: Connection, session: DictRow, said: list[DictRow]) -> None:
    """Keeps the case of a conversation until a person says whether others are answered from it."""
    case = as_case(session["id"], said, tuple(session["groups"]))
    if case is not None:
        await conn.execute(DRAFT, (session["id"], Jsonb(case.model_dump(mode="json"))))


async def waiting(conn: Connection) -> list[DictRow]:
    """Cases that nobody has decided about, oldest first."""
    return await (await conn.execute(WAITING)).fetchall()


async def approve(conn: Connection, encoder: TextEncoder, session_id: UUID, by: str) -> str:
    """
    Indexes a waiting case; its address, or that of the same one, which it is added to.

    Raises:
        NotFound: none waits under this id.
    """
    case = Document.model_validate((await _decide(conn, session_id, "approved", by))["document"])
    return await _index(conn, encoder, session_id, case)


async def reject(conn: Connection, session_id: UUID, by: str) -> None:
    """Nobody is answered from it. Raises as `approve`."""
    await _decide(conn, session_id, "rejected", by)


async def _decide(conn: Connection, session_id: UUID, state: str, by: str) -> DictRow:
    row = await (await conn.execute(DECIDE, (state, by, session_id))).fetchone()
    if row is None:
        raise NotFound(f"No case waits under {session_id}. List them: pointsman rag cases")
    return row


async def _index(conn: Connection, encoder: TextEncoder, session_id: UUID, case: Document) -> str:
    """One after the other: two alike that are resolved at once are one case."""
    await conn.execute("select pg_advisory_xact_lock(%s)", (Lock.CASES.value,))
    vector = await _embed(encoder, case)
    if (known := await _same(conn, vector[0], encoder.version, case)) is not None:
        case = await asyncio.to_thread(_merged, encoder, known, case)
        vector = await _embed(encoder, case)
    await documents.put(conn, case, vector, encoder=encoder.version)
    await conn.execute(PART, (case.uri, session_id))
    return case.uri


async def _embed(encoder: TextEncoder, case: Document) -> Vectors:
    return await asyncio.to_thread(encoder.embed, [documents.embedded_text(case.title, case.chunks[0])])


async def _same(conn: Connection, vector: Vectors, encoder: str, case: Document) -> Evidence | None:
    """Among the cases of just this audience: what one group was told must not get into a case for everybody."""
    scope = Scope(groups=case.acl, sources=(CASES,), text_share=0.0)
    found = await search(conn, Question(case.title), np.asarray(vector), encoder, scope)
    near = [one for one in found.evidence if one.cosine >= SAME_CASE and one.uri != case.uri]
    rows = await conn.execute(SAME_AUDIENCE, (CASES, [one.uri for one in near], sorted(set(case.acl))))
    alike = {row["uri"] for row in await rows.fetchall()}
    return next((one for one in near if one.uri in alike), None)


def _merged(encoder: TextEncoder, known: Evidence, case: Document) -> Document:
    """The known case with the sentences that it does not say yet, as long as there is room."""
    text = known.text
    for sentence in _unsaid(encoder, sentences(case.chunks[0].text), sentences(known.text)):
        if len(text) + 1 + len(sentence) <= TEXT_MAX_CHARS:
            text = f"{text}\n{sentence}"
    facts = next((one for one in known.heading if one.startswith(FACTS)), "")
    return _case(known.uri, known.title, text, case.acl, facts=facts)


def _unsaid(encoder: TextEncoder, said: list[str], known: list[str]) -> list[str]:
    near = encoder.embed(said) @ encoder.embed(known).T
    return [sentence for sentence, row in zip(said, near, strict=True) if float(row.max()) < SAME_CASE]


def _case(uri: str, title: str, text: str, acl: tuple[str, ...], *, facts: str) -> Document:
    above = (facts, *keywords(title, text)) if facts else keywords(title, text)
    return Document(
        source=CASES,
        uri=uri,
        title=title[:TITLE_MAX_CHARS],
        kind=DocumentKind.CASE,
        content_sha256=hashlib.sha256(f"{title}\n{facts}\n{text}".encode()).hexdigest(),
        acl=acl,
        chunks=(Chunk(ordinal=0, text=text, heading=above),),
    )
