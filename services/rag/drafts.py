"""
Replies drafted for agents: on a ticket that somebody was given, a private note with what documents and cases say.

The same gate decides, with no question back: none is better than a weak one. The worker's outbox carries the note.
"""

import asyncio
from functools import partial

import structlog
from psycopg.rows import DictRow

from services.core.answer.decide import Means, answer_from_evidence
from services.core.connectors import write_back
from services.core.connectors.write_back import OWN_TAG, About
from services.core.contracts.conversation import Action, Answer
from services.core.contracts.ticket import TicketUpdate
from services.core.kit.database import connection
from services.core.llm.ledger import Origin
from services.core.llm.sentences import sentences
from services.core.models.texts import join_text
from services.core.search.retrieve import Question, meant_vector
from services.rag import repository
from services.rag.service import Outside, finder

log = structlog.get_logger()

QUESTION_SENTENCES = 4  # of the ticket, with its subject: what follows is signatures and history


async def keep_drafting(
    outside: Outside, groups: tuple[str, ...], *, shadow: bool, every_s: float, stop: asyncio.Event
) -> None:
    """Drafts for what was assigned, again and again, until `stop`. `groups`: whose documents a reply may quote."""
    while not stop.is_set():
        try:
            await draft_once(outside, groups, shadow=shadow)
        except Exception as exc:  # nobody waits for a draft: whatever fails is tried again
            log.warning("rag.drafts.failed", error=type(exc).__name__)
        try:
            await asyncio.wait_for(stop.wait(), every_s)
        except TimeoutError:
            continue


async def draft_once(outside: Outside, groups: tuple[str, ...], *, shadow: bool = False) -> None:
    """One round over the tickets that were assigned lately and have no draft yet."""
    async with connection(outside.pool) as conn:
        due = await repository.undrafted(conn)
    for ticket in due:
        try:
            given = await _answer(outside, ticket, groups)
            await _put(outside, ticket, given, shadow=shadow)
        except Exception as exc:  # one that cannot be drafted keeps no other waiting
            log.warning("rag.draft.failed", ticket_id=ticket["id"], error=type(exc).__name__)


async def _answer(outside: Outside, ticket: DictRow, groups: tuple[str, ...]) -> Answer:
    question = Question(_question(ticket))
    vector = await asyncio.to_thread(meant_vector, outside.encoder, question)
    origin = Origin(str(ticket["id"]), f"draft:{ticket['id']}", "answer")
    write = None if outside.writer is None else partial(outside.writer.write, origin=origin)
    return await answer_from_evidence(
        Means(outside.encoder, outside.rules, finder(outside, groups), write), question, vector, asked_back=True
    )


async def _put(outside: Outside, ticket: DictRow, given: Answer, *, shadow: bool) -> None:
    """Note and letter together; the ticket is held, so that nothing is written about one that is being erased."""
    body = given.model_dump(mode="json", include={"action", "reason", "reply", "by", "confidence"})
    async with connection(outside.pool) as conn, conn.transaction():
        if not await repository.hold(conn, ticket["id"]):
            return
        if await repository.add_draft(conn, ticket["id"], body) and given.action is Action.CONTINUE and not shadow:
            key = f"{ticket['id']}:draft"
            update = TicketUpdate(key=key, external_id=ticket["external_id"], tags=(OWN_TAG,), note=as_note(given))
            about = About(ticket["id"], ticket["connector"], ticket["external_id"])
            await write_back.put(conn, update, about)


def as_note(given: Answer) -> str:
    """Each sentence with the number of its source, and the sources with their addresses."""
    places = {one.chunk_id: place for place, one in enumerate(given.evidence, 1)}
    said = [f"{claim.text} {''.join(f'[{places[cited]}]' for cited in claim.citations)}" for claim in given.claims]
    sources = [f"[{places[one.chunk_id]}] {one.title}: {one.link}" for one in given.evidence]
    head = f"Pointsman drafts a reply (by {given.by}). Read the sources before you send it."
    return "\n".join([head, "", *said, "", *sources])


def _question(ticket: DictRow) -> str:
    said = sentences(join_text("", ticket["body"]))[:QUESTION_SENTENCES]
    return " ".join([ticket["subject"], *said])
