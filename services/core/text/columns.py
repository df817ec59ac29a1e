"""
Which column of somebody's export holds which field of ours: what `--map` says, and guesses where it says nothing.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from services.core.contracts.facts import KEPT
from services.core.kit.errors import InputInvalid

GUESSES: dict[str, tuple[str, ...]] = {  # best name first; compared in lower case with _ for spaces and hyphens
    "subject": ("subject", "title", "short_description", "summary", "complaint_type"),
    "body": ("body", "description", "text", "content", "message", "instruction", "descriptor"),
    "group": (
        "group",
        "group_name",
        "assignment_group",
        "topic_group",
        "queue",
        "team",
        "category",
        "label",
        "department",
        "agency_name",
        "agency",
    ),
    "priority": ("priority", "ticket_priority"),
    "impact": ("impact",),
    "urgency": ("urgency",),
    "external_id": ("id", "ticket_id", "number", "external_id", "key", "unique_key", "issue_key"),
    "requester": ("email", "requester_email", "requester", "from", "caller_id"),
    "created_at": ("created_at", "created", "opened_at", "created_date", "sys_created_on", "date"),
    "channel": ("channel", "contact_type"),
    "organisation": ("organisation", "organization", "company"),
    "product": ("product", "project"),
    "place": ("place", "borough", "site"),
    "solved_at": ("solved_at", "solved", "resolved_at", "resolved", "closed_at", "closed", "closed_date"),
    "hours": ("hours_to_resolve", "hours_to_solve"),
    "breached": ("sla_breached", "breached"),
    "kept": ("made_sla", "sla_kept"),
}
ALIASES = {"text": "body", "label": "group", "opened": "created_at", "solved": "solved_at"}  # of data sets
EXAMPLE = "--map subject=title,body=description,group=team"


class ColumnsInvalid(InputInvalid):
    """The mapping cannot be used with this file: a usage mistake, not a broken file."""


def parse_map(
    text: str, fields: Collection[str] = tuple(GUESSES), aliases: Mapping[str, str] = ALIASES
) -> dict[str, str]:
    """
    `subject=title,body=text` as field -> column; `created_at=` leaves the field out. A comma in a column: `\\,`.

    `text` is the body where it is all the text there is: no subject is guessed beside it.

    Raises:
        ColumnsInvalid: no `=`, an unknown field, or a field named twice.
    """
    mapping: dict[str, str] = {}
    is_whole = False
    for pair in filter(str.strip, re.split(r"(?<!\\),", text)):
        field, equals, column = (part.strip().replace("\\,", ",") for part in pair.partition("="))
        if not equals:
            raise ColumnsInvalid(f"--map: '{pair.strip()}' has no '='. Write field=column, for example {EXAMPLE}")
        is_whole |= field == "text"
        field = aliases.get(field, field)
        if field not in fields:
            known = ", ".join((*fields, *aliases))
            raise ColumnsInvalid(f"--map: '{field}' is not a field. Fields: {known}. Example: {EXAMPLE}")
        if field in mapping:
            raise ColumnsInvalid(f"--map: '{field}' is named twice, as '{mapping[field]}' and '{column}'. Keep one.")
        mapping[field] = column
    return {"subject": "", **mapping} if is_whole else mapping


def resolve(
    columns: Sequence[str],
    chosen: Mapping[str, str],
    *,
    required: Collection[str] = (),
    fields: Collection[str] = tuple(GUESSES),
) -> dict[str, str]:
    """
    Field -> column, or columns joined by `+`: what was chosen, guesses for the rest. Of other `fields` nothing is read,
    and nothing can be wrong.

    Raises:
        ColumnsInvalid: a chosen column is not there, no text column was found, or a required field has none.
    """
    for field, column in chosen.items():
        for part in parts(column, columns):
            if part not in columns:
                raise ColumnsInvalid(f"--map {field}={column}: there is no column '{part}'. {_existing(columns)}")
    taken = {part for column in chosen.values() for part in parts(column, columns)}
    free = [column for column in columns if column not in taken]
    guessed = {field: guess(GUESSES[field], free) for field in GUESSES if field not in chosen}
    mapping = {field: column for field, column in {**guessed, **chosen}.items() if column and field in fields}
    if "subject" not in mapping and "body" not in mapping:
        raise _missing("body", columns, mapping, "No column with the ticket's text was found (subject or body).")
    for field in required:
        if field not in mapping:
            raise _missing(field, columns, mapping, f"No column for the field '{field}' was found.")
    return mapping


def parts(names: str, columns: Collection[str]) -> list[str]:
    """`title+body` is two columns, unless the file has one of that name."""
    found = [name for name in names.split("+") if name]
    return [names] if names and (names in columns or not found) else found


def guess(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column that has the first of these names, however it is spelled."""
    by_name = {_plain(column): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _plain(column: str) -> str:
    return re.sub(r"[\s\-]+", "_", column.strip().lower())


def _missing(field: str, columns: Sequence[str], mapping: Mapping[str, str], fact: str) -> ColumnsInvalid:
    taken = {name for other, name in mapping.items() if other not in KEPT}  # a guess at what only helps is no reason
    unused = [column for column in columns if column not in taken]
    tries = [f"--map '{field}={column}'" for column in unused[:3]] or [EXAMPLE]
    return ColumnsInvalid(f"{fact} {_existing(columns)} Say which one it is, for example: {' or '.join(tries)}")


def _existing(columns: Sequence[str]) -> str:
    return f"The file has the columns: {', '.join(columns) or '(none)'}."
