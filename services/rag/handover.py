"""Conversations that a person has: their ticket is opened, the customer's words go there, the agents' come back."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from psycopg.rows import DictRow

from services.core.answer.cases import draft_case, put_case
from services.core.answer.redirect import HELP_DESK
from services.core.connectors.hearing import OWN_ACTOR
from services.core.connectors.port import Connector
from services.core.contracts.conversation import Action, Author, SessionState
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.prediction import Prediction
from services.core.contracts.ticket import (
    ENDED,
    SUBJECT_MAX_CHARS,
    Comment,
    NewTicket,
    Requester,
    Status,
    Ticket,
    TicketUpdate,
)
from services.core.kit.database import connection
from services.core.kit.errors import ConnectorRejected
from services.core.kit.intake import ingest
from services.core.kit.smtp import send_mail
from services.rag import repository
from services.rag.mail import as_mail
from services.rag.repository import Said, uuid7
from services.rag.service import Learning, Outside
from services.rag.summary import summarise
from services.rag.teams import level_of, suggest

log = structlog.get_logger()

TRANSCRIPT_MAX_CHARS = 30_000  # Jira takes 32,767 in a description, the least of the systems
TOLD = {
    Status.OPEN: "A person is looking at your request.",
    Status.PENDING: "Support waits for something before it can go on. If you were asked, answer here.",
}
SOLVED = "Your request was solved. Write again if it was not."
WHO = {Author.USER: "Customer", Author.ASSISTANT: "Pointsman", Author.AGENT: "Support"}


async def keep_up(
    outside: Outside, connector: Connector, *, group: str | None, every_s: float, stop: asyncio.Event
) -> None:
    """Brings every escalated conversation and its ticket together again and again, until `stop`."""
    after = repository.FIRST
    while not stop.is_set():
        try:
            after = await look_once(outside, connector, group=group, after=after)
        except Exception as exc:  # what all handed-over conversations depend on: it goes on, whatever broke this round
            log.warning("rag.handover.failed", error=type(exc).__name__)
        try:
            await asyncio.wait_for(stop.wait(), every_s)
        except TimeoutError:
            continue


async def look_once(
    outside: Outside, connector: Connector, *, group: str | None = None, after: UUID = repository.FIRST
) -> UUID:
    """One round, and where the next one begins; a conversation whose ticket cannot be reached waits for its next."""
    async with connection(outside.pool) as conn:
        sessions = await repository.escalated(conn, after)
    for session in sessions:
        try:
            if session["ticket"] is None:
                await _open_ticket(outside, connector, session, group)
            else:
                await _tell_agent(outside, connector, session)
                await _mail_team(outside, session)
                await _hear_agent(outside, connector, session)
        except Exception as exc:  # a system that is away, a mail server, or a conversation that nobody foresaw
            log.warning("rag.ticket.waits", session_id=str(session["id"]), error=type(exc).__name__)
    looked_at = [session["id"] for session in sessions if session["ticket"] is not None]
    return looked_at[-1] if len(looked_at) == repository.ROUND else repository.FIRST


async def _open_ticket(outside: Outside, connector: Connector, session: DictRow, group: str | None) -> None:
    """The key is the conversation's id: killed between opening and noting it, the next round finds the same ticket."""
    async with connection(outside.pool) as conn:
        said = await repository.messages(conn, session["id"])
        before = await repository.tickets(conn, session["id"])
    ticket = as_ticket(session, said, group, suggested=await _suggest(outside, said), before=before)
    opened = await connector.open(ticket)
    async with connection(outside.pool) as conn, conn.transaction():
        if await repository.set_ticket(conn, session["id"], connector.name, opened.external_id):
            await ingest(conn, as_delivery(ticket, connector.name, opened.external_id), body_sha256="")
            await repository.note(conn, session["id"], "ticket_opened", {"ticket": opened.external_id})
            for one in _unheard(said):
                await repository.set_done(conn, one["id"])


