"""Which question to ask for which price row: patterns over row names, with the answer's filters."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cost.book import read_yaml

QUERIES = Path(__file__).with_name("queries.yaml")


@dataclass(frozen=True)
class Query:
    """The question for one row; `ask` is what the interface of the cloud understands."""

    key: str
    ask: dict[str, Any]


def queries(cloud: str, keys: list[str], region: str) -> list[Query]:
    """A query for every row that one is known for; the first pattern that fits wins."""
    found = []
    for key in keys:
        for pattern, ask in _patterns(cloud):
            if match := pattern.fullmatch(key):
                found.append(Query(key, _filled(ask, {**match.groupdict(), "region": region})))
                break
    return found


@cache
def _patterns(cloud: str) -> tuple[tuple[re.Pattern[str], Any], ...]:
    return tuple((re.compile(row["match"]), row["ask"]) for row in read_yaml(QUERIES)[cloud])


def _filled(value: Any, names: dict[str, str]) -> Any:
    """`{size}` and `{region}` put in; `{SIZE}` in capitals."""
    if isinstance(value, dict):
        return {key: _filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for name, text in names.items():
        value = value.replace(f"{{{name}}}", text).replace(f"{{{name.upper()}}}", text.upper())
    return value
