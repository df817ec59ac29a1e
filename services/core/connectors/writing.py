"""
The one way a letter takes effect in a ticketing system, whatever that system can and cannot do.

Look for our mark; compare with what was seen when the letter was decided; change; note; read back. The mark goes in
with the last call, so an attempt that is killed in between leaves none, and the next one completes it: setting a field
twice is setting it once. What a person changed in the meantime stands, field by field, and the rest is written
(design/adr/0201-a-field-at-a-time.md).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from services.core.connectors.hearing import MARKER_PREFIX
from services.core.contracts.ticket import ENDED, NewTicket, Priority, Status, TicketUpdate
from services.core.kit.errors import ConnectorRejected, NotFound, UpdateConflict

CONFLICT_ATTEMPTS = 4  # within one write; after that the letter waits longer
SETTLE_ATTEMPTS = 3
NAMES_MAX_AGE_S = 300  # a renamed group is known five minutes later; a new one at once (see Names)
NAMES_SHOWN_MAX = 20

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class WriteResult:
    """
    What became of one update.

    `written`: it took effect now, but for what `why` names, which a person had changed. `already`: it had taken effect
    before. `superseded`: a person was faster, nothing was done, `why` says what they changed. `unwritable`: the system
    cannot be written to; the decision stays with us.
    `stamp` is the ticket's state after the write, as in `Ticket.stamp`; `url` is for people.
    """

    status: Literal["written", "already", "superseded", "unwritable"]
    stamp: str | None = None
    url: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Opened:
    """A ticket opened under a key; `was_known`: it had been opened before."""

    external_id: str
    url: str | None = None
    was_known: bool = False


@dataclass(frozen=True)
class Standing:
    """
    A ticket as its system has it at this moment.

    `is_marked`: the letter's mark is on it. `is_locked`: it takes no change any more. `settles_in_s`: a change in this
    moment could not be told from the last one; read again after so long. `raw` comes back with `save`.
    """

    group: str | None
    priority: Priority | None
    status: Status | None
    is_marked: bool
    stamp: str | None = None
    is_locked: bool = False
    settles_in_s: float = 0
    raw: Any = None


@dataclass(frozen=True)
class Change:
    """
    What to change. `group_id` is what `groups()` names `group`; None leaves it. `mark` belongs where it can be found:
    a tag, or `marked_note`, the note with the mark in its last line.
    """

    key: str
    external_id: str
    group: str | None = None
    group_id: str | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None

    @property
    def mark(self) -> str:
        return mark_of(self.key)

    @property
    def marked_note(self) -> str:
        return marked(self.note or "", self.key)


@dataclass(frozen=True)
class Priorities:
    """Our four priorities in a system's words. Where two are one word there, the higher is what it shows."""

    words: Mapping[Priority, Any]

    def word(self, priority: Priority | None) -> Any:
        """None for None: nothing is to be set."""
        return None if priority is None else self.words[priority]

    def read(self, word: Any) -> Priority | None:
        """None where it is none of the words."""
        return next((ours for ours in reversed(Priority) if self.words[ours] == word), None)

    def shown(self, priority: Priority | None) -> Priority | None:
        """What is read back where this one was written."""
        return self.read(self.word(priority))


AS_OURS = Priorities({priority: priority for priority in Priority})


class Hands(Protocol):
    """What a connector supplies to be written through."""

    @property
    def priorities(self) -> Priorities: ...

    @property
    def system(self) -> str: ...

    @property
    def notes_apart(self) -> bool: ...

    async def standing(self, external_id: str, key: str) -> Standing: ...

    async def groups(self) -> Mapping[str, str] | None: ...

    async def save(self, change: Change, standing: Standing) -> str | None: ...

    async def note(self, change: Change) -> None: ...

    def ticket_url(self, external_id: str) -> str | None: ...


@dataclass
class Names:
    """Group names to the system's ids, remembered; an unknown name is looked up afresh once."""

    ids: Mapping[str, str] = field(default_factory=dict)
    read_at_s: float = float("-inf")

    async def id_of(self, name: str, hands: Hands) -> str:
        """
        Raises:
            ConnectorRejected: the system has no such group; names those it has.
        """
        if name not in self.ids or time.monotonic() - self.read_at_s > NAMES_MAX_AGE_S:
            found = await hands.groups()
            if found is None:
                return name
            self.ids, self.read_at_s = found, time.monotonic()
        if name in self.ids:
            return self.ids[name]
        shown = sorted(self.ids)[:NAMES_SHOWN_MAX]
        raise ConnectorRejected(
            f"Group {name!r} does not exist in {hands.system}. It has: {', '.join(shown)}"
            f"{' ...' if len(self.ids) > len(shown) else ''}. Create it there or correct the label catalogue."
        )


def mark_of(key: str) -> str:
    """What says that this update has taken effect. 48 bits: a ticket carries a handful of them."""
    return MARKER_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:12]


def marked(text: str, key: str) -> str:
    """The text with the mark of `key` in its last line."""
    return f"{text}\n\n[{mark_of(key)}]".lstrip()


def unmarked(text: str) -> str:
    """The text without the mark that `marked` put in its last line."""
    before, found, _ = text.rpartition(f"[{MARKER_PREFIX}")
    return before.rstrip() if found else text


