"""Closed tickets out of a CSV or JSONL file, plain or gzipped."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import IO, Any

from services.core.contracts.facts import Facts
from services.core.kit.errors import InputInvalid
from services.core.models.texts import join_text
from services.trainer.prepare import Example, Targets

NAMES = {  # our fields, and what files usually call them
    "subject": ("subject", "title", "short_description", "summary"),
    "body": ("body", "description", "text", "content", "message"),
    "group": ("group", "assignment_group", "topic_group", "label", "queue", "team"),
    "at": ("solved_at", "closed_at", "resolved_at", "created_at", "date"),
    "opened": ("opened_at", "created_at", "created"),
    "solved": ("solved_at", "resolved_at", "resolved", "closed_at"),
    "hours": ("hours_to_resolve", "hours_to_solve"),
    "breached": ("sla_breached", "breached"),
    "kept": ("made_sla", "sla_kept"),
    "priority": ("priority",),
    "impact": ("impact",),
    "urgency": ("urgency",),
    "channel": ("channel", "contact_type"),
    "organisation": ("organisation", "organization", "company"),
    "product": ("product", "project"),
    "place": ("place", "borough", "site"),
    "features": (),
}
FIELDS = tuple(NAMES)
YES, NO = frozenset({"true", "yes", "1", "t", "y"}), frozenset({"false", "no", "0", "f", "n"})
CATEGORIES = ("channel", "organisation", "product", "place")
UNKNOWN = frozenset({"", "?", "nan", "null", "none"})


def read_file(path: Path, mapping: dict[str, str]) -> list[Example]:
    """
    The examples of a file; rows without text or group are left out.

    Args:
        mapping: our field (FIELDS) to the file's column, or columns joined by `+`, where the usual names do not fit;
            `features` names columns that were known when the ticket came, each a category of its own.
    Raises:
        InputInvalid: unreadable, no row, or no column for the group or the text; names the columns there are.
    """
    try:
        rows = list(_rows(path))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as exc:
        raise InputInvalid(f"{path} cannot be read: {exc}. Give a CSV with a header or JSON lines, UTF-8.") from exc
    if not rows:
        raise InputInvalid(f"{path} holds no rows.")
    columns = _columns(path, rows[0], mapping)
    examples = [_example(row, columns) for row in rows]
    return [row for row in examples if row.text and row.group]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        if ".jsonl" in path.suffixes or ".ndjson" in path.suffixes:
            yield from (json.loads(line) for line in file if line.strip())
        else:
            yield from csv.DictReader(file)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _columns(path: Path, row: dict[str, Any], mapping: dict[str, str]) -> dict[str, str]:
    absent = sorted({name for names in mapping.values() for name in _parts(names, row)} - set(row))
    if absent:
        raise InputInvalid(f"{path} has no column '{absent[0]}'. It has: {', '.join(map(str, row))}.")
    found = {field: next((name for name in names if name in row), "") for field, names in NAMES.items()} | mapping
    if not found["group"] or not (found["subject"] or found["body"]):
        lacking = "group" if not found["group"] else "body"
        raise InputInvalid(
            f"{path} has no column for the {lacking}. It has: {', '.join(map(str, row))}. "
            f"Name it, for example: --map {lacking}=COLUMN"
        )
    return {field: name for field, name in found.items() if name}


def _example(row: dict[str, Any], columns: dict[str, str]) -> Example:
    def text(field: str) -> str:
        values = (row.get(name) for name in _parts(columns.get(field, ""), row))
        return "\n".join(str(value) for value in values if value is not None)

    def word(field: str) -> str:
        return _word(text(field))

    opened, solved = _time(word("opened")), _time(word("solved"))
    features = {name: _word(row.get(name)) for name in _parts(columns.get("features", ""), row)}
    named = {name: word(name) for name in CATEGORIES}
    known = {name: value for name, value in (named | features).items() if value}
    return Example(
        join_text(text("subject"), text("body")),
        text("group").strip(),
        _time(text("at")) or solved or opened,
        facts=Facts(opened_at=opened, categories=known),
        targets=Targets(
            hours=_hours(word("hours"), opened, solved),
            breached=_breached(word("breached"), word("kept")),
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
    try:
        hours = float(said)
    except ValueError:
        hours = (solved - opened).total_seconds() / 3600 if opened and solved else -1.0
    return hours if isfinite(hours) and hours >= 0 else None


def _breached(breached: str, kept: str) -> bool | None:
    """From a column that says so, or from one that says that the target was kept."""
    said, turned = (breached, False) if breached else (kept, True)
    if said.casefold() not in YES | NO:
        return None
    return (said.casefold() in YES) != turned


def _parts(names: str, row: dict[str, Any]) -> list[str]:
    """`title+body` is two columns, unless the file has one of that name."""
    return [names] if names in row else [name for name in names.split("+") if name]


def _time(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
