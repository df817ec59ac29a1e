"""Closed tickets out of a file as people have them, redacted, and what of it could not be used."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from services.core.contracts.facts import KEPT, Facts
from services.core.kit.errors import InputInvalid
from services.core.models.texts import join_text
from services.core.text.columns import GUESSES, guess, parse_map, parts
from services.core.text.hide import Hide
from services.core.text.moments import parse_time
from services.core.text.outcomes import breached, hours
from services.core.text.records import Malformed, Record, TicketFile, inspect, records
from services.trainer.prepare import Example, Targets

CATEGORIES = tuple(KEPT)
NAMES = {  # our fields, and what files usually call them: as an import guesses them
    "subject": GUESSES["subject"],
    "body": GUESSES["body"],
    "group": GUESSES["group"],
    "at": ("solved_at", "closed_at", "resolved_at", "created_at", "date"),
    "opened": ("opened_at", *GUESSES["created_at"]),
    "solved": GUESSES["solved_at"],
    **{name: GUESSES[name] for name in ("hours", "breached", "kept", "priority", "impact", "urgency", *CATEGORIES)},
    "features": (),
}
FIELDS = tuple(NAMES)
ALIASES = {"text": "body", "label": "group", "created_at": "opened", "solved_at": "solved"}  # an import's words
UNREAD = ("external_id", "requester")  # an import's fields, of no use here
BATCH = 256  # rows redacted together
UNKNOWN = frozenset({"", "?", "nan", "null", "none"})


@dataclass
class Tally:
    """How many rows, and where the first of them is and why."""

    count: int = 0
    first: str = ""

    def add(self, line: int, why: str) -> None:
        self.first = self.first or f"row {line}: {why}"
        self.count += 1


@dataclass(frozen=True)
class Reading:
    """The examples of a file, its columns by our fields, and what was not used: rows, and times of resolution."""

    path: Path
    examples: list[Example]
    columns: dict[str, str]
    notice: str | None = None
    left_out: Tally = field(default_factory=Tally)
    untimed: Tally = field(default_factory=Tally)

    def remarks(self) -> list[str]:
        rows = self.left_out.count + len(self.examples)
        lost = f"{self.path}: {self.left_out.count} of {rows} rows left out (first: {self.left_out.first})."
        return [*filter(None, [self.notice]), *([lost] if self.left_out.count else [])]


def read_map(text: str) -> dict[str, str]:
    """
    FIELD=COLUMN,... as an import takes it, and the fields that only learning knows.

    Raises:
        ColumnsInvalid: no such field, or not FIELD=COLUMN.
    """
    found = parse_map(text, (*FIELDS, *UNREAD), ALIASES)
    return {name: column for name, column in found.items() if name not in UNREAD}


def read_file(path: Path, mapping: dict[str, str], hide: Hide) -> list[Example]:
    """As `read`: the examples alone."""
    return read(path, mapping, hide).examples


def read(path: Path, mapping: dict[str, str], hide: Hide) -> Reading:
    """
    The examples of a file; rows without text or group are left out, and counted.

    Args:
        mapping: our field (FIELDS) to the file's column, or columns joined by `+`, where the usual names do not fit;
            an empty one leaves the field out; `features` names columns that were known when the ticket came, each a
            category of its own.
        hide: `build_hide()`: nothing unredacted goes further than here.
    Raises:
        InputInvalid: unreadable, no row, or no column for the group or the text; names the columns there are.
    """
    file = inspect(path)
    found = Reading(path, [], _columns(file, mapping), file.notice)
    for some in _batches(records(file)):
        _take(found, some, hide)
    if not found.examples and not found.left_out.count:
        raise InputInvalid(f"{path} holds no rows below its header.")
    return found


def _batches(rows: Iterable[tuple[int, Record | Malformed]]) -> Iterator[list[tuple[int, Record | Malformed]]]:
    rest = iter(rows)
    while some := list(islice(rest, BATCH)):
        yield some


def _take(found: Reading, rows: Sequence[tuple[int, Record | Malformed]], hide: Hide) -> None:
    good = [record for _, record in rows if not isinstance(record, Malformed)]
    safe = iter(hide([{name: _text(record, found.columns, name) for name in ("subject", "body")} for record in good]))
    for line, record in rows:
        if isinstance(record, Malformed):
            found.left_out.add(line, record.why)
        else:
            fields = next(safe)
            _keep(found, line, record, join_text(fields["subject"], fields["body"]))


def _keep(found: Reading, line: int, record: Record, text: str) -> None:
    row = _example(record, found.columns, text)
    if not row.text or not row.group:
        found.left_out.add(line, "no group" if row.text else "no text")
        return
    found.examples.append(row)
    if row.targets.hours is None:
        found.untimed.add(line, _untimed(record, found.columns))


def _columns(file: TicketFile, mapping: dict[str, str]) -> dict[str, str]:
    if not file.columns:
        raise InputInvalid(f"{file.path} holds no rows.")
    there = ", ".join(file.columns)
    named = [name for names in mapping.values() for name in parts(names, file.columns)]
    absent = sorted(set(named) - set(file.columns))
    if absent:
        raise InputInvalid(f"{file.path} has no column '{absent[0]}'. It has: {there}.")
    guessed = {field: guess(names, file.columns) or "" for field, names in NAMES.items()}
    found = {field: name for field, name in (guessed | mapping).items() if name}
    if "group" not in found or not ("subject" in found or "body" in found):
        lacking = "body" if "group" in found else "group"
        raise InputInvalid(
            f"{file.path} has no column for the {lacking}. It has: {there}. "
            f"Name it, for example: --map {lacking}=COLUMN"
        )
    return found


def _text(row: Record, columns: dict[str, str], field: str) -> str:
    values = (row.get(name) for name in parts(columns.get(field, ""), row))
    return "\n".join(str(value) for value in values if value is not None)


def _example(row: Record, columns: dict[str, str], text: str) -> Example:
    def word(field: str) -> str:
        return _word(_text(row, columns, field))

    opened, solved = _time(word("opened")), _time(word("solved"))
    features = {name: _word(row.get(name)) for name in parts(columns.get("features", ""), row)}
    named = {name: word(name) for name in CATEGORIES}
    known = {name: value for name, value in (named | features).items() if value}
    return Example(
        text,
        _text(row, columns, "group").strip(),
        _time(word("at")) or solved or opened,
        facts=Facts(opened_at=opened, categories=known),
        targets=Targets(
            hours=_hours(word("hours"), opened, solved),
            breached=breached(word("breached"), word("kept")),
            priority=word("priority"),
            impact=word("impact"),
            urgency=word("urgency"),
        ),
    )


def _word(value: Any) -> str:
    """As it stands; nothing for the ways in which files say that they do not know."""
    word = "" if value is None else str(value).strip()
    return "" if word.casefold() in UNKNOWN else word


def _hours(said: str, opened: datetime | None, solved: datetime | None) -> float | None:
    found = hours(said)
    if found is not None or not opened or not solved:
        return found
    return (solved - opened).total_seconds() / 3600 if solved >= opened else None


def _time(value: str) -> datetime | None:
    try:
        return parse_time("", value or None)
    except ValueError:
        return None


def _untimed(row: Record, columns: dict[str, str]) -> str:
    """Why the hours to resolution are not known; no content."""
    if _word(row.get(columns.get("hours", ""))):
        return f"{columns['hours']} is no number of hours"
    for name in ("opened", "solved"):
        said = _word(row.get(columns.get(name, "")))
        if not said:
            return f"no time in the column {columns[name]}" if name in columns else f"no column for {name}"
        if _time(said) is None:
            return f"{columns[name]} is not a time such as 2026-12-31T17:30Z"
    return "solved before it was opened"