async def write_once(hands: Hands, update: TicketUpdate, names: Names, pause: Pause) -> WriteResult:
    """
    One effect per key.

    Raises:
        ConnectorUnavailable, UpdateConflict: call again with the same key. ConnectorRejected: refused for good.
    """
    update = update.model_copy(update={"priority": hands.priorities.shown(update.priority)})
    for _ in range(CONFLICT_ATTEMPTS):
        standing = await _settled(hands, update, pause)
        if standing.is_marked:
            return WriteResult("already", standing.stamp, hands.ticket_url(update.external_id))
        left = what_stands(update, standing)
        if why := why_superseded(update, standing, left):
            return WriteResult("superseded", standing.stamp, hands.ticket_url(update.external_id), why)
        change = await _change(hands, without(update, left), names)
        try:
            saved = await _carry_out(hands, change, standing)
        except UpdateConflict:
            continue  # someone was faster; read again and decide again
        return replace(await _read_back(hands, change, saved), why="; ".join(left.values()))
    raise UpdateConflict(
        f"{hands.system} ticket {update.external_id} changed {CONFLICT_ATTEMPTS} times while we wrote."
    )


def what_stands(update: TicketUpdate, now: Standing) -> dict[str, str]:
    """
    The fields that the letter would set and a person has changed since it was decided, each with what they made of it.

    A moved stamp alone proves nothing: a comment moves it too.
    """
    seen = update.seen
    if seen is None or (seen.stamp is not None and seen.stamp == now.stamp):
        return {}
    fields = (
        ("group", now.group, seen.group, update.group),
        ("priority", now.priority, seen.priority, update.priority),
    )
    return {
        what: f"its {what} is {is_now or 'empty'} by now; it was {was or 'empty'} when {wanted} was decided"
        for what, is_now, was, wanted in fields
        if wanted is not None and is_now not in (was, wanted)
    }


def why_superseded(update: TicketUpdate, now: Standing, left: Mapping[str, str]) -> str | None:
    """
    Why nothing of the letter is to be written any more; None when something is.

    A note changes nothing of theirs, so a letter that routes nowhere is written without what is `left` to them; only a
    locked ticket refuses it.
    """
    if now.is_locked:
        return f"it is {now.status or Status.CLOSED} and takes no change any more"
    wanted = {what for what in ("group", "priority") if getattr(update, what) is not None}
    if update.seen and wanted and now.status in ENDED and update.seen.status not in ENDED:
        return f"it is {now.status} by now"
    if update.group is not None and wanted == left.keys():
        return "; ".join(left.values())
    return None


def without(update: TicketUpdate, left: Mapping[str, str]) -> TicketUpdate:
    """The letter without what is left to people; its note says so first."""
    if not left:
        return update
    told = f"Not all of this was written, because somebody was faster: {'; '.join(left.values())}."
    note = f"{told}\n{update.note}" if update.note else None
    return update.model_copy(update={**dict.fromkeys(left), "note": note})


async def _settled(hands: Hands, update: TicketUpdate, pause: Pause) -> Standing:
    """The ticket, read when its stamp can no longer stand for two states."""
    standing = await _standing(hands, update)
    for _ in range(SETTLE_ATTEMPTS - 1):
        if not standing.settles_in_s:
            break
        await pause(standing.settles_in_s)
        standing = await _standing(hands, update)
    return standing


async def _standing(hands: Hands, update: TicketUpdate) -> Standing:
    try:
        return await hands.standing(update.external_id, update.key)
    except NotFound as exc:
        raise ConnectorRejected(exc.message) from exc  # a ticket that is gone does not come back


async def _change(hands: Hands, update: TicketUpdate, names: Names) -> Change:
    group_id = await names.id_of(update.group, hands) if update.group else None
    fields = update.model_dump(include={"key", "external_id", "group", "priority", "tags", "note"})
    return Change(**fields, group_id=group_id)


async def _carry_out(hands: Hands, change: Change, standing: Standing) -> str | None:
    """The stamp of our save, where the system tells it. Apart from the note, what shows already is not set again."""
    try:
        if not hands.notes_apart:
            return await hands.save(change, standing)
        if _differences(change, standing) or change.tags:
            await hands.save(change, standing)
        if change.note:
            await hands.note(change)
    except NotFound as exc:
        raise ConnectorRejected(exc.message) from exc
    return None


async def _read_back(hands: Hands, change: Change, saved: str | None) -> WriteResult:
    standing = await hands.standing(change.external_id, change.key)
    wrong = _differences(change, standing)
    if (change.note or not hands.notes_apart) and not standing.is_marked:
        wrong.append("our mark is missing")
    is_someone_elses = saved is not None and standing.stamp != saved
    if wrong and not is_someone_elses:
        raise ConnectorRejected(
            f"{hands.system} took the update of ticket {change.external_id}, but then {'; '.join(wrong)}. "
            "Look for a rule that sets it back, or a right our user does not have."
        )
    return WriteResult("written", standing.stamp, hands.ticket_url(change.external_id))


def _differences(change: Change, standing: Standing) -> list[str]:
    """What the ticket does not show of the change."""
    pairs = (("group", standing.group, change.group), ("priority", standing.priority, change.priority))
    return [f"{what} is {now!r}, not {wanted!r}" for what, now, wanted in pairs if wanted not in (None, now)]


class Opens(Hands, Protocol):
    """What a connector supplies to open tickets."""

    async def find(self, key: str) -> str | None: ...

    def about_to_create(self, key: str) -> None: ...

    async def create(self, new: NewTicket, group_id: str | None) -> str: ...


async def open_once(hands: Opens, new: NewTicket, names: Names, pause: Pause) -> Opened:
    """One ticket per key, with its private note; raises as `write_once`."""
    found = await hands.find(new.key)
    group_id = await names.id_of(new.group, hands) if new.group and not found else None
    if not found:
        hands.about_to_create(new.key)
    external_id = found or await hands.create(new, group_id)
    if new.note:
        note = TicketUpdate(key=f"{new.key}/note", external_id=external_id, note=new.note)
        await write_once(hands, note, names, pause)
    return Opened(external_id, hands.ticket_url(external_id), was_known=found is not None)
