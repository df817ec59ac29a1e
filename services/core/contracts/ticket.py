"""A ticket as any ticketing system knows it, in our words and units (UTC times)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from services.core.contracts.base import Contract

SUBJECT_MAX_CHARS = 1_000
BODY_MAX_CHARS = 1_048_576  # the gateway's default body limit; longer text never arrives


class Priority(StrEnum):
    """Zendesk's four words; connectors translate their own scale at the edge."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Status(StrEnum):
    NEW = "new"
    OPEN = "open"
    PENDING = "pending"
    SOLVED = "solved"
    CLOSED = "closed"
    DELETED = "deleted"


ENDED = frozenset({Status.SOLVED, Status.CLOSED, Status.DELETED})


class Requester(Contract):
    """Who asks. Personal data: kept with the raw text, never sent to a model."""

    id: str | None = None
    name: str | None = None
    email: str | None = None


class Comment(Contract):
    """One message on a ticket, oldest first in `Ticket.comments`."""

    body: str
    public: bool
    author_id: str | None = None
    at: datetime | None = None


class Ticket(Contract):
    """
    The raw ticket: it may hold personal data until `services.core.text.redact` has seen it.

    `external_id` is the id in the customer's system, always a string.
    `group` is the group's name in that system as known to the label catalogue. `status` is None where nothing told it.
    `stamp` is what the system wants back for an optimistic update (Zendesk: `updated_at`, verbatim).
    """

    connector: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    external_id: str = Field(min_length=1, max_length=128)
    subject: str = Field(default="", max_length=SUBJECT_MAX_CHARS)
    body: str = Field(default="", max_length=BODY_MAX_CHARS)
    requester: Requester = Requester()
    status: Status | None = None
    priority: Priority | None = None
    group: str | None = None
    assignee_id: str | None = None
    tags: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    stamp: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Seen(Contract):
    """
    A ticket as it was when something was decided about it: what a person has changed since must stand.

    `stamp` is as in `Ticket.stamp`: while the ticket still carries it, nothing has changed.
    """

    stamp: str | None = None
    group: str | None = None
    priority: Priority | None = None
    status: Status | None = None


class TicketUpdate(Contract):
    """
    What we write back to the customer's system, as one change.

    `key` is the idempotency key (ticket id + stage): writing the same key twice has one effect.
    A field that is None is left as it is. `note` becomes a private note, never customer-visible.
    `seen` guards group and priority, each by itself: what a person has changed since stands, the rest is written.
    """

    key: str = Field(min_length=1, max_length=200)
    external_id: str
    group: str | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    seen: Seen | None = None


class NewTicket(Contract):
    """
    A ticket that we open in the customer's system, once per `key`: a conversation that is handed over to people.

    `body` is what the requester may read (the transcript); `note` is private (why, and the evidence).
    """

    key: str = Field(min_length=1, max_length=190)
    subject: str = Field(min_length=1, max_length=SUBJECT_MAX_CHARS)
    body: str = Field(min_length=1, max_length=BODY_MAX_CHARS)
    requester: Requester = Requester()
    group: str | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
