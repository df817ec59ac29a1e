"""Drift: how it is judged, as data, and what was found on a day."""

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from services.core.contracts.base import Contract

Kind = Literal["labels", "inputs", "confidence", "performance"]
KINDS: tuple[Kind, ...] = ("labels", "inputs", "confidence", "performance")
DAYS_A_YEAR = 365


class LeastEffects(Contract):
    """
    Below these a difference is not worth a person's time, however sure it is.

    Cramér's V of the groups; Cliff's delta of where texts lie, as what tells them apart sees them, and of confidence;
    Cohen's h of the share that was right. Sources: Cohen 1988 (V .1, h .2 are small), Romano et al. 2006 (delta .147);
    of texts .1, because a topic that is new in one ticket of ten moves no more (design/adr/0260).
    """

    labels: float = Field(default=0.1, gt=0, le=1)
    inputs: float = Field(default=0.1, gt=0, le=1)
    confidence: float = Field(default=0.147, gt=0, le=1)
    performance: float = Field(default=0.2, gt=0, le=3.2)


class DriftRules(Contract):
    """
    The last `now_days` against the `before_days` before them: whole weeks, so that a weekend is not news.

    `false_alarms_per_year`: how many are to be expected at most when nothing changes, of all tests of all days.
    `texts`: of each window, that are compared by their embeddings.
    """

    now_days: int = Field(default=7, ge=7, le=91)
    before_days: int = Field(default=28, ge=7, le=364)
    rows_min: int = Field(default=50, ge=20)
    texts: int = Field(default=500, ge=100, le=2_000)
    false_alarms_per_year: float = Field(default=1.0, ge=0.5, le=50)  # 0.5: no test says a p below 1 in 5,000
    least: LeastEffects = LeastEffects()

    @model_validator(mode="after")
    def _are_whole_weeks(self) -> Self:
        if self.now_days % 7 or self.before_days % 7:
            raise ValueError("now_days and before_days are whole weeks, e.g. 7 and 28: weekends differ from other days")
        return self

    @property
    def p_max(self) -> float:
        """What a year's false alarms leave to each test of each day, whichever way the days hang together."""
        return self.false_alarms_per_year / (DAYS_A_YEAR * len(KINDS))


class ShiftTest(Contract):
    """
    One test of one day. `has_shifted` is None where `why` says that it could not be asked.

    `since`: the first day of the shift that still lasts, or lasted within the week before.
    """

    kind: Kind
    test: str
    effect_name: str
    least_effect: float
    p_max: float
    before: int = 0
    now: int = 0
    statistic: float | None = None
    p: float | None = None
    effect: float | None = None
    has_shifted: bool | None = None
    since: date | None = None
    why: str = ""


class Moved(Contract):
    """A group's share of the tickets in the two windows."""

    group: str
    before: float
    now: float


class DriftReport(Contract):
    """What one day's look found. `day` is not in it: the windows end at its midnight, UTC. Ids alone, no text."""

    day: date
    now_days: int
    before_days: int
    tests: tuple[ShiftTest, ...]
    moved: tuple[Moved, ...] = ()
    unlike: tuple[int, ...] = ()
    model_versions: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["stable", "shifted", "too few tickets"]:
        said = [one.has_shifted for one in self.tests]
        if any(said):
            return "shifted"
        return "too few tickets" if all(one is None for one in said) else "stable"
