"""How the API's longer answers read: a ticket with everything that happened to it, reviews, counts, what failed."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from services.core.contracts.decision import Decision


class Told(BaseModel):
    """A delivery that told of the ticket."""

    kind: str
    delivery_id: str
    received_at: datetime


class Review(BaseModel):
    """Why a person was asked, and the answer."""

    reason: str
    state: Literal["open", "accepted", "corrected", "no_group", "not_a_ticket"]
    group: str | None
    answers: int
    closed_by: str | None
    opened_at: datetime
    closed_at: datetime | None


class Label(BaseModel):
    """Where the ticket really belonged, and who said so."""

    group: str
    source: Literal["close", "review", "feedback"]
    by: str | None
    at: datetime


class Note(BaseModel):
    """What was written for agents: the summary of a solved ticket, or tickets like this one."""

    kind: str
    body: dict[str, Any]
    at: datetime


class Letter(BaseModel):
    """One effect on the ticketing system or the event sink, and what became of it."""

    id: int
    key: str
    kind: str
    state: str
    attempts: int
    last_error: str | None
    result: str | None
    created_at: datetime
    settled_at: datetime | None


class ModelCall(BaseModel):
    """`usd` is None where no price is known for the model."""

    task: str
    model: str
    prompt_version: str | None
    input_tokens: int
    output_tokens: int
    usd: float | None
    outcome: str
    at: datetime


class AuditEntry(BaseModel):
    """An entry of the hash chain; `seq` and `hash` are None until it is linked into it."""

    seq: int | None
    at: datetime
    actor: str
    action: str
    detail: dict[str, Any]
    hash: str | None


class TicketDetail(BaseModel):
    """One ticket and all that happened to it. Text is the redacted one; None before that and after an erasure."""

    id: str
    connector: str
    external_id: str
    status: str
    state: Literal["received", "triaged", "filtered", "erased"]
    language: str | None
    subject: str | None
    body: str | None
    current_group: str | None
    created_at: datetime
    updated_at: datetime
    deliveries: list[Told]
    decisions: list[Decision]
    review: Review | None
    labels: list[Label]
    notes: list[Note]
    outbox: list[Letter]
    model_calls: list[ModelCall]
    audit: list[AuditEntry]


class NearTicket(BaseModel):
    """A past ticket that reads alike, and where it was closed; `score` is a cosine."""

    external_id: str
    title: str
    group: str | None
    score: float


class ProposedGroup(BaseModel):
    """One of the first three: `words` are those without which it would be less likely."""

    group: str
    probability: float
    words: list[str]
    near: list[NearTicket]


class OpenReview(BaseModel):
    """
    A ticket that waits for a person. `mark` names what was read: sent along, an answer is refused when that changed.

    `proposals` have no words and `near` is empty until the worker has explained the ticket. `alike`: how many others
    wait that read like it.
    """

    id: str
    connector: str
    external_id: str
    subject: str | None
    body: str | None
    reason: str
    opened_at: datetime
    decision: Decision | None
    mark: str
    proposals: list[ProposedGroup]
    near: list[NearTicket]
    alike: int


class AlikeTicket(BaseModel):
    """A waiting ticket that reads like another; `mark` as in OpenReview."""

    id: str
    subject: str | None
    score: float
    mark: str


class Counts(BaseModel):
    """How much of everything there is. `bands`: tickets by their newest decision."""

    tickets: int
    waiting: int
    reviews_open: int
    outbox_pending: int
    dead_letters: int
    workers: int
    model_version: str | None
    bands: dict[str, int]


class DeadLetter(BaseModel):
    """A letter or a workflow that failed for good; `id` replays it."""

    id: str
    kind: str
    ticket_id: str | None
    connector: str | None
    attempts: int | None
    why: str | None
    since: datetime


class WaitingLetter(BaseModel):
    """A letter that has failed and is tried again at `due_at`; it waits for its system, however long."""

    id: str
    kind: str
    ticket_id: str | None
    connector: str | None
    attempts: int
    why: str
    since: datetime
    due_at: datetime
