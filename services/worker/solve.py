"""Steps for tickets that people have taken or solved: label, summary, similar tickets, erasure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import structlog

from services.core.connectors import write_back
from services.core.connectors.hearing import OWN_ACTOR
from services.core.connectors.write_back import OWN_TAG, About
from services.core.contracts.priority import SummaryAnswer, SummaryQuestion
from services.core.contracts.ticket import Comment, Ticket, TicketUpdate
from services.core.kit import audit
from services.core.kit.database import Connection, connection
from services.core.kit.errors import ConfigurationInvalid, LlmUnavailable
from services.core.llm import ledger
from services.core.llm.prompted import summary_fallback
from services.core.models.texts import join_text
from services.core.search import similar
from services.worker import repository
from services.worker.steps import Outside, read_safely

log = structlog.get_logger()

SIMILAR = 3  # as many as an agent reads in a note

Speaker = Literal["requester", "agent"]


@dataclass(frozen=True)
class Conversation:
    """A ticket's redacted text and comments, and what its system says about it."""

    ticket: Ticket
    subject: str
    body: str
    comments: tuple[tuple[Speaker, str], ...]


async def summarise(outside: Outside, ticket_id: int, workflow_id: str) -> None:
    """Label, summary note and vector of a solved ticket, stored in one transaction."""
    talk = await _conversation(outside, ticket_id)
    if talk is None:
        return
    summary = await _ask(outside, talk, ticket_id, workflow_id)
    model_version, embedding = await _embed(outside, talk)
    async with connection(outside.pool) as conn, conn.transaction():
        if not await repository.hold(conn, ticket_id):
            return
        if not await repository.add_note(conn, ticket_id, "summary", workflow_id, summary.model_dump(mode="json")):
            return
        if talk.ticket.group:
            await repository.label_at_close(conn, ticket_id, talk.ticket.group)
        await repository.close_review(conn, ticket_id, talk.ticket.group)
        vector = similar.TicketVector(
            ref=f"ticket/{ticket_id}",
            kind="ticket",
            external_id=talk.ticket.external_id,
            group_name=talk.ticket.group,
            title=talk.subject,
            resolution=summary.actions,
            solved_at=talk.ticket.updated_at,
            model_version=model_version,
            embedding=embedding,
        )
        await similar.index(conn, [vector])
        await _put_note(
            conn, outside, ticket_id, talk.ticket, stage=workflow_id, note=_summary_note(summary), tags=summary.tags
        )
        detail = {"group": talk.ticket.group, "by": summary.by, "prompt_version": summary.prompt_version}
        await audit.append(conn, audit.Entry("worker", "ticket.summarised", f"ticket/{ticket_id}", detail))


async def relate(outside: Outside, ticket_id: int, workflow_id: str) -> None:
    """
    A private note with the nearest solved tickets; nothing when none is near.

    The ticket is read again: what people made of it is what a review decides upon from now on.
    """
    known, safe = await read_safely(outside, ticket_id)
    if known is None:
        return
    text = join_text(safe.fields["subject"], safe.fields["body"])
    prediction, embedding = await outside.router.predict(text, want_embedding=True)
    async with connection(outside.pool) as conn, conn.transaction():
        if not await repository.hold(conn, ticket_id):
            return
        near = await _near(conn, embedding or [], prediction.model_version, ticket_id)
        body = {
            "similar": [{"external_id": n.external_id, "group": n.group_name, "score": round(n.score, 3)} for n in near]
        }
        if await repository.add_note(conn, ticket_id, "related", workflow_id, body) and near:
            await _put_note(conn, outside, ticket_id, known, stage="assigned", note=_related_note(near), tags=())


async def _near(
    conn: Connection, embedding: list[float], model_version: str, ticket_id: int
) -> list[similar.SimilarTicket]:
    """The nearest solved tickets; the note quotes them, so those being erased are left out and the others wait."""
    ref = f"ticket/{ticket_id}"
    near = await similar.nearest(conn, embedding, model_version=model_version, k=SIMILAR, exclude_ref=ref)
    held = await repository.hold_free(conn, [number for n in near if (number := similar.ticket_of(n.ref))])
    return [n for n in near if similar.ticket_of(n.ref) in (None, *held)]


async def erase(outside: Outside, ticket_id: int) -> None:
    """Forgets the ticket's text everywhere; the audit entry is the receipt."""
    async with connection(outside.pool) as conn, conn.transaction():
        await repository.erase(conn, ticket_id)
        entry = audit.Entry("worker", "ticket.erased", f"ticket/{ticket_id}", {})
        await audit.append(conn, entry)


async def _conversation(outside: Outside, ticket_id: int) -> Conversation | None:
    ticket, safe = await read_safely(outside, ticket_id, said=_said)
    if ticket is None:
        return None
    authors = [comment.author_id for comment in _by_people(ticket)]
    spoken = tuple((_speaker(ticket, author), safe.fields[f"c{i}"]) for i, author in enumerate(authors))
    return Conversation(ticket, safe.fields["subject"], safe.fields["body"], spoken)


def _said(ticket: Ticket) -> Mapping[str, str]:
    """The last first: when all are too long, they matter most."""
    people = _by_people(ticket)
    return {f"c{i}": people[i].body for i in reversed(range(len(people)))}


def _by_people(ticket: Ticket) -> list[Comment]:
    """Our own notes are not part of what people said."""
    return [comment for comment in ticket.comments if comment.author_id != OWN_ACTOR]


def _speaker(ticket: Ticket, author_id: str | None) -> Speaker:
    asker = (ticket.requester.id, ticket.requester.email, ticket.requester.name)
    return "requester" if author_id is not None and author_id in asker else "agent"


async def _ask(outside: Outside, talk: Conversation, ticket_id: int, workflow_id: str) -> SummaryAnswer:
    question = SummaryQuestion(ticket_id=str(ticket_id), subject=talk.subject, body=talk.body, comments=talk.comments)
    origin = ledger.Origin(str(ticket_id), workflow_id, "summary")
    try:
        return (await outside.llm.summarise(question, origin)).answer
    except (LlmUnavailable, ConfigurationInvalid) as exc:
        log.error("worker.summary.fell_back", error=type(exc).__name__)
        return summary_fallback(question)


async def _embed(outside: Outside, talk: Conversation) -> tuple[str, list[float]]:
    prediction, embedding = await outside.router.predict(join_text(talk.subject, talk.body), want_embedding=True)
    return prediction.model_version, embedding or []


async def _put_note(
    conn: Connection,
    outside: Outside,
    ticket_id: int,
    ticket: Ticket,
    *,
    stage: str,
    note: str,
    tags: tuple[str, ...],
) -> None:
    if outside.settings.shadow:
        return
    key = stage if stage.count(":") else f"{ticket_id}:{stage}"
    update = TicketUpdate(key=key[:200], external_id=ticket.external_id, tags=(OWN_TAG, *tags), note=note)
    await write_back.put(conn, update, About(ticket_id, ticket.connector, ticket.external_id))


def _summary_note(summary: SummaryAnswer) -> str:
    lines = [
        f"Pointsman summary (by {summary.by}).",
        f"Issue: {summary.issue}",
        f"Done: {summary.actions}" if summary.actions else "",
        f"References: {', '.join(summary.references)}" if summary.references else "",
    ]
    return "\n".join(line for line in lines if line)


def _related_note(near: list[similar.SimilarTicket]) -> str:
    found = [f"- {n.external_id} ({n.group_name or 'no group'}, {n.score:.0%} alike): {n.title}" for n in near]
    return "\n".join(["Pointsman found similar solved tickets:", *found])
