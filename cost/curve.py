"""USD per ticket over the number of tickets, with low and high, and from which volume on a price is met."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from cost.bill import assumptions_of, estimate
from cost.scenario import Scenario
from cost.usage import Level
from infra.offline.report import StackPlan

VOLUMES = tuple(
    sorted({*(round(10 ** (2 + i / 5)) for i in range(21)), 20_000})
)  # 100 to 1,000,000; the end of `small`
VOLUME_MAX = 10_000_000


@dataclass(frozen=True)
class Point:
    tickets: int
    low_usd: Decimal
    expected_usd: Decimal
    high_usd: Decimal


@dataclass(frozen=True)
class Curve:
    """`met_from`: the fewest tickets a month at which a price per ticket is reached; None: not below ten million."""

    cloud: str
    profile: str
    points: tuple[Point, ...]
    met_from: dict[Decimal, int | None]


def curve(
    stack: StackPlan,
    *,
    scenario: Scenario,
    today: dt.date,
    targets: Sequence[Decimal],
    volumes: Sequence[int] = VOLUMES,
) -> Curve:
    """The curve of one stack; every point is an estimate of its own."""

    def at(tickets: int, level: Level) -> Decimal:
        assumed = assumptions_of(stack, scenario.model_copy(update={"level": level}))
        bill = estimate(stack, tickets, scenario=scenario, today=today, assumptions=assumed)
        return bill.monthly_usd / tickets

    points = tuple(Point(n, at(n, Level.LOW), at(n, scenario.level), at(n, Level.HIGH)) for n in volumes)
    met = {target: _met_from(target, lambda n: at(n, scenario.level), volumes) for target in targets}
    return Curve(stack.cloud, stack.profile, points, met)


def _met_from(target: Decimal, usd_at: Callable[[int], Decimal], volumes: Sequence[int]) -> int | None:
    """Scan for the first volume that meets the target, then halve: steps of tiers make the curve almost falling."""
    if usd_at(volumes[0]) <= target:
        return volumes[0]
    for below, above in pairwise((*volumes, VOLUME_MAX)):
        if usd_at(above) <= target:
            return _halve(target, usd_at, below, above)
    return None


def _halve(target: Decimal, usd_at: Callable[[int], Decimal], below: int, above: int) -> int:
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if usd_at(middle) <= target else (middle, above)
    return above
