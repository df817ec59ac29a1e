"""
The one port every ticketing system is spoken to through.

It knows our contracts and nothing of any vendor. What a new connector must pass is
`tests/services/core/connectors/conformance.py`; how to write one is `design/guides/connectors.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from services.core.contracts.delivery import Delivery
from services.core.contracts.ticket import Ticket, TicketUpdate

OWN_ACTOR = "pointsman"  # how our writes are signed where a system lets us choose the author's name and tag


@dataclass(frozen=True)
class WriteResult:
    """
    What became of one update.

    `written`: it took effect now. `already`: it had taken effect before, nothing was done.
    `unwritable`: the system cannot be written to; the decision stays with us.
    `stamp` is the ticket's state after the write, as in `Ticket.stamp`; `url` is for people.
    """

    status: Literal["written", "already", "unwritable"]
    stamp: str | None = None
    url: str | None = None


class Connector(Protocol):
    """One ticketing system. `headers` come with lower-case names; the caller has limited the body's size."""

    @property
    def name(self) -> str: ...

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """
        Accept the call or raise; compares in constant time and looks at nothing but headers and raw bytes.

        Raises:
            SignatureInvalid: not signed by a secret we know.
            SignatureStale: signed, but too long ago or in the future.
        """
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """
        What happened to which ticket; lenient about everything that is not needed.

        Raises:
            PayloadInvalid: no ticket can be told from it.
        """
        ...

    async def fetch(self, external_id: str) -> Ticket | None:
        """
        The full ticket with its comments; None when this system cannot be asked.

        Raises:
            NotFound: the system has no such ticket.
            ConnectorUnavailable: try again later.
            ConnectorRejected: it will not answer us, for good.
        """
        ...

    async def write(self, update: TicketUpdate) -> WriteResult:
        """
        One atomic change, once per `update.key` however often it is called, read back after it is made.

        Raises:
            ConnectorUnavailable: not known whether it took effect; call again with the same key.
            UpdateConflict: the ticket kept changing under us; call again with the same key.
            ConnectorRejected: the system refused for good.
        """
        ...