async def _mail_team(outside: Outside, session: DictRow) -> None:
    """
    Writes to the team once the ticket has a number, but not to the help desk, which lives in its tickets; a server that
    refuses for good is not asked again.
    """
    if outside.mail is None:
        return
    async with connection(outside.pool) as conn:
        if await repository.was_noted(conn, session["id"], "mailed", "unmailed"):
            return
        said = await repository.messages(conn, session["id"])
    suggested = await _suggest(outside, said)
    group = suggested.group if suggested else None
    level = await level_of(outside.pool, group)
    to = None if level == HELP_DESK else outside.mail.address_for(group)
    if to is None:
        await _note(outside, session, "unmailed", {"level": level})
        return
    ticket = as_ticket(session, said, None, suggested=suggested)
    mail = as_mail(outside.mail, to, ticket, session["ticket"], team=group, level=level)
    try:
        await send_mail(outside.mail, mail)
    except ConnectorRejected as exc:
        log.error("rag.mail.refused", session_id=str(session["id"]), error=exc.message)
    await _note(outside, session, "mailed", {"to": to})


async def _note(outside: Outside, session: DictRow, kind: str, detail: dict[str, Any]) -> None:
    async with connection(outside.pool) as conn:
        await repository.note(conn, session["id"], kind, detail)


async def _tell_agent(outside: Outside, connector: Connector, session: DictRow) -> None:
    async with connection(outside.pool) as conn:
        said = await repository.messages(conn, session["id"])
    for one in _unheard(said):
        note = f"The customer writes in the chat:\n\n{one['text']}"
        key = f"session-{session['id']}-{one['id']}"
        await connector.write(TicketUpdate(key=key, external_id=session["ticket"], note=note))
        async with connection(outside.pool) as conn:
            await repository.set_done(conn, one["id"])


async def _hear_agent(outside: Outside, connector: Connector, session: DictRow) -> None:
    """Public comments of people; internal notes and our own words never."""
    ticket = await connector.fetch(session["ticket"])
    if ticket is None:
        return
    async with connection(outside.pool) as conn, conn.transaction():
        if await repository.lock(conn, session["id"]) is None:  # erased with its ticket meanwhile
            return
        heard = await repository.heard(conn, session["id"])
        for said in (one for one in agent_replies(ticket, session) if one.external not in heard):
            redacted = await outside.redaction.redact({"text": said.text})
            if await repository.say(conn, replace(said, text=redacted.fields["text"])):
                await repository.keep_raw(conn, said.id, said.text, redacted.vault)
        if (news := status_told(ticket, session, heard)) is not None:
            await repository.say(conn, news)
        if ticket.status in ENDED:
            await repository.move(conn, session["id"], SessionState.RESOLVED)
            await repository.note(conn, session["id"], "resolved", {"by": Author.AGENT})
            said = await repository.messages(conn, session["id"])
            if outside.learns is Learning.EVERYTHING:
                await put_case(conn, outside.encoder, session, said)
            elif outside.learns is Learning.APPROVED:
                await draft_case(conn, session, said)


def agent_replies(ticket: Ticket, session: DictRow) -> list[Said]:
    """Each with a name of its own, so that it is told once however often the ticket is read."""
    heard, counts = [], {}
    for comment in ticket.comments:
        if not _is_for_customer(comment, ticket):
            continue
        digest = hashlib.sha256(comment.body.encode()).hexdigest()[:24]
        counts[digest] = counts.get(digest, 0) + 1
        external = f"{ticket.external_id}:{digest}-{counts[digest]}"
        heard.append(Said(uuid7(), session["id"], Author.AGENT, comment.body, external=external))
    return heard


def status_told(ticket: Ticket, session: DictRow, heard: set[str]) -> Said | None:
    """What became of the ticket, each time it is something else; None when there is no news."""
    marks = sorted((one for one in heard if one.startswith(f"{ticket.external_id}:is:")), key=_number)
    is_waiting = ticket.status is Status.OPEN and not (ticket.assignee_id or marks)  # some systems open them so
    text = SOLVED if ticket.status in ENDED else TOLD.get(ticket.status) if ticket.status else None
    if text is None or is_waiting or (marks and marks[-1].endswith(f":{ticket.status}")):
        return None
    external = f"{ticket.external_id}:is:{len(marks) + 1}:{ticket.status}"
    return Said(uuid7(), session["id"], Author.ASSISTANT, text, external=external)


