"""
The one port every ticketing system is spoken to through.

A connector subclasses `Connector`, says what its system can (`can`), how its calls prove themselves (`door`), and
supplies the calls. What must hold for all of them lives here and in `hearing`, `writing` and `polling`: delivery keys,
the loop guard, one effect per key, people's changes that stand. `design/guides/connectors.md` shows how.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Flag, auto
from typing import Any
from urllib.parse import urlsplit

from services.core.connectors import hearing, lenient, writing
from services.core.connectors.door import Call, Door
from services.core.connectors.hearing import OWN_ACTOR, Told, Unusable
from services.core.connectors.polling import Changed, Position
from services.core.connectors.settings import ConnectorSettings
from services.core.connectors.writing import (
    AS_OURS,
    Change,
    Names,
    Opened,
    Pause,
    Priorities,
    Standing,
    WriteResult,
)
from services.core.contracts.delivery import Delivery
from services.core.contracts.ticket import NewTicket, Ticket, TicketUpdate
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, SignatureInvalid


class Can(Flag):
    """
    What a system can do; the conformance suite asks for all of it and for no more.

    FIELDS: group, priority and status are the ticket's own, and people change them there. NOTES: private notes stay on
    it. Without these two a write is a message to the group. ATOMIC: fields and note take effect in one call. GUARDED:
    it refuses a write to a ticket that changed since it was read, so two writers at one moment have one effect. GROUPS:
    it has groups of its own and refuses any other. TAGS: our tags join people's. FETCH is needed for WRITE, unless
    `write` is the connector's own.
    """

    FETCH = auto()
    WRITE = auto()
    FIELDS = auto()
    NOTES = auto()
    ATOMIC = auto()
    GUARDED = auto()
    GROUPS = auto()
    TAGS = auto()
    OPEN = auto()
    POLL = auto()
    USUAL = FETCH | WRITE | FIELDS | NOTES


class Connector:
    """
    One ticketing system.

    The first half is for the gateway and the worker and is not overridden. The second half is what a connector
    supplies: as much of it as `can` promises.
    """

    name: str  # as in /hooks/<name>
    system: str  # as people write it
    can: Can
    door: Door | None = None
    own_actors: frozenset[str] = frozenset()  # our user's ids and addresses there, lower case
    priorities: Priorities = AS_OURS
    pause: Pause = staticmethod(asyncio.sleep)
    finds_after_s: float = 0  # how far `find` is behind `create`
    heard_after_s: float = 0  # how far `changes` is behind what people do

    def __init__(self, settings: ConnectorSettings) -> None:
        self.settings = settings
        self._names = Names()
        self._created_at_s: dict[str, float] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def notes_apart(self) -> bool:
        return Can.ATOMIC not in self.can

    def verify(self, call: Call, *, now: datetime) -> None:
        """
        Accepts the call or raises; compares in constant time and looks at nothing but headers, address and raw bytes.

        Raises:
            SignatureInvalid: not signed by a secret we know. SignatureStale: signed too long ago, or in the future.
        """
        if self.door is None:
            raise SignatureInvalid(f"{self.system} does not call; it is polled.")
        settings = self.settings
        self.door.verify(self._as_signed(call), settings.secrets, now=now, tolerance_s=settings.tolerance_s)

    def parse(self, call: Call) -> Sequence[Delivery | Unusable]:
        """
        What happened to which tickets, event by event; lenient about everything that is not needed.

        Raises:
            PayloadInvalid: nothing can be told from the call at all.
        """
        return hearing.hear(self, call)

    async def write(self, update: TicketUpdate) -> WriteResult:
        """
        Carries a letter out: once per `update.key` however often it is called, read back after it is made.

        Raises:
            ConnectorUnavailable: not known whether it took effect; call again with the same key.
            UpdateConflict: the ticket kept changing under us; call again with the same key.
            ConnectorRejected: the system refused for good.
        """
        if Can.WRITE not in self.can:
            return WriteResult("unwritable")
        if Can.GUARDED in self.can:
            return await writing.write_once(self, update, self._names, self.pause)
        async with self._alone(update.external_id):
            return await writing.write_once(self, update, self._names, self.pause)

    async def fetch(self, external_id: str) -> Ticket | None:
        """
        The whole ticket with its comments; None when this system cannot be asked.

        Raises:
            NotFound, ConnectorUnavailable, ConnectorRejected
        """
        return await self.read(external_id) if Can.FETCH in self.can else None

    async def open(self, new: NewTicket) -> Opened:
        """Opens a ticket with its private note: one per `new.key` however often it is called; raises as `write`."""
        if Can.OPEN not in self.can:
            raise ConnectorRejected(f"{self.system}, as it is configured here, opens no tickets. See its guide.")
        async with self._alone(new.key):
            return await writing.open_once(self, new, self._names, self.pause)

    def about_to_create(self, key: str) -> None:
        """
        Raises:
            ConnectorUnavailable: an attempt of a moment ago may have succeeded, and cannot be found yet.
        """
        wait_s = self._created_at_s.get(key, float("-inf")) + self.finds_after_s - time.monotonic()
        if wait_s > 0:
            raise ConnectorUnavailable(
                f"{self.system} may be opening this ticket already, and does not show it yet.", retry_after_s=wait_s
            )
        if self.finds_after_s:
            oldest = time.monotonic() - self.finds_after_s
            self._created_at_s = {k: at for k, at in self._created_at_s.items() if at > oldest} | {
                key: time.monotonic()
            }

    # What a connector supplies.

    def events(self, call: Call) -> Sequence[Any]:
        """The events in a call: one JSON object, unless a system bundles them. Raises PayloadInvalid."""
        return [lenient.read_object(call.body, system=self.name)]

    def understand(self, event: Any, call: Call) -> Told:
        """What one event says. Raises PayloadInvalid."""
        raise NotImplementedError

    async def read(self, external_id: str) -> Ticket:
        """The whole ticket with its comments, our own signed `OWN_ACTOR` (FETCH). Raises as `fetch`."""
        raise NotImplementedError

    async def standing(self, external_id: str, key: str) -> Standing:
        """The ticket at this moment, and whether the mark of `key` is on it. Raises as `fetch`."""
        raise NotImplementedError

    async def groups(self) -> Mapping[str, str] | None:
        """Group names to ids; None where the name is the id."""
        return None

    async def save(self, change: Change, standing: Standing) -> str | None:
        """
        Sets the fields; where the system is ATOMIC also note and mark, in the same call. The stamp it has now, if told.

        Raises:
            UpdateConflict: the ticket is no longer as in `standing` (GUARDED).
        """
        raise NotImplementedError

    async def note(self, change: Change) -> None:
        """Adds the private note together with its mark, in one call (not ATOMIC)."""
        raise NotImplementedError

    async def find(self, key: str) -> str | None:
        """The ticket that was opened under this key (OPEN)."""
        raise NotImplementedError

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        """Opens a ticket that `find` finds from now on; its id (OPEN)."""
        raise NotImplementedError

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        """The next tickets that changed after the position and not after `until`, in order; none at the end (POLL)."""
        raise NotImplementedError

    def ticket_url(self, external_id: str) -> str | None:
        """Where an agent opens the ticket."""
        return None

    def author(self, *known_as: Any) -> str | None:
        """Who wrote a comment, for `Comment.author_id`: `OWN_ACTOR` where one of the names is ours."""
        names = [name for name in map(lenient.optional_id, known_as) if name]
        is_ours = any(name.lower() in self.own_actors for name in names)
        return OWN_ACTOR if is_ours else names[0] if names else None

    def _as_signed(self, call: Call) -> Call:
        """With the address as the system knows it: a proxy may have changed what reached us."""
        if self.settings.hook_url is None:
            return call
        query = urlsplit(call.url).query
        url = self.settings.hook_url + (f"?{query}" if query else "")
        return Call(call.headers, call.body, call.method, url)

    def _alone(self, what: str) -> asyncio.Lock:
        """One writer at a time in this process; between processes the outbox leases a letter to one."""
        if len(self._locks) > LOCKS_MAX:
            self._locks = defaultdict(asyncio.Lock, {k: lock for k, lock in self._locks.items() if lock.locked()})
        return self._locks[what]


LOCKS_MAX = 10_000
