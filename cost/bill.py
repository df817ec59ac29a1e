"""The one door: a planned stack, a volume and a scenario in, an estimate out."""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal

from cost.book import PriceBook, load_book
from cost.estimate import Estimate, lines_of
from cost.rules import meters
from cost.rules.context import Context
from cost.scenario import Scenario
from cost.usage import Assumptions, Level, demand, load_assumptions
from infra.offline.report import StackPlan
from services.core.kit.errors import InputInvalid

DEFAULT_VOLUMES = (1_000, 5_000, 24_000, 100_000, 1_000_000)
# `small` is one machine and the smallest database: design decision 14 gives it to 20,000 tickets a month.
# What a profile was sized for, not what was measured on a cloud: nothing has run there yet.
TICKETS_MAX = {"small": 20_000, "dev": 20_000, "prod": 100_000}
BAND_USD = (Decimal("0.02"), Decimal("0.05"))  # the promise, USD per ticket


def estimate(
    stack: StackPlan,
    tickets: int,
    *,
    scenario: Scenario | None = None,
    today: dt.date,
    assumptions: Assumptions | None = None,
) -> Estimate:
    """
    What `stack` costs a month.

    Raises:
        ResourceUnpriced: a resource type without a rule.
        PriceUnknown: a rule asks for a price row that the book has not.
        InputInvalid: a negative number of tickets, or a model of one's own on a stack without GPU machines.
    """
    chosen = scenario or Scenario()
    if chosen.own_models and "gpu" not in stack.contract.get("cluster", {}).get("pools", {}):
        raise InputInvalid(
            f"{stack.cloud}/{stack.profile} has no GPU machines for a model of your own. Choose another "
            "--profile, or set cluster.gpu in its settings."
        )
    book = _book(stack.cloud, chosen, today)
    assumed = assumptions or assumptions_of(stack, chosen)
    row = chosen.commitment.row if chosen.commitment.row in book.prices else None
    ctx = Context(
        stack, demand(assumed, tickets), assumed, book, is_committed=row is not None, own_models=chosen.own_models
    )
    lines = lines_of(meters(ctx), book, today=today, commitment=row)
    notes = tuple(_notes(stack, tickets, chosen, has_commitment=row is not None))
    return Estimate(stack.cloud, stack.profile, tickets, lines, notes)


def estimates(
    stacks: Iterable[StackPlan], volumes: Sequence[int], *, scenario: Scenario | None = None, today: dt.date
) -> list[Estimate]:
    """Every stack at every volume, volumes ascending."""
    if not volumes:
        raise InputInvalid("No number of tickets is given. Example: --tickets 1000,24000")
    return [
        estimate(stack, volume, scenario=scenario, today=today) for stack in stacks for volume in sorted(set(volumes))
    ]


def assumptions_of(stack: StackPlan, scenario: Scenario) -> Assumptions:
    """The inputs of a stack at the scenario's level, with its numbers."""
    assumed = load_assumptions(stack.cloud, stack.profile, overrides=scenario.assumptions)
    return assumed if scenario.level is Level.EXPECTED else assumed.all_at(scenario.level)


def is_beyond(profile: str, tickets: int) -> bool:
    """The profile is not made for so many tickets: the figure is arithmetic, not a promise."""
    return tickets > TICKETS_MAX.get(profile, tickets)


def _notes(stack: StackPlan, tickets: int, scenario: Scenario, *, has_commitment: bool) -> Iterable[str]:
    if is_beyond(stack.profile, tickets):
        further = "beyond that nothing was sized" if stack.profile == "prod" else "take prod beyond that"
        yield f"{stack.profile} is made for {TICKETS_MAX[stack.profile]:,} tickets a month: {further}"
    if scenario.commitment.row and not has_commitment:
        term = scenario.commitment.value
        yield f"no price with a source for a commitment of {term} on {stack.cloud}: list price taken"


def _book(cloud: str, scenario: Scenario, today: dt.date) -> PriceBook:
    book = load_book(cloud)
    if not scenario.free_allowances:
        book = book.without_allowances()
    own = scenario.prices.get(cloud)
    return book.with_prices(own, today=today) if own else book
