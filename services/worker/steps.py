"""
The steps of the ticket workflows: each may run more than once, and has one effect.

What a workflow returns is stored by the engine: ids and labels, never ticket text.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import structlog

from services.core.connectors import write_back
from services.core.connectors.port import Connector
from services.core.contracts.decision import Decision
from services.core.contracts.facts import Facts, digests
from services.core.contracts.prediction import Prediction
from services.core.contracts.priority import LabelText, PriorityAnswer, PriorityQuestion
from services.core.contracts.ticket import Priority, Ticket
from services.core.kit import audit
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.errors import (
    ConfigurationInvalid,
    ConnectorRejected,
    ConnectorUnavailable,
    InputInvalid,
    LlmUnavailable,
    NotFound,
    RouterUnavailable,
    UpdateConflict,
)
from services.core.kit.lanes import Lanes
from services.core.llm import ledger
from services.core.llm.metered import MeteredLlm
from services.core.llm.prompted import priority_fallback
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.models.texts import join_text
from services.core.text.redact import Redacted
from services.worker import repository
from services.worker.decide import Gathered, decide, why_left_alone
from services.worker.metrics import DECISION_SECONDS, DECISIONS
from services.worker.notify.announce import LANE
from services.worker.open_tickets import OpenTickets
from services.worker.settings import WorkerSettings

log = structlog.get_logger()

NEWER_MAX = 5  # tellings of one ticket while it is read once; more is left to the step's own retry
LEFT_ALONE = "left alone"
ROUTER_PAUSE_S = 0.5  # doubled each time: a restarted router is back within seconds
Said = Callable[[Ticket], Mapping[str, str]]

DEFAULT_PRIORITIES = tuple(LabelText(name=priority) for priority in Priority)


@dataclass(frozen=True)
class Outside:
    """Everything a step may reach."""

    settings: WorkerSettings
    pool: Pool
    connectors: Mapping[str, Connector]
    redaction: Redaction
    router: RouterClient
    llm: MeteredLlm

    @cached_property
    def lanes(self) -> Lanes:
        """To every system and channel; whoever calls one goes through its lane."""
        return Lanes((*self.connectors, *(LANE + channel for channel in self.settings.notify.channels)))

    @cached_property
    def open_tickets(self) -> OpenTickets:
        return OpenTickets(self.pool)

    def silent(self) -> dict[str, datetime]:
        """The ticketing systems that do not answer, with since when."""
        found = {name: self.lanes.of(name).silent_since() for name in self.connectors}
        return {name: since for name, since in found.items() if since}


def nothing(ticket: Ticket) -> Mapping[str, str]:
    return {}


async def triage(outside: Outside, ticket_id: int, workflow_id: str) -> str:
    """
    Reads, redacts, routes, prioritises and records a new ticket. Returns the band, or LEFT_ALONE.

    Run again, it reads and routes anew, an answer of a model comes from the cache, and what was recorded is recorded
    once.
    """
    ticket, safe = await read_safely(outside, ticket_id)
    why = why_left_alone(ticket, outside.settings.filters) if ticket else "it was erased"
    if why or ticket is None:
        await _leave_alone(outside, ticket_id, why or "it was erased")
        return LEFT_ALONE
    prediction, why_unrouted = await _route(outside, ticket_id, ticket, safe)
    return await decide_and_record(outside, ticket_id, workflow_id, prediction, why_unrouted)


async def refresh(outside: Outside, ticket_id: int) -> None:
    """Redacts and stores the text that a later delivery brought."""
    await read_safely(outside, ticket_id)


async def read_safely(outside: Outside, ticket_id: int, *, said: Said = nothing) -> tuple[Ticket | None, Redacted]:
    """
    The ticket as its system has it now, redacted and stored; None when it was erased.

    Text that came in while the router or the system was waited for is newer than what was read: it is read again,
    never written over. `said` names more fields of the ticket to redact with it.

    Raises:
        UpdateConflict: it kept changing; try again.
    """
    for _ in range(NEWER_MAX):
        async with connection(outside.pool) as conn:
            known = await repository.raw_ticket(conn, ticket_id)
        if known is None:
            return None, Redacted({}, {})
        ticket = await fetch_or_known(outside, known)
        safe = await outside.redaction.redact({"subject": ticket.subject, "body": ticket.body, **said(ticket)})
        async with connection(outside.pool) as conn:
            if await repository.store_redacted(conn, ticket_id, ticket, safe, known=known):
                return ticket, safe
    raise UpdateConflict(f"Ticket {ticket_id} was told anew {NEWER_MAX} times while it was read.")


async def decide_and_record(
    outside: Outside, ticket_id: int, workflow_id: str, prediction: Prediction | None, why_unrouted: str = ""
) -> str:
    """
    Prioritises, decides, and stores decision, review, letters and audit entry in one transaction. Returns the band.
    """
    async with connection(outside.pool) as conn:
        ticket = await repository.redacted(conn, ticket_id)
        catalogue = await repository.catalogue(conn)
    described = next((label for label in catalogue.groups if prediction and label.name == prediction.group), None)
    priorities = catalogue.priorities or DEFAULT_PRIORITIES
    priority = await _prioritise(outside, ticket, described, priorities, workflow_id=workflow_id)
    decision = decide(
        Gathered(
            ticket_id=str(ticket_id),
            prediction=prediction,
            priority=priority,
            groups=catalogue.names(),
            priorities=priorities,
            thresholds=catalogue.thresholds,
            least=catalogue.least_of(prediction),
            shadow=outside.settings.shadow,
            latency_ms=round((datetime.now(UTC) - ticket["created_at"]).total_seconds() * 1000, 1),
            why_unrouted=why_unrouted,
        )
    )
    await _record(outside, ticket, decision, workflow_id)
    return decision.band


async def fetch_or_known(outside: Outside, known: Ticket) -> Ticket:
    """
    The ticket as its system has it now, or as the webhook brought it where the system cannot be asked.

    Raises:
        ConnectorUnavailable: the system does not answer, and the webhook brought no text to go on with.
    """
    connector = outside.connectors.get(known.connector)
    has_text = bool(known.subject or known.body)
    try:
        fetched = await fetch(outside, connector, known.external_id) if connector else None
    except (NotFound, ConnectorRejected, ConnectorUnavailable) as exc:
        if isinstance(exc, ConnectorUnavailable) and not has_text:
            raise
        log.warning("worker.ticket.not_fetched", connector=known.connector, error=type(exc).__name__)
        fetched = None
    if fetched is None or (has_text and not (fetched.subject or fetched.body)):
        return known
    return fetched


async def fetch(outside: Outside, connector: Connector, external_id: str) -> Ticket | None:
    """In the system's lane; raises as `Connector.fetch`."""
    return await outside.lanes.of(connector.name).ask(lambda: connector.fetch(external_id))


