"""One webhook call, parsed: what happened to which ticket, and the sender's id for deduplication."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.ticket import Ticket


class DeliveryKind(StrEnum):
    CREATED = "created"
    ASSIGNED = "assigned"
    SOLVED = "solved"
    UPDATED = "updated"  # noted on the ticket; starts no workflow
    DELETED = "deleted"
    ERASED = "erased"  # Zendesk's permanently_deleted: the ticket's text must go
    IGNORED = "ignored"  # our own echo, or an event type we do not use; `why_ignored` says which


class Delivery(Contract):
    """
    `delivery_id` is unique per connector: the same id twice is the same call twice.
    `ticket` holds what the call itself carried; the workflow fetches the rest.
    """

    connector: str
    delivery_id: str = Field(min_length=1, max_length=200)
    kind: DeliveryKind
    external_id: str = Field(min_length=1, max_length=128)
    ticket: Ticket | None = None
    actor_id: str | None = None
    occurred_at: datetime | None = None
    why_ignored: str | None = None
