"""
What the conformance suite is told about a connector; its claims are in inbound.py, outbound.py and polling.py.

A new connector subclasses `Inbound`, `Outbound` and `Polling`; design/guides/connectors.md shows how. `Inbound` needs a
`Sender`: what the system's events look like; signing, rightly and in every wrong way, follows from the connector's own
door. The other two need a `System`: the running system or an honest double. What a system cannot do, its connector says
(`can`), and the suite asks for no more: nothing there is overridden.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import pytest
from pydantic import SecretStr

from services.core.connectors.door import Call, Shared, Signed
from services.core.connectors.hearing import MARKER_PREFIX
from services.core.connectors.port import Can, Connector
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import NewTicket, Requester, Seen, Ticket, TicketUpdate

NOW = datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC)
SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LW9uZQ==")
NEXT_SECRET = SecretStr("whsec_" + "cG9pbnRzbWFuLXRlc3Qtc2VjcmV0LXR3bw==")
OTHER_SECRET = SecretStr("whsec_" + "YS1zZWNyZXQtb2Ytc29tZWJvZHktZWxzZQ==")
BOTH = (SECRET, NEXT_SECRET)
TOLERANCE_S = 300
URL = "https://pointsman.example.com/hooks/system?a=1"


@dataclass(frozen=True)
class Sender:
    """
    The sending side of one connector, which knows SECRET and NEXT_SECRET.

    `event` makes one event of its kind from ticket fields (`id`, `subject`, `status`, `priority`, ...). `kinds`: those
    the system tells. `is_thin`: an event carries the ticket's id and little else. `bundle` makes the body of a call
    from several events, where the system bundles them.
    """

    connector: Connector
    event: Callable[[DeliveryKind, Mapping[str, Any]], Any]
    kinds: frozenset[DeliveryKind] = frozenset(DeliveryKind) - {DeliveryKind.IGNORED}
    is_thin: bool = False
    bundle: Callable[[list[Any]], Any] | None = None

    @property
    def door(self) -> Signed | Shared:
        assert isinstance(self.connector.door, Signed | Shared)
        return self.connector.door

    def payload(self, kind: DeliveryKind = DeliveryKind.CREATED, **fields: Any) -> Any:
        event = self.event(kind, {"id": "17", "subject": "Printer on fire", **fields})
        return self.bundle([event]) if self.bundle else event

    def body(self, kind: DeliveryKind = DeliveryKind.CREATED, **fields: Any) -> bytes:
        return json.dumps(self.payload(kind, **fields)).encode()

    def signed(self, body: bytes, *, now: datetime = NOW, secret: SecretStr = SECRET, id: str = "d-1") -> Call:
        bare = Call({}, body, "POST", URL)
        return Call(self.door.sign(secret, bare, delivery_id=id, now=now), body, "POST", URL)

    def forged(self, body: bytes, content: str, *, swap_form: bool = False, timestamp: str | None = None) -> Call:
        """A call whose signature the right secret made, but of `content` or in the other form; not by our own code."""
        door = self.door
        assert isinstance(door, Signed)
        headers = dict(self.signed(body).headers)
        if door.timestamp_header and timestamp is not None:
            headers[door.timestamp_header] = timestamp
        texts = {"timestamp": headers.get(door.timestamp_header or "", ""), "id": headers.get(door.id_header or "", "")}
        signed = content.format(**texts, method="POST", url=URL, body="\0").encode().replace(b"\0", body)
        digest = hmac.new(door.key_of(SECRET), signed, getattr(hashlib, door.algorithm)).digest()
        is_hex = (door.form == "hex") != swap_form
        headers[door.signature_header] = door.prefix + (digest.hex() if is_hex else base64.b64encode(digest).decode())
        return Call(headers, body, "POST", URL)


FAULTS = ("rate_limited", "server_error", "hang", "hang_after_effect", "break_after_effect", "connection_killed")


class System(Protocol):
    """
    A running ticketing system, or its honest double.

    `faults`: which of FAULTS it can have. A group named Billing and one named Support exist there.
    """

    connector: Connector
    faults: Sequence[str]

    def another(self) -> Connector:
        """A second instance, as another worker has it."""
        ...

    async def open_ticket(self) -> str:
        """A fresh ticket's id, without group and priority; a made-up one where the system cannot be asked."""
        ...

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        """
        The write call after the next `skip` meets `fault`; `rate_limited` says Retry-After: 7, the others speak for
        themselves. Where a call may take long, `connector` is more impatient from now on: a hang costs its time-out.
        """
        ...

    async def is_struck(self) -> bool:
        """Whether the fault has happened."""
        ...

    async def notes(self, external_id: str) -> list[str]:
        """Every private note that took effect on the ticket, as the system itself knows them."""
        ...

    async def person_changes(self, external_id: str, **fields: str) -> None:
        """Somebody sets `group` or `priority` (our words), `status` solved, or adds a `comment`."""
        ...


HANDED_OVER = NewTicket(
    key="conversation/7", subject="Refund for order 100", body="Ana: where is my refund?", note="asked for a person",
    requester=Requester(name="Ana", email="ana@example.com"), tags=("handed-over",),
)  # fmt: skip


def handed_over() -> NewTicket:
    """As above, under a key and a subject that nobody had before: a real system keeps what other tests have opened."""
    number = uuid4().hex
    return HANDED_OVER.model_copy(update={"key": f"conversation/{number}", "subject": f"Refund {number}"})


def later(system: System, seconds: float) -> None:
    """So much later, where the system is a double: it has a clock of its own. A real one is waited for by nobody."""
    clock = getattr(system, "clock", None)
    assert clock is not None or not seconds, "a connector that says it is behind needs a double with a clock"
    if clock is not None:
        clock.at += timedelta(seconds=seconds)


def needs(system: System, *abilities: Can) -> None:
    """Skips what the system cannot do."""
    for ability in abilities:
        if ability not in system.connector.can:
            pytest.skip(f"this system cannot {ability.name}")


def letter(external_id: str, **fields: Any) -> TicketUpdate:
    """A route; fields that are given replace its own."""
    given = {"key": f"{external_id}/route", "group": "Billing", "priority": "high", "note": "because"}
    return TicketUpdate.model_validate(given | {"external_id": external_id, "tags": ("routed",)} | fields)


async def seen_now(system: System, external_id: str) -> Seen:
    """The ticket as a decision about it would see it."""
    needs(system, Can.FETCH)
    ticket = await shown(system, external_id)
    return Seen(stamp=ticket.stamp, group=ticket.group, priority=ticket.priority, status=ticket.status)


async def notes(system: System, external_id: str) -> list[str]:
    """The notes on the ticket without the mark that some systems keep in them."""
    return [note.partition(f"\n\n[{MARKER_PREFIX}")[0] for note in await system.notes(external_id)]


async def shown(system: System, external_id: str) -> Ticket:
    ticket = await system.connector.fetch(external_id)
    assert ticket is not None
    return ticket
