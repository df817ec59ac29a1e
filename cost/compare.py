"""Scenarios beside each other: what each costs, and which lines make the difference."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cost.bill import estimate
from cost.book import ZERO
from cost.estimate import Estimate
from cost.scenario import Scenario
from infra.offline.report import StackPlan

LINES = 3


@dataclass(frozen=True)
class Compared:
    """One stack under one scenario, against the first scenario; `moved` are the lines that changed most."""

    cloud: str
    profile: str
    scenario: str
    monthly_usd: Decimal
    usd_per_ticket: Decimal
    difference_usd: Decimal
    moved: tuple[tuple[str, Decimal], ...]


def compare(
    stacks: Sequence[StackPlan], tickets: int, scenarios: Sequence[Scenario], *, today: dt.date
) -> list[Compared]:
    """Every stack under every scenario, in their order; the first is the base."""
    return [row for stack in stacks for row in _of(stack, tickets, scenarios, today)]


def _of(stack: StackPlan, tickets: int, scenarios: Sequence[Scenario], today: dt.date) -> list[Compared]:
    bills = [estimate(stack, tickets, scenario=scenario, today=today) for scenario in scenarios]
    return [
        Compared(
            cloud=stack.cloud,
            profile=stack.profile,
            scenario=scenario.name,
            monthly_usd=bill.monthly_usd,
            usd_per_ticket=bill.monthly_usd / max(tickets, 1),
            difference_usd=bill.monthly_usd - bills[0].monthly_usd,
            moved=_moved(bills[0], bill),
        )
        for scenario, bill in zip(scenarios, bills, strict=True)
    ]


def _moved(base: Estimate, other: Estimate) -> tuple[tuple[str, Decimal], ...]:
    before, after = _items(base), _items(other)
    moved = [(item, after.get(item, ZERO) - before.get(item, ZERO)) for item in {**before, **after}]
    return tuple(sorted((pair for pair in moved if pair[1]), key=lambda pair: -abs(pair[1]))[:LINES])


def _items(bill: Estimate) -> dict[str, Decimal]:
    """USD by item; a free allowance is part of its item."""
    found: dict[str, Decimal] = {}
    for line in bill.lines:
        item = line.item.removesuffix(", free allowance")
        found[item] = found.get(item, ZERO) + line.amount_usd
    return found