async def _leave_alone(outside: Outside, ticket_id: int, why: str) -> None:
    """Marks a ticket as filtered, with the reason in the audit log."""
    async with connection(outside.pool) as conn, conn.transaction():
        if await repository.leave_alone(conn, ticket_id):
            entry = audit.Entry("worker", "ticket.filtered", f"ticket/{ticket_id}", {"why": why})
            await audit.append(conn, entry)


async def _route(outside: Outside, ticket_id: int, ticket: Ticket, safe: Redacted) -> tuple[Prediction | None, str]:
    """The prediction, or None with the reason a person is needed: never a guess presented as a decision."""
    text = join_text(safe.fields["subject"], safe.fields["body"])
    try:
        return await _ask_router(outside, text, _facts(ticket, await outside.open_tickets.count())), ""
    except (RouterUnavailable, InputInvalid) as exc:
        log.error("worker.step.failed", step="route", ticket_id=ticket_id, error=type(exc).__name__)
        return None, "The router did not answer; a person decides."


def _facts(ticket: Ticket, queue: int | None) -> Facts:
    """The same words as `services.trainer.repository` learns from."""
    categories = {"channel": ticket.connector, **digests(ticket.metadata)}
    return Facts(opened_at=ticket.created_at, queue=queue, categories=categories)


async def _ask_router(outside: Outside, text: str, facts: Facts) -> Prediction:
    pause_s, left_s = ROUTER_PAUSE_S, outside.settings.router_patience_s
    while True:
        try:
            return (await outside.router.predict(text, facts=facts))[0]
        except RouterUnavailable:
            if pause_s > left_s:
                raise
        await asyncio.sleep(pause_s)
        pause_s, left_s = pause_s * 2, left_s - pause_s


async def _prioritise(
    outside: Outside,
    ticket: Mapping[str, Any],
    group: LabelText | None,
    priorities: tuple[LabelText, ...],
    *,
    workflow_id: str,
) -> PriorityAnswer | None:
    """By the model, or by rules when it does not answer; None for a ticket whose text could not be read."""
    if ticket["subject"] is None:
        return None
    ticket_id = str(ticket["id"])
    question = PriorityQuestion(
        ticket_id=ticket_id, subject=ticket["subject"], body=ticket["body"], group=group, labels=priorities
    )
    try:
        origin = ledger.Origin(ticket_id, workflow_id, "priority")
        return (await outside.llm.prioritise(question, origin)).answer
    except (LlmUnavailable, ConfigurationInvalid) as exc:  # also a refused key: the ticket must go on
        log.error("worker.priority.fell_back", error=type(exc).__name__)
        return priority_fallback(question, "the model did not answer")
    except InputInvalid as exc:  # a catalogue without a usable priority: the group is still worth having
        log.error("worker.priority.fell_back", error=type(exc).__name__)
        return None


async def _record(outside: Outside, ticket: Mapping[str, Any], decision: Decision, workflow_id: str) -> None:
    async with connection(outside.pool) as conn, conn.transaction():
        if not await repository.record(conn, decision, workflow_id):
            return
        await _put_letter(conn, ticket, decision)
        await audit.append(conn, _decision_entry(decision, ticket))
    DECISIONS.labels(decision.group or "none", decision.band).inc()
    DECISION_SECONDS.observe(decision.latency_ms / 1000)
    log.info("worker.ticket.decided", ticket_id=ticket["id"], band=decision.band, latency_ms=decision.latency_ms)


async def _put_letter(conn: Connection, ticket: Mapping[str, Any], decision: Decision) -> None:
    about = repository.about(ticket)
    update = write_back.automatic(decision, about)
    if update is not None:
        await write_back.put(conn, update, about)


def _decision_entry(decision: Decision, ticket: Mapping[str, Any]) -> audit.Entry:
    """`input_sha256`: of the redacted text that the models were given, so that what was decided upon can be shown."""
    detail = decision.model_dump(mode="json", exclude={"ticket_id", "priority_reason", "summary", "latency_ms"})
    read = join_text(ticket["subject"] or "", ticket["body"] or "")
    detail["input_sha256"] = hashlib.sha256(read.encode("utf-8", "surrogatepass")).hexdigest()
    return audit.Entry("worker", "ticket.decided", f"ticket/{decision.ticket_id}", detail)
