"""What drives the bill: each assumption moved to its ends by itself, the others as expected."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from cost.bill import assumptions_of, estimate
from cost.changes import on_demand
from cost.scenario import Scenario
from cost.usage import Assumptions, Level
from infra.offline.report import StackPlan


@dataclass(frozen=True)
class Swing:
    """Monthly USD at both ends of one input."""

    name: str
    low: str
    high: str
    unit: str
    low_usd: Decimal
    high_usd: Decimal

    @property
    def width(self) -> Decimal:
        return abs(self.high_usd - self.low_usd)


def swings(stack: StackPlan, tickets: int, *, scenario: Scenario, today: dt.date) -> list[Swing]:
    """Every input that moves the bill at all, the widest first; and what losing spot capacity would do."""
    assumed = assumptions_of(stack, scenario)

    def usd(ends: Assumptions, plan: StackPlan = stack) -> Decimal:
        return estimate(plan, tickets, scenario=scenario, today=today, assumptions=ends).monthly_usd

    found = [
        Swing(
            _words(name),
            f"{item.ends[Level.LOW].normalize():,f}",
            f"{item.ends[Level.HIGH].normalize():,f}",
            item.unit,
            usd(assumed.at(name, Level.LOW)),
            usd(assumed.at(name, Level.HIGH)),
        )
        for name, item in assumed.inputs.items()
        if name not in assumed.overrides
    ]
    base = usd(assumed)
    found.append(Swing("spot capacity", "as planned", "none", "to be had", base, usd(assumed, on_demand(stack))))
    return sorted((swing for swing in found if swing.width), key=lambda swing: -swing.width)


def _words(name: str) -> str:
    """`idle_log_gb` -> `idle log`: the unit is said behind the numbers."""
    words = name.split("_")
    return " ".join(words[:-1] if words[-1] in ("gb", "kb", "s", "months") and len(words) > 1 else words)
