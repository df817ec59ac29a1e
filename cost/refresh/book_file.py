"""Writes new prices into a price book line by line: order, comments and rows that were not asked stay as they are."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from cost.book import Tier

ROW = re.compile(r"^  (?P<key>[\w.-]+): (?P<row>\{.*\})$")
PLAIN = re.compile(r"^[A-Za-z][\w.-]*$")
FORGOTTEN = ("secondary", "price", "tiers", "as_of", "region")  # no longer true once the vendor itself was asked


def rewrite(path: Path, new: Mapping[str, tuple[Tier, ...]], source: str, url: str, today: dt.date) -> None:
    """The file with the rows in `new` replaced, their source and date set, and the source listed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    written = [_line(line, new, source, today) for line in lines]
    path.write_text("\n".join(_with_source(written, source, url, today)) + "\n", encoding="utf-8")


def _line(line: str, new: Mapping[str, tuple[Tier, ...]], source: str, today: dt.date) -> str:
    match = ROW.match(line)
    if match is None or match["key"] not in new:
        return line
    kept = {name: value for name, value in yaml.safe_load(match["row"]).items() if name not in FORGOTTEN}
    row = {**_prices(new[match["key"]]), **kept, "source": source, "as_of": today}
    return f"  {match['key']}: {_text(row)}"


def _prices(tiers: tuple[Tier, ...]) -> dict[str, Any]:
    if len(tiers) == 1:
        return {"price": tiers[0].usd}
    rows = [{"from": tier.start, "price": tier.usd, **({"free": True} if tier.free else {})} for tier in tiers]
    return {"tiers": rows}


def _with_source(lines: list[str], source: str, url: str, today: dt.date) -> list[str]:
    row = {"url": url, "kind": "api", "as_of": today, "how": "asked by pointsman cost refresh", "licence": "facts only"}
    entry = f"  {source}: {_text(row)}"
    kept = [line for line in lines if not line.startswith(f"  {source}: {{url:")]
    at = kept.index("sources:") + 1
    return [*kept[:at], entry, *kept[at:]]


def _text(value: Any) -> str:
    """Flow YAML in the style of the books: decimals quoted, so that no reader makes floats of them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, Decimal):
        return f'"{value.normalize():f}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | dt.date):
        return str(value)
    return value if PLAIN.match(value) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
