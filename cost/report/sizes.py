"""Capacity as rows for people and as data."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from cost.capacity import Size

HEADER = (
    "tickets a month",
    "at the peak, a second",
    "gateway",
    "router",
    "worker",
    "PostgreSQL, vCPU",
    "database, TB",
    "platforms",
    "what ends one database",
)

LEGEND = (
    "gateway, router, worker, PostgreSQL: vCPUs at the peak, in pools filled to `utilisation`; a cluster runs a pod of "
    "each at least, so a small number costs more than it says. Platforms: each with a database of its own. The audit "
    "chain: 10,000 entries a second in one database. design/capacity.md says where each number comes from."
)


def rows(found: Sequence[Size]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    return HEADER, [_row(one) for one in found]


def as_json(found: Sequence[Size]) -> list[dict[str, Any]]:
    return [
        {
            "tickets_per_month": one.tickets,
            "peak_per_s": float(one.peak_per_s),
            "vcpus": {part: float(vcpus) for part, vcpus in one.vcpus.items()},
            "database_tb": float(one.database_tb),
            "platforms": one.platforms,
            "ends": list(one.ends),
        }
        for one in found
    ]


def _row(one: Size) -> tuple[str, ...]:
    parts = (_short(one.vcpus[part]) for part in ("gateway", "router", "worker", "postgres"))
    ends = ", ".join(one.ends)
    return (f"{one.tickets:,}", _short(one.peak_per_s), *parts, _short(one.database_tb), f"{one.platforms}", ends)


def _short(value: Decimal) -> str:
    """Two figures are all that arithmetic of this kind is worth."""
    if value < Decimal("0.01"):
        return "<0.01"
    return f"{value:,.0f}" if value >= 10 else f"{float(value):.2g}"
