"""
Lanes to other systems: one per ticketing system, each with its own places, back-off and breaker.

A system that hangs or is down fills its own lane and no other, whether it is written to or asked. It must not know what
is carried.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from services.core.kit.errors import ConnectorUnavailable, PointsmanError, Unavailable

Answer = TypeVar("Answer")

PLACES = 8  # letters of one system in flight: more would only meet its rate limit
TRIPS_AT = 3  # failures in a row that are no accident any more
PAUSE_S = 2.0
PAUSE_CAP_S = 60.0  # how late a system's recovery is noticed at worst
ANSWER_S = 30.0  # a ticket with its comments, page by page; each call has a shorter time of its own
SILENT_FOR_S = 900.0  # not asked for longer, nobody knows whether a system answers
OTHERS = ""  # events, and letters whose connector is not switched on here


@dataclass
class Lane:
    """
    State: what is under way to the system, and how long it has been failing. Belongs to one event loop.

    `under_way` are letters, `asking` questions; letters have places, questions those of the queue they come from.
    """

    name: str
    clock: Callable[[], float] = time.monotonic
    under_way: int = 0
    asking: int = 0
    failures: int = 0
    closed_until: float = 0.0
    failing_since: datetime | None = None
    failed_at: float = 0.0

    def places(self) -> int:
        """How many letters may set out now: none while the lane is closed, one to try after a failure in a row."""
        if self.clock() < self.closed_until:
            return 0
        if self.failures >= TRIPS_AT:
            return 0 if self.under_way or self.asking else 1
        return max(0, PLACES - self.under_way)

    def silent_since(self) -> datetime | None:
        """Since when the system has not answered; None while it does, and when nobody has asked it for long."""
        is_silent = self.failures >= TRIPS_AT and self.clock() - self.failed_at < SILENT_FOR_S
        return self.failing_since if is_silent else None

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """
        The system's answer to one question.

        Raises:
            ConnectorUnavailable: at once, where the lane is closed or another attempt is finding out already.
        """
        is_tried = self.failures >= TRIPS_AT and (self.under_way or self.asking)
        if is_tried or self.clock() < self.closed_until:
            raise ConnectorUnavailable(f"{self.name} has not answered lately; it is left alone for a moment.")
        self.asking += 1
        try:
            return await self._answer(question)
        finally:
            self.asking -= 1

    async def _answer(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await question()
        except TimeoutError as exc:
            self.failed(retry_after_s=0)
            raise ConnectorUnavailable(f"{self.name}: no end after {ANSWER_S:.0f} s.") from exc
        except Unavailable as exc:
            self.failed(retry_after_s=exc.retry_after_s or 0.0)
            raise
        except PointsmanError:
            self.worked()
            raise
        self.worked()
        return answer

    def worked(self) -> None:
        """The system answered, whatever it said."""
        self.failures, self.closed_until, self.failing_since = 0, 0.0, None

    def failed(self, *, retry_after_s: float) -> None:
        """
        The system did not answer, or said when to come back. What set out before the lane closed tells nothing new: a
        dozen that hung at once do not make the pause a minute.
        """
        now = self.clock()
        self.failed_at, self.failing_since = now, self.failing_since or datetime.now(UTC)
        if self.failures >= TRIPS_AT and now < self.closed_until:
            return
        self.failures += 1
        pause_s = PAUSE_S * 2 ** min(self.failures - TRIPS_AT, 10) if self.failures >= TRIPS_AT else 0.0
        self.closed_until = now + min(max(pause_s, retry_after_s), PAUSE_CAP_S)


@dataclass
class Lanes:
    """All of them by name; a letter without a known name travels with the others."""

    names: Iterable[str]
    clock: Callable[[], float] = time.monotonic
    by_name: dict[str, Lane] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {name: Lane(name, self.clock) for name in (*self.names, OTHERS)}

    def of(self, connector: str | None) -> Lane:
        return self.by_name.get(connector or OTHERS, self.by_name[OTHERS])

    def free(self) -> dict[str, int]:
        """The lanes that have places, with how many."""
        return {name: places for name, lane in self.by_name.items() if (places := lane.places())}
