"""Why a model has no head for something beside the group: what the file that was to teach it lacks."""

from collections import Counter
from collections.abc import Collection

from services.core.models.heads import BREACH, CLASSES, HOURS
from services.trainer.files import Reading
from services.trainer.heads import CLASS_ROWS_MIN, ROWS_MIN
from services.trainer.prepare import Example

COLUMNS = {HOURS: ("hours", "opened", "solved"), BREACH: ("breached", "kept")} | {name: (name,) for name in CLASSES}
NO_GAIN = "on tickets that were not learnt from it was hardly better than saying the same of each, or too few were left"


def unlearnt(reading: Reading, learnt: Collection[str]) -> dict[str, str]:
    """Head to reason, of each that is not among the learnt."""
    return {name: _why(name, reading) for name in COLUMNS if name not in learnt}


def _why(name: str, reading: Reading) -> str:
    if not any(column in reading.columns for column in COLUMNS[name]):
        return f"no column says it (--map {COLUMNS[name][0]}=COLUMN)"
    return _why_no_hours(reading) if name == HOURS else _why_no_class(name, reading.examples)


def _why_no_hours(reading: Reading) -> str:
    rows, lost = len(reading.examples), reading.untimed
    if rows - lost.count >= ROWS_MIN:
        return NO_GAIN
    if not lost.count:
        return f"{rows} rows have times and {ROWS_MIN} are needed"
    return f"{lost.count} of {rows} rows have no usable times (first: {lost.first}); at least {ROWS_MIN} need them"


def _why_no_class(name: str, rows: list[Example]) -> str:
    counts = Counter(word for row in rows if (word := _word(name, row)))
    classes = [n for n in counts.values() if n >= CLASS_ROWS_MIN]
    if not counts:
        return f"{len(rows)} of {len(rows)} rows have no usable value"
    if len(classes) < 2:
        return f"{len(counts)} different values in {len(rows)} rows, and two with {CLASS_ROWS_MIN} rows each are needed"
    if sum(classes) < ROWS_MIN:
        return f"{sum(classes)} of {len(rows)} rows have a usable value and {ROWS_MIN} are needed"
    return NO_GAIN


def _word(name: str, row: Example) -> str:
    if name == BREACH:
        return "" if row.targets.breached is None else str(row.targets.breached)
    return getattr(row.targets, name)