async def _suggest(outside: Outside, said: list[DictRow]) -> Prediction | None:
    return await suggest(outside.router, [one["redacted"] for one in said if one["author"] == Author.USER])


def as_ticket(
    session: DictRow,
    said: list[DictRow],
    group: str | None,
    *,
    suggested: Prediction | None = None,
    before: Sequence[str] = (),
) -> NewTicket:
    """Transcript for everybody; why, and what was found, for the agent alone. `before`: earlier tickets of it."""
    first = next(one["text"] for one in said if one["author"] == Author.USER)
    again = f"-{len(before) + 1}" if before else ""
    follows = f"Follows ticket {before[-1]}, which was solved.\n" if before else ""
    return NewTicket(
        key=f"session-{session['id']}{again}",
        subject=" ".join(first.split())[: min(SUBJECT_MAX_CHARS, 120)] or "Conversation",
        body=transcript(said),
        requester=Requester(email=session["requester"]),
        group=group,
        tags=("pointsman-chat",),
        note=follows + private_note(session, said, suggested),
    )


def transcript(said: list[DictRow]) -> str:
    """What was said, the newest for certain: a system has a longest text."""
    lines, room = [], TRANSCRIPT_MAX_CHARS
    for one in reversed(said):
        line = f"{WHO[Author(one['author'])]}: {one['text']}"
        if len(line) + 2 > room:
            lines.append(f"({len(said) - len(lines)} earlier messages left out)")
            break
        lines.append(line)
        room -= len(line) + 2
    return "\n\n".join(reversed(lines))


def as_delivery(new: NewTicket, connector: str, external_id: str) -> Delivery:
    """
    The news of the ticket that we opened ourselves. Nobody else tells it: the desk sends nothing, and of a system that
    calls it would be our own echo. A system that is polled may tell it too; a ticket is triaged once all the same.
    """
    ticket = Ticket(
        connector=connector,
        external_id=external_id,
        subject=new.subject,
        body=new.body,
        requester=new.requester,
        group=new.group,
        tags=new.tags,
    )
    return Delivery(
        connector=connector,
        delivery_id=new.key,
        kind=DeliveryKind.CREATED,
        external_id=external_id,
        ticket=ticket,
    )


def private_note(session: DictRow, said: list[DictRow], suggested: Prediction | None = None) -> str:
    """Why, what it was about, who might take it, what was asked back or is worth asking, and what was found."""
    answers = [one["answer"] for one in said if one["answer"]]
    evidence = {e["uri"]: e for answer in answers for e in answer["evidence"]}
    lines = [f"Handed over by Pointsman. Reason: {session['reason']}."]
    if suggested is not None and suggested.group:
        lines.append(f"Suggested group: {suggested.group} ({suggested.confidence:.0%}, {suggested.band}).")
    lines += ["", "So far:", summarise(said), ""]
    lines += [f"Asked back: {answer['reply']}" for answer in answers if answer["action"] == Action.CLARIFY]
    if len(evidence) > 1:
        lines.append(f"Worth asking: is it about {' or '.join(one['title'] for one in [*evidence.values()][:3])}?")
    lines += ["Evidence:"] if evidence else ["No evidence was found."]
    lines += [f"- {one['title']} ({one['uri']}), similarity {one['cosine']:.2f}" for one in evidence.values()]
    return "\n".join(lines)


def _number(mark: str) -> int:
    return int(mark.split(":")[-2])


def _is_for_customer(comment: Comment, ticket: Ticket) -> bool:
    return comment.public and comment.author_id not in (OWN_ACTOR, ticket.requester.email, ticket.requester.id, None)


def _unheard(said: list[DictRow]) -> list[DictRow]:
    return [one for one in said if one["author"] == Author.USER and not one["done"]]
