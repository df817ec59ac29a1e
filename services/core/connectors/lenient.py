"""
Reading what other systems send: strict about JSON and ids, lenient about the rest.

What comes out can be stored: no NUL, no lone surrogate, no NaN (PostgreSQL's text and jsonb refuse all three). Text
goes on without them, an id that has one is refused: without it, it would be another's.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.core.contracts.ticket import BODY_MAX_CHARS, SUBJECT_MAX_CHARS, Priority, Status
from services.core.kit.errors import PayloadInvalid

DEPTH_MAX = 32  # deepest JSON seen from a ticketing system is 6; deeper is an attack on the parser
EXTERNAL_ID_MAX_CHARS = 128
DELIVERY_ID_MAX_CHARS = 200
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MARK = "\ufffe"  # stands where one was; no character of Unicode, so nobody writes it

# Words that ticketing systems use for the four priorities, lower-cased.
PRIORITY_WORDS: Mapping[Priority, str] = {
    Priority.URGENT: "urgent critical blocker highest immediate p1 dringend sofort kritisch critique",
    Priority.HIGH: "high major p2 hoch haute",
    Priority.NORMAL: "normal medium moderate p3 mittel moyenne",
    Priority.LOW: "low minor trivial lowest planning p4 p5 niedrig basse",
}
PRIORITIES = {word: priority for priority, words in PRIORITY_WORDS.items() for word in words.split()}
STATUSES: Mapping[str, Status] = {status.value: status for status in Status} | {
    "hold": Status.PENDING,
    "on-hold": Status.PENDING,
    "on_hold": Status.PENDING,
    "resolved": Status.SOLVED,
}


def read_object(body: bytes, *, system: str) -> dict[str, Any]:
    """
    The JSON object in `body`, storable.

    Raises:
        PayloadInvalid: not UTF-8, not JSON, not an object, or nested too deeply.
    """
    parsed = _read_json(body, system=system)
    if not isinstance(parsed, dict):
        raise PayloadInvalid(f"The {system} body is a JSON {type(parsed).__name__}. Send one JSON object.")
    return storable(parsed, system=system)


def read_objects(body: bytes, *, system: str) -> list[Any]:
    """
    The items of the JSON array in `body`, for systems that bundle events; one object counts as an array of one.

    What an item is, and whether it can be stored, is said item by item: `as_object`.

    Raises:
        PayloadInvalid: not UTF-8, not JSON, or neither array nor object.
    """
    parsed = _read_json(body, system=system)
    if not isinstance(parsed, dict | list):
        raise PayloadInvalid(f"The {system} body is a JSON {type(parsed).__name__}. Send an array of objects.")
    return parsed if isinstance(parsed, list) else [parsed]


def as_object(item: Any, *, system: str) -> dict[str, Any]:
    """
    One item of a bundle, storable.

    Raises:
        PayloadInvalid: not an object, or nested too deeply.
    """
    if not isinstance(item, dict):
        raise PayloadInvalid(f"An event of the {system} call is a JSON {type(item).__name__}. Send objects.")
    return storable(item, system=system)


def _read_json(body: bytes, *, system: str) -> Any:
    try:
        # strict=False: template engines put raw line breaks into JSON strings; the meaning is plain.
        return json.loads(body.decode("utf-8"), strict=False)
    except (ValueError, RecursionError) as exc:
        raise PayloadInvalid(f"The {system} body is not JSON in UTF-8 ({_short(exc)}). Send one JSON object.") from exc


def storable(value: Any, *, system: str, depth: int = 0) -> Any:
    """`value` with a mark in place of what PostgreSQL cannot hold: `text` leaves it out, an id must not have it."""
    if depth > DEPTH_MAX:
        raise PayloadInvalid(f"The {system} body is nested deeper than {DEPTH_MAX} levels. Send a flatter object.")
    if isinstance(value, str):
        return _UNSTORABLE.sub(_MARK, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [storable(item, system=system, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return {_UNSTORABLE.sub(_MARK, key): storable(v, system=system, depth=depth + 1) for key, v in value.items()}
    return value


def child(value: Any, key: str) -> dict[str, Any]:
    """The object under `key`, or an empty one."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None: what a system is to change."""
    return {name: value for name, value in fields.items() if value is not None}


def text(value: Any) -> str:
    """A string as it is, a number spelled out, anything else empty."""
    if isinstance(value, str):
        return value.replace(_MARK, "")
    return str(value) if _is_number(value) else ""


def subject(value: Any) -> str:
    return text(value)[:SUBJECT_MAX_CHARS]


def long_text(value: Any) -> str:
    return text(value)[:BODY_MAX_CHARS]


def optional_id(value: Any) -> str | None:
    """
    An id as string whether it came as int or string; None when absent, blank or 0 (Zendesk's 'nobody').

    Raises:
        PayloadInvalid: it held a character that cannot be stored.
    """
    if isinstance(value, str):
        stripped = storable_id(value).strip()
    else:
        stripped = str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
    return stripped if stripped not in ("", "0") else None


def storable_id(value: str) -> str:
    """
    The same.

    Raises:
        PayloadInvalid: it held a character that cannot be stored.
    """
    if _MARK in value:
        raise PayloadInvalid("An id holds NUL or half a surrogate pair, which cannot be stored. Send it without.")
    return value


def external_id(value: Any, *, where: str) -> str:
    """
    The ticket's id, always a string.

    Raises:
        PayloadInvalid: absent, not storable, or longer than 128 characters; `where` names the field in the message.
    """
    found = optional_id(value)
    if found is None:
        raise PayloadInvalid(f"{where} is missing. Send the ticket's id there, as a string or a whole number.")
    if len(found) > EXTERNAL_ID_MAX_CHARS:
        raise PayloadInvalid(f"{where} has {len(found)} characters; at most {EXTERNAL_ID_MAX_CHARS} are taken.")
    return found


def delivery_id(value: str) -> str:
    """`value`, or its hash where it is too long to be a key."""
    if len(value) <= DELIVERY_ID_MAX_CHARS:
        return value
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def time(value: Any) -> datetime | None:
    """A UTC time from ISO 8601 or unix seconds; None when it is neither."""
    try:
        if _is_number(value):
            return datetime.fromtimestamp(value, UTC)
        parsed = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if parsed is None:
            return None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def time_ms(value: Any) -> datetime | None:
    """A UTC time from unix milliseconds; None when it is no number."""
    return time(value / 1000) if _is_number(value) else None


def priority(value: Any) -> Priority | None:
    """Our word for the system's (`1 - Critical` is urgent). A bare number has none: 1 is the highest or the lowest."""
    return PRIORITIES.get(re.sub(r"^\d+\s*-\s*", "", text(value).strip().lower()))


def status(value: Any) -> Status | None:
    """The status in our words; None when absent or unknown."""
    return STATUSES.get(text(value).strip().lower())


def tags(value: Any) -> tuple[str, ...]:
    """Tags from a list, or from one string separated by blanks or commas; each once, in order."""
    found = re.split(r"[\s,]+", value) if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(tag for tag in map(text, found) if tag))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(exc: BaseException) -> str:
    # Never the exception's own words: a decode error repeats bytes of the body, which is ticket text.
    return type(exc).__name__ + (f" at character {exc.pos}" if isinstance(exc, json.JSONDecodeError) else "")
