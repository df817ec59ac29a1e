"""Finds stand-ins that leaked as None: text such as `sb://None`, or a null inside a JSON document."""

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.offline.recorder import Recording

# A value that is exactly "None" may be an enum member (Azure has several); inside longer text it is a leak.
_LEAK = re.compile(r"(?<![A-Za-z0-9])None(?![A-Za-z0-9])")


def stray_values(recording: Recording) -> list[str]:
    found = [s for r in recording.resources.values() if r.custom for s in _walk(r.inputs, f"{r.type} {r.name}")]
    return sorted([*found, *_walk(recording.outputs, "output")])


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
