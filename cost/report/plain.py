"""Estimates as JSON, CSV and terminal tables. Decimals become numbers here and nowhere before."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cost.estimate import Estimate, Line

COLUMNS = (
    "cloud",
    "profile",
    "tickets_per_month",
    "capability",
    "item",
    "quantity",
    "unit",
    "unit_usd",
    "amount_usd",
    "fixed",
    "source",
    "as_of",
    "marks",
)


def as_json(estimates: Iterable[Estimate]) -> str:
    """`{"estimates": [...]}`; amounts are rounded to a millionth of a dollar, lines sum to the month."""
    return json.dumps({"estimates": [_plain(estimate) for estimate in estimates]}, indent=2)


def as_csv(estimates: Iterable[Estimate]) -> str:
    """One row per line of every bill, for a pivot table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for estimate in estimates:
        who = (estimate.cloud, estimate.profile, estimate.tickets_per_month)
        for line in estimate.lines:
            row = _line(line)
            writer.writerow([*who, *(row[name] for name in COLUMNS[3:])])
    return out.getvalue()


def summary_rows(
    estimates: Sequence[Estimate], names: Mapping[str, str] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Stacks side by side, a row per volume; `names` spells the clouds out."""
    spelled = names or {}
    stacks = list(dict.fromkeys((e.cloud, e.profile) for e in estimates))
    header = ["tickets a month", *(f"{spelled.get(cloud, cloud)} {profile}" for cloud, profile in stacks)]
    rows = []
    for volume in sorted({e.tickets_per_month for e in estimates}):
        at = {(e.cloud, e.profile): e for e in estimates if e.tickets_per_month == volume}
        rows.append([f"{volume:,}", *(_cell(at[key]) if key in at else "" for key in stacks)])
    return header, rows


def line_rows(estimate: Estimate) -> tuple[list[str], list[list[str]]]:
    """The bill of one stack, its largest lines first."""
    header = ["capability", "item", "quantity", "unit", "unit USD", "USD", "", "price of", "mark"]
    rows = [
        [
            line.capability,
            line.item,
            number(line.quantity),
            line.unit,
            number(line.unit_usd),
            f"{line.amount_usd:,.2f}",
            "fixed" if line.fixed else "per use",
            line.as_of.isoformat(),
            line.marks,
        ]
        for line in sorted(estimate.lines, key=lambda line: -line.amount_usd)
    ]
    return header, rows


def number(value: Decimal) -> str:
    """Six significant digits, without an exponent."""
    return f"{Decimal(f'{value:.6g}').normalize():f}"


def per_ticket(estimate: Estimate) -> str:
    usd = estimate.usd_per_ticket
    return "-" if usd is None else f"{usd:.4f}"


def _cell(estimate: Estimate) -> str:
    beyond = " *" if any("is made for" in note for note in estimate.notes) else ""
    return f"{estimate.monthly_usd:,.2f}  ({per_ticket(estimate)}){beyond}"


def _plain(estimate: Estimate) -> dict[str, Any]:
    usd = estimate.usd_per_ticket
    return {
        "cloud": estimate.cloud,
        "profile": estimate.profile,
        "tickets_per_month": estimate.tickets_per_month,
        "monthly_usd": float(estimate.monthly_usd),
        "fixed_usd": float(estimate.fixed_usd),
        "usd_per_ticket": None if usd is None else round(float(usd), 8),
        "notes": list(estimate.notes),
        "gaps": list(estimate.gaps),
        "lines": [_line(line) for line in estimate.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "capability": line.capability,
        "item": line.item,
        "quantity": float(line.quantity),
        "unit": line.unit,
        "unit_usd": float(line.unit_usd),
        "amount_usd": float(line.amount_usd),
        "fixed": line.fixed,
        "source": line.url or line.source,
        "as_of": line.as_of.isoformat(),
        "stale": line.stale,
        "secondary": line.secondary,
        "gap": line.gap,
        "marks": line.marks,
    }
