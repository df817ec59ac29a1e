"""Working time: when so many working hours after a moment are over. Pure; aware times in, UTC out."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.core.contracts.sla import DAYS, Calendar

LOOK_AHEAD_DAYS = 3 * 366  # holidays for years on end are a mistake, not an endless loop


def after(start: datetime, hours: float, calendar: Calendar | None) -> datetime:
    """
    The end of `hours` of working time from `start` on; around the clock without a calendar.

    Raises:
        ValueError: the calendar has not so much working time within three years.
    """
    left = timedelta(hours=hours)
    if calendar is None:
        return start.astimezone(UTC) + left
    for begins, ends in _spans(start, calendar):
        if ends - begins >= left:
            return begins + left
        left -= ends - begins
    raise ValueError("the calendar has not so many working hours within three years")


def _spans(start: datetime, calendar: Calendar) -> Iterator[tuple[datetime, datetime]]:
    """Working spans after `start` in UTC, where a day with a change of the clocks has its true length."""
    zone, first = ZoneInfo(calendar.zone), start.astimezone(UTC)
    today = start.astimezone(zone).date()
    for number in range(LOOK_AHEAD_DAYS):
        for begins, ends in _of_day(today + timedelta(days=number), calendar, zone):
            if ends > first:
                yield max(begins, first), ends


def _of_day(day: date, calendar: Calendar, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    if day in calendar.holidays:
        return
    for span in calendar.hours.get(DAYS[day.weekday()], ()):
        yield tuple(datetime.combine(day, at, zone).astimezone(UTC) for at in (span.start, span.until))  # ty: ignore[invalid-yield]  # two of them
