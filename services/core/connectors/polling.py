"""
What changed since: for systems that do not call, and for calls that were missed.

A position is the time of the last change heard and, within that time, the last id. Rows are read only once their
second is over, so that no later change can slip in behind the position.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.core.contracts.ticket import Comment, Ticket

LAG = timedelta(seconds=5)  # clocks that differ, and transactions that commit after the time they wrote


@dataclass(frozen=True)
class Position:
    """Everything up to here has been heard."""

    at: datetime
    id: str = ""


@dataclass(frozen=True)
class Lost:
    """A letter of ours that left and did not arrive. `name` is the same each time this is told."""

    name: str
    why: str


@dataclass(frozen=True)
class Changed:
    """
    A ticket that changed, as it is now. `actor` is who changed it last, where the system says so.

    Where each change is a message of its own: `comment` is what was written, on a ticket that is known; `key` names the
    message for good; `place` is where reading goes on, in the order of its text. `why_ignored` makes it nothing but a
    step of the position; so does `lost`, which says that something of ours came back. `asks_again`: whoever was handed
    the ticket does not see this and must be told.
    """

    at: datetime
    ticket: Ticket
    actor: str | None = None
    comment: Comment | None = None
    key: str | None = None
    place: str | None = None
    why_ignored: str | None = None
    asks_again: bool = False
    lost: Lost | None = None

    @property
    def position(self) -> Position:
        return Position(self.at, self.place or self.ticket.external_id)


async def by_time(
    page: Callable[[int], Awaitable[Sequence[Changed]]], after: Position, *, until: datetime
) -> list[Changed]:
    """
    For systems that order by time alone: `page(start)` gives rows at or after `after.at`, in order of time, from the
    `start`-th on. Reads until a second is whole, so that the edge of a page never splits one: all up to `after.at` has
    been heard.
    """
    rows: list[Changed] = []
    while found := await page(len(rows)):
        rows += found
        whole = [row for row in rows if after.at < row.at < rows[-1].at]
        if whole:
            return [row for row in whole if row.at <= until]
    return [row for row in rows if after.at < row.at <= until]


async def by_key(
    same: Callable[[Position], Awaitable[Sequence[Changed]]],
    later: Callable[[Position], Awaitable[Sequence[Changed]]],
    after: Position,
    *,
    until: datetime,
) -> list[Changed]:
    """
    For systems that order by time and id and can be asked for both: `same` gives the next page of the position's own
    time with a greater id, `later` the next page of greater times. However many share a time, a page is enough.
    """
    rows = (await same(after) if after.id else ()) or await later(after)
    return [row for row in rows if row.at <= until]


def in_order(rows: Sequence[Changed], after: Position, *, until: datetime) -> list[Changed]:
    """For systems that promise no order: all rows that changed since, put in order of time and id."""
    new = [row for row in rows if (after.at, after.id) < (row.at, row.ticket.external_id) and row.at <= until]
    return sorted(new, key=lambda row: (row.at, row.ticket.external_id))
