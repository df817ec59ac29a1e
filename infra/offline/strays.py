"""Finds stand-ins that leaked: text such as `sb://None`, a null inside a JSON document, a text that is empty."""

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.offline.recorder import Recording

# A value that is exactly "None" may be an enum member (Azure has several); inside longer text it is a leak.
_LEAK = re.compile(r"(?<![A-Za-z0-9])None(?![A-Za-z0-9])")


_EMPTY = {  # where nothing means something
    "prefix": "S3: a rule for every object",
    "ttl": "Pub/Sub: a subscription that never ends",
    "loadBalancingScheme": "Google: a private service connect address takes none",
    "availabilityZone": "Azure: wherever there is room",
}


def stray_values(recording: Recording) -> list[str]:
    made = [(r, f"{r.type} {r.name}") for r in recording.resources.values() if r.custom]
    found = [s for r, where in made for s in (*_walk(r.inputs, where), *_empty(r.inputs, where, ""))]
    return sorted([*found, *_walk(recording.outputs, "output")])


def _empty(value: Any, path: str, key: str) -> Iterator[str]:
    """A field of a capability that its builder forgot is an empty text, and a cloud takes some: an alarm of nothing."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _empty(item, f"{path}.{name}", name)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _empty(item, f"{path}[{i}]", key)
    elif value == "" and key not in _EMPTY:
        yield f"{path}: an empty text; what is it taken from, or what does it mean there (infra/offline/strays.py)?"


def _walk(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _walk(item, f"{path}[{i}]")
    elif isinstance(value, str) and ((value != "None" and _LEAK.search(value)) or _has_null(value)):
        yield f"{path}: a value is missing in {value[:80]!r}; an output of a resource resolved to None"


def _has_null(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        return _any_null(json.loads(text))
    except ValueError:
        return False


def _any_null(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(_any_null(v) for v in items)
