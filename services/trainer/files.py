"""Closed tickets out of a CSV or JSONL file, plain or gzipped."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from services.core.kit.errors import InputInvalid
from services.core.models.texts import join_text
from services.trainer.prepare import Example

NAMES = {
    "subject": ("subject", "title", "short_description", "summary"),
    "body": ("body", "description", "text", "content", "message"),
    "group": ("group", "assignment_group", "topic_group", "label", "queue", "team"),
    "at": ("solved_at", "closed_at", "resolved_at", "created_at", "date"),
}


def read_file(path: Path, mapping: dict[str, str]) -> list[Example]:
    """
    The examples of a file; rows without text or group are left out.

    Args:
        mapping: our field (subject, body, group, at) to the file's column, or columns joined by `+`, where the usual
            names do not fit.
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

    return Example(join_text(text("subject"), text("body")), text("group").strip(), _time(text("at")))


def _parts(names: str, row: dict[str, Any]) -> list[str]:
    """`title+body` is two columns, unless the file has one of that name."""
    return [names] if names in row else [name for name in names.split("+") if name]


def _time(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
