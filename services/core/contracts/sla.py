"""SLA policies as data: how soon tickets of a team and priority must be solved, counted in which hours."""

from datetime import date, time
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from services.core.contracts.base import Contract
from services.core.contracts.ticket import Priority

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone. Give e.g. Europe/Berlin") from exc
    return name


class Span(Contract):
    """Working time within one day, in the calendar's zone; `until` may be 23:59:59.999999 for a whole day."""

    start: time
    until: time

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.start >= self.until or self.start.tzinfo or self.until.tzinfo:
            raise ValueError("a span starts before it ends, on one day, without a zone of its own")
        return self


class Calendar(Contract):
    """Working hours by weekday; a day that is not named, or is a holiday, has none."""

    zone: Annotated[str, AfterValidator(is_zone)]
    hours: dict[Weekday, tuple[Span, ...]] = Field(min_length=1)
    holidays: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _spans_are_in_order(self) -> Self:
        for day, spans in self.hours.items():
            if any(later.start < earlier.until for earlier, later in pairwise(spans)):
                raise ValueError(f"the spans of {day} overlap, or are not in order")
        if not any(self.hours.values()):
            raise ValueError("a calendar without any working hour never comes to an end")
        return self


class Policy(Contract):
    """
    `target_hours` from opening to solution, in working hours of `calendar`, or around the clock without one.

    At `warn_at` of the target a ticket that is not solved is at risk; earlier where what was learnt from closed tickets
    says so: of those like it at least `warn_chance` missed their target, or took longer than is left by the clock until
    it is due; of that nothing above 0.9 is known. 0: nothing learned counts. Without team or priority it is for all.
    """

    team: str | None = None
    priority: Priority | None = None
    target_hours: float = Field(gt=0, le=10_000)
    calendar: str | None = None
    warn_at: float = Field(default=0.75, gt=0, lt=1)
    warn_chance: float = Field(default=0.7, ge=0, le=1)


class SlaRules(Contract):
    """The first policy that fits holds."""

    calendars: dict[str, Calendar] = Field(default_factory=dict)
    policies: tuple[Policy, ...] = ()

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Self:
        unknown = sorted({one.calendar for one in self.policies if one.calendar} - set(self.calendars))
        if unknown:
            raise ValueError(f"no calendar {', '.join(unknown)}; there are: {', '.join(self.calendars) or 'none'}")
        return self

    def policy_for(self, team: str | None, priority: Priority | None) -> Policy | None:
        """None where no policy is for such tickets."""
        return next(
            (one for one in self.policies if one.team in (None, team) and one.priority in (None, priority)), None
        )
