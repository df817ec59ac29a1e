"""What would make a stack cheaper, by how much, and what one gives up for it: the same engine on a changed plan."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from cost import changes
from cost.bill import assumptions_of, estimate
from cost.book import ZERO, load_book
from cost.meter import HOURS_PER_MONTH
from cost.scenario import Commitment, Scenario
from infra.offline.report import StackPlan

Change = Callable[[StackPlan, Scenario], tuple[StackPlan, Scenario]]
LEAST_USD = Decimal("0.05")  # a month; less is not worth a decision


@dataclass(frozen=True)
class Lever:
    name: str
    gives_up: str
    change: Change


@dataclass(frozen=True)
class Saving:
    name: str
    gives_up: str
    usd_per_month: Decimal
    usd_per_ticket_after: Decimal


def savings(stack: StackPlan, tickets: int, *, scenario: Scenario, today: dt.date) -> list[Saving]:
    """Every lever that saves something here, by itself, the largest first. Savings of two levers do not add up."""
    before = estimate(stack, tickets, scenario=scenario, today=today).monthly_usd
    found = [_saving(lever, stack, tickets, before, scenario=scenario, today=today) for lever in LEVERS]
    found.append(_asleep(stack, tickets, before, scenario=scenario, today=today))
    return sorted((s for s in found if s.usd_per_month >= LEAST_USD), key=lambda s: -s.usd_per_month)


def _saving(
    lever: Lever, stack: StackPlan, tickets: int, before: Decimal, *, scenario: Scenario, today: dt.date
) -> Saving:
    changed, chosen = lever.change(stack, scenario)
    after = estimate(changed, tickets, scenario=chosen, today=today).monthly_usd
    name = f"{lever.name}, at most" if _is_ceiling(stack.cloud, chosen.commitment) else lever.name
    return Saving(name, lever.gives_up, before - after, after / max(tickets, 1))


def _is_ceiling(cloud: str, term: Commitment) -> bool:
    """Some vendors publish how much a commitment saves at most, not what it saves."""
    book = load_book(cloud)
    return term.row in book.prices and "ceiling" in book[str(term.row)].note


def _asleep(stack: StackPlan, tickets: int, before: Decimal, *, scenario: Scenario, today: dt.date) -> Saving:
    """Base nodes that are off when no ticket comes: their share of the month outside arrival hours."""
    hours = min(assumptions_of(stack, scenario)["arrival_hours"], HOURS_PER_MONTH)
    bill = estimate(stack, tickets, scenario=scenario, today=today)
    base = sum((line.amount_usd for line in bill.lines if line.committable), ZERO)
    saved = base * (1 - hours / HOURS_PER_MONTH)
    return Saving(
        f"base nodes off outside {hours:.0f} hours a month",
        "tickets of the night wait until morning",
        saved,
        (before - saved) / max(tickets, 1),
    )


def _plan(change: Callable[[StackPlan], StackPlan]) -> Change:
    return lambda stack, scenario: (change(stack), scenario)


def _commit(term: Commitment) -> Change:
    return lambda stack, scenario: (stack, scenario.model_copy(update={"commitment": term}))


def _scaled(factor: Decimal, *names: str) -> Change:
    """Some assumptions multiplied."""

    def change(stack: StackPlan, scenario: Scenario) -> tuple[StackPlan, Scenario]:
        assumed = assumptions_of(stack, scenario)
        fewer = {name: assumed[name] * factor for name in names}
        return stack, scenario.model_copy(update={"assumptions": {**scenario.assumptions, **fewer}})

    return change


HALF = Decimal("0.5")
LEVERS = (
    Lever("commit to the base nodes for a year", "the freedom to leave or shrink", _commit(Commitment.ONE_YEAR)),
    Lever("commit to the base nodes for three years", "the same, for longer", _commit(Commitment.THREE_YEARS)),
    Lever(
        "one NAT gateway instead of one per zone",
        "calls out stop when that zone does",
        _plan(changes.with_one_nat),
    ),
    Lever(
        "no NAT: private endpoints and an egress proxy of one's own",
        "a proxy to run; the ticketing system is reached through it",
        _plan(changes.without_nat),
    ),
    Lever(
        "no interface endpoints: cloud services through NAT",
        "traffic to cloud services leaves the private network, encrypted",
        _plan(changes.without_interface_endpoints),
    ),
    Lever(
        "one database instead of two",
        "an outage of its zone is an outage until a restore",
        _plan(changes.with_one_database),
    ),
    Lever(
        "Service Bus Standard instead of Premium",
        "the bus is reached over its public name and encrypted with Microsoft's key",
        _plan(changes.with_standard_bus),
    ),
    Lever("logs for 30 days", "older logs when something is found late", _plan(changes.with_30_days_of_logs)),
    Lever(
        "half the logs",
        "detail; sample health checks and access logs",
        _scaled(HALF, "log_kb_per_ticket", "idle_log_gb"),
    ),
    Lever("half the metric series", "detail in dashboards", _scaled(HALF, "metric_series")),
    Lever(
        "images from a registry that is there already", "one place with our own key", _plan(changes.without_registry)
    ),
    Lever(
        "the embedded model instead of the cloud's",
        "written summaries; answers to chats are quotations",
        _plan(changes.without_models),
    ),
)
