"""Times as exports write them; those that could be mistaken are refused."""

from datetime import UTC, datetime

TIME_FORMATS = (  # beside ISO 8601; day.month and month/day with AM or PM are the two that cannot be mistaken
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
)


def parse_time(field: str, text: str | None, *, column: str = "") -> datetime | None:
    """
    ISO 8601, `31.12.2026 17:30`, `12/31/2026 05:30 PM` or Unix seconds; without a zone it is UTC.

    Raises:
        ValueError: anything else; the message says how to leave the column out, and nothing of what stood there: it
            may be a customer's words.
    """
    if text is None:
        return None
    moment = _moment(text)
    if moment is None:
        raise ValueError(f"{column or field} is not a time (2026-12-31T17:30Z). Leave it out with --map {field}=")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(text: str) -> datetime | None:
    try:
        if text.isdigit() and len(text) in (10, 13):
            return datetime.fromtimestamp(int(text) / (1000 if len(text) == 13 else 1), UTC)
        return datetime.fromisoformat(text)
    except ValueError:
        return next(filter(None, (_by_format(text, form) for form in TIME_FORMATS)), None)


def _by_format(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # naive on purpose: parse_time says it is UTC
    except ValueError:
        return None
