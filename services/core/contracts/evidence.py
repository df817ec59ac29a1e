"""What a candidate was judged by on held-out tickets, as numbers: enough to draw it and to move a threshold."""

from collections.abc import Sequence

from services.core.contracts.base import Contract

BINS = 10


class Held(Contract):
    """Held-out tickets of which one group was said: (confidence, right), the surest first; only those in scope."""

    group: str
    tickets: tuple[tuple[float, bool], ...]


class Bin(Contract):
    """Tickets with probabilities near `said`; `right` is the share that was."""

    said: float
    right: float
    tickets: int


class Confused(Contract):
    """How many held-out tickets of one group were said to be of another, or of their own."""

    group: str
    said: str
    tickets: int


class Changed(Contract):
    """A held-out ticket that the champion had not learnt from and answers otherwise. `ref`: `ticket/7`, `history/9`."""

    ref: str
    group: str
    before: str
    now: str


class Evidence(Contract):
    """`tickets`: all held-out ones, out of scope included."""

    tickets: int = 0
    held: tuple[Held, ...] = ()
    reliability: tuple[Bin, ...] = ()
    confusion: tuple[Confused, ...] = ()
    compared_with: str | None = None
    changed: tuple[Changed, ...] = ()


class Effect(Contract):
    """What thresholds would do to the held-out tickets. `precision` is None where nothing is routed by itself."""

    automatic: int
    right: int
    tickets: int

    @property
    def automation(self) -> float:
        return self.automatic / self.tickets if self.tickets else 0.0

    @property
    def precision(self) -> float | None:
        return self.right / self.automatic if self.automatic else None


def effect(held: Sequence[Held], thresholds: dict[str, float | None], tickets: int) -> Effect:
    """Of `tickets` held-out ones those that reach the threshold of the group that was said."""
    reached = [
        right
        for one in held
        if (least := thresholds.get(one.group)) is not None
        for confidence, right in one.tickets
        if confidence >= least
    ]
    return Effect(automatic=len(reached), right=sum(reached), tickets=tickets)
