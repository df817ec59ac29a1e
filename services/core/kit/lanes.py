"""
Lanes of the outbox: one per ticketing system, each with its own places, back-off and breaker.

A system that hangs or is down fills its own lane and no other. It must not know what is carried.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

PLACES = 8  # letters of one system in flight: more would only meet its rate limit
TRIPS_AT = 3  # failures in a row that are no accident any more
PAUSE_S = 2.0
PAUSE_CAP_S = 60.0  # how late a system's recovery is noticed at worst
OTHERS = ""  # events, and letters whose connector is not switched on here


@dataclass
class Lane:
    """State: how many letters are under way, and how long the system has been failing. Belongs to one event loop."""

    name: str
    clock: Callable[[], float] = time.monotonic
    under_way: int = 0
    failures: int = 0
    closed_until: float = 0.0

    def places(self) -> int:
        """How many letters may set out now: none while the lane is closed, one to try after a failure in a row."""
        if self.clock() < self.closed_until:
            return 0
        places = 1 if self.failures >= TRIPS_AT else PLACES
        return max(0, places - self.under_way)

    def worked(self) -> None:
        """The system answered, whatever it said."""
        self.failures, self.closed_until = 0, 0.0

    def failed(self, *, retry_after_s: float) -> None:
        """The system did not answer, or said when to come back."""
        self.failures += 1
        pause_s = PAUSE_S * 2 ** min(self.failures - TRIPS_AT, 10) if self.failures >= TRIPS_AT else 0.0
        self.closed_until = self.clock() + min(max(pause_s, retry_after_s), PAUSE_CAP_S)


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
