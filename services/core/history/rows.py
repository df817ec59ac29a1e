"""
Tickets out of files as people have them. A record that cannot be used becomes a `BadRow`: counted, shown, never lost.

It knows nothing of where the rows go.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from services.core.contracts.facts import KEPT, digests
from services.core.contracts.ticket import BODY_MAX_CHARS, SUBJECT_MAX_CHARS
from services.core.text.columns import GUESSES, parse_map, parts, resolve
from services.core.text.moments import parse_time
from services.core.text.outcomes import breached, hours, level
from services.core.text.records import Malformed, Record, TicketFile, count, inspect, records

EXTERNAL_ID_MAX_CHARS = 128
FILES_ALONE = ("at", "features")  # what `pointsman evaluate` reads beside an import's fields
TEXT_MAX_CHARS = {"subject": SUBJECT_MAX_CHARS, "body": BODY_MAX_CHARS}
EMPTY = {"", "nan", "null", "none", "n/a", "?"}  # how exports write "no value"


@dataclass(frozen=True)
class Row:
    """One ticket of a file. `line` is where it starts, from 1; `external_id` is never empty; times are UTC."""

    line: int
    external_id: str
    subject: str = ""
    body: str = ""
    group: str | None = None
    priority: str | None = None
    requester: str | None = None
    created_at: datetime | None = None
    solved_at: datetime | None = None
    categories: Mapping[str, str] = field(default_factory=dict)  # contracts.facts: names to digests
    outcome: Mapping[str, str | bool | float] = field(default_factory=dict)  # core.text.outcomes: what is said of it


@dataclass(frozen=True)
class BadRow:
    line: int
    why: str


def read_rows(file: TicketFile, mapping: Mapping[str, str]) -> Iterator[Row | BadRow]:
    """
    Every record of the file in order, as a ticket or as a bad row; `mapping` is field -> column (`columns.resolve`).

    Raises:
        InputInvalid: the file breaks off; what came before was already yielded.
    """
    for line, record in records(file):
        yield to_row(line, record, mapping)


@dataclass(frozen=True)
class Export:
    """A file of closed tickets as it will be read; `notes` are for whoever imports it."""

    name: str
    fingerprint: str
    total: int
    rows: Iterator[Row | BadRow]
    notes: tuple[str, ...]


def open_export(path: Path, columns: str) -> Export:
    """
    Raises:
        ColumnsInvalid: `columns` (field=column,...) or the file lacks what an import needs. InputInvalid: no such file.
    """
    chosen = parse_map(columns, (*GUESSES, *FILES_ALONE))
    unkept = [name for name in FILES_ALONE if chosen.pop(name, "")]
    file = inspect(path)
    mapping = resolve(file.columns, chosen, required=("group",))
    said = "Columns: " + ", ".join(f"{field}={column}" for field, column in mapping.items())
    left = f"Not kept, for live tickets do not bring it: {', '.join(unkept)}. `pointsman evaluate` alone reads it."
    notes = tuple(filter(None, (file.notice, said, left if unkept else "")))
    rows = read_rows(file, mapping)
    return Export(path.name.split(".")[0], fingerprint(path, mapping), count(file), rows, notes)


def to_row(line: int, record: Record | Malformed, mapping: Mapping[str, str]) -> Row | BadRow:
    """The ticket in a record; without an id of its own it gets one from its content and line."""
    if isinstance(record, Malformed):
        return BadRow(line, record.why)
    values = {field: _joined(record, column) for field, column in mapping.items()}
    try:
        return _ticket(line, values, mapping)
    except ValueError as exc:
        return BadRow(line, str(exc))


def fingerprint(path: Path, mapping: Mapping[str, str]) -> str:
    """Identity of a file read with a mapping: sha256 over its bytes and the columns used."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(json.dumps(mapping, sort_keys=True).encode())
    return digest.hexdigest()


def _ticket(line: int, values: Mapping[str, str], columns: Mapping[str, str]) -> Row:
    subject, body = (_bounded(values, field, limit) for field, limit in TEXT_MAX_CHARS.items())
    if not subject and not body:
        raise ValueError("no text: subject and body are empty")
    external_id = _known(values, "external_id") or _content_id(line, subject, body)
    if len(external_id) > EXTERNAL_ID_MAX_CHARS:
        raise ValueError(f"the id has {len(external_id)} characters, at most {EXTERNAL_ID_MAX_CHARS} are allowed")
    created_at, solved_at = (
        parse_time(name, _known(values, name), column=columns.get(name, "")) for name in ("created_at", "solved_at")
    )
    return Row(
        line=line,
        external_id=external_id,
        subject=subject,
        body=body,
        group=_known(values, "group"),
        priority=_known(values, "priority"),
        requester=_known(values, "requester"),
        created_at=created_at,
        solved_at=solved_at,
        categories=digests({name: _known(values, name) for name in KEPT}),
        outcome=_outcome(values),
    )


def _outcome(values: Mapping[str, str]) -> dict[str, str | bool | float]:
    said = {name: _known(values, name) or "" for name in ("hours", "impact", "urgency", "breached", "kept")}
    found = {
        "hours": hours(said["hours"]),
        "impact": level(said["impact"]),
        "urgency": level(said["urgency"]),
        "breached": breached(said["breached"], said["kept"]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _joined(record: Record, column: str) -> str:
    return "\n".join(filter(None, (_text(record.get(name)) for name in parts(column, record))))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    text = str(value).encode("utf-8", "replace").decode()  # JSON can write half a surrogate pair
    return text.replace("\x00", "").strip()  # PostgreSQL stores neither


def _known(values: Mapping[str, str], field: str) -> str | None:
    text = values.get(field, "")
    return None if text.lower() in EMPTY else text


def _bounded(values: Mapping[str, str], field: str, max_chars: int) -> str:
    text = values.get(field, "")
    if len(text) > max_chars:
        raise ValueError(f"{field} has {len(text):,} characters, at most {max_chars:,} are allowed")
    return "" if text.lower() == "nan" else text  # pandas writes a missing text so


def _content_id(line: int, subject: str, body: str) -> str:
    digest = hashlib.sha256(f"{subject}\0{body}".encode(errors="replace")).hexdigest()
    return f"{digest[:16]}-{line}"
