"""
Where a system keeps what a ticket and a comment have: paths into its JSON, declared once, read leniently.

What needs the system's own words (status, priority, group) a connector reads itself and passes in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.core.connectors import lenient
from services.core.connectors.writing import unmarked
from services.core.contracts.ticket import Comment, Requester, Ticket
from services.core.kit.errors import ConnectorUnavailable

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class TicketFields:
    """Each is a path, its parts joined by `/`; an empty one is not there."""

    connector: str
    id: str
    subject: str
    body: str = ""
    created: str = ""
    updated: str = ""
    assignee: str = ""
    tags: str = ""
    stamp: str = ""
    requester_id: str = ""
    requester_name: str = ""
    requester_email: str = ""

    def read(self, raw: Raw, **ours: Any) -> Ticket:
        """The ticket; `ours` are the fields that the connector has read itself, and replace what is declared."""
        raw = lenient.storable(dict(raw), system=self.connector)
        declared: dict[str, Any] = {
            "external_id": lenient.text(at(raw, self.id)),
            "subject": lenient.subject(at(raw, self.subject)),
            "body": lenient.long_text(at(raw, self.body)),
            "requester": Requester(
                id=lenient.optional_id(at(raw, self.requester_id)),
                name=lenient.text(at(raw, self.requester_name)) or None,
                email=lenient.text(at(raw, self.requester_email)) or None,
            ),
            "assignee_id": lenient.optional_id(at(raw, self.assignee)),
            "tags": lenient.tags(at(raw, self.tags)),
            "created_at": lenient.time(at(raw, self.created)),
            "updated_at": lenient.time(at(raw, self.updated)),
            "stamp": lenient.text(at(raw, self.stamp)) or None,
        }
        return Ticket(connector=self.connector, **declared | ours)

    def changed_at(self, ticket: Ticket) -> datetime:
        """When it changed last; raises as `changed_at`."""
        return changed_at(ticket, self.updated)


@dataclass(frozen=True)
class CommentFields:
    """As `TicketFields`; our mark is taken off the words."""

    body: str
    author: str
    created: str

    def read(self, raw: Raw, *, public: bool, author_id: str | None) -> Comment:
        """`author_id` is `Connector.author` of `who(raw)`."""
        body = unmarked(lenient.long_text(at(raw, self.body)))
        return Comment(body=body, public=public, author_id=author_id, at=lenient.time(at(raw, self.created)))

    def who(self, raw: Raw) -> Any:
        return at(raw, self.author)


def changed_at(ticket: Ticket, field: str) -> datetime:
    """
    When it changed last: every ticket of every list says so, in `field`.

    Raises:
        ConnectorUnavailable: this one does not, so no position can be behind it.
    """
    if ticket.updated_at is None:
        raise ConnectorUnavailable(
            f"{ticket.connector} tells no usable {field} of ticket {ticket.external_id}; without it nothing can be "
            "heard after it. Look whether our user may read that field."
        )
    return ticket.updated_at


def at(raw: Raw, path: str) -> Any:
    """What lies at the path; None where it leads nowhere."""
    found: Any = raw if path else None
    for part in path.split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
