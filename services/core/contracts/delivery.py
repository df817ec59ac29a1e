"""One event of a webhook call, parsed: what happened to which ticket, and the key it is deduplicated by."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.ticket import Comment, Ticket


class DeliveryKind(StrEnum):
    CREATED = "created"
    ASSIGNED = "assigned"
    SOLVED = "solved"
    COMMENTED = "commented"  # somebody wrote on it, publicly or not; starts no workflow
    UPDATED = "updated"  # noted on the ticket; starts no workflow
    DELETED = "deleted"
    ERASED = "erased"  # Zendesk's permanently_deleted: the ticket's text must go
    IGNORED = "ignored"  # our own echo, or an event type we do not use; `why_ignored` says which


class Delivery(Contract):
    """
    `delivery_id` is unique per connector: the same id twice is the same event twice.
    `ticket` holds what the call itself carried, at least the ticket's id; the workflow fetches the rest. `comment` is
    what was written, where the call carries it.
    `content_sha256` is of what it says, its times left out, where the sender gave the call this id and signed it: the
    id with other content is refused.
    """

    connector: str
    delivery_id: str = Field(min_length=1, max_length=200)
    kind: DeliveryKind
    external_id: str = Field(min_length=1, max_length=128)
    ticket: Ticket
    comment: Comment | None = None
    actor_id: str | None = None
    occurred_at: datetime | None = None
    why_ignored: str | None = None
    content_sha256: str | None = None
