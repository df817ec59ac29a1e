"""
Many alike tickets in a short time: which of them belong together, and whether that is more than chance.

Tickets that come by chance come as a Poisson process; a look every minute at what came last asks often, so the chance
of a look is what the rules' false alarms leave to it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.surge import SurgeRules

PAIRS_MAX = 600  # rows of the past that are compared with each other to learn what is near
RATE_MIN = 0.5  # of a window: what never came before may come once by chance
BUSY = 4.0  # 168 hours a week, 42 of them busy: by the mean rate each morning would be a surge
FLOOR_MIN = 0.5  # cosine; below it two texts are not about the same, however far apart all others are
FLOOR_MAX = 0.95  # texts that differ by a word are alike, also where the same one comes all day


@dataclass(frozen=True)
class Surge:
    """`members` are rows of what came lately; `expected`: how many would have come in the window by chance."""

    members: tuple[int, ...]
    expected: float
    p: float


def alike_floor(past: NDArray[np.float32], rules: SurgeRules) -> float:
    """The cosine from which two tickets are alike: all but `alike_pairs` of the past's pairs lie below it."""
    rows = past[np.linspace(0, len(past) - 1, min(len(past), PAIRS_MAX)).astype(int)]
    near = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return min(FLOOR_MAX, max(FLOOR_MIN, float(np.quantile(near, 1 - rules.alike_pairs))))


def p_max(rules: SurgeRules) -> float:
    """Windows that do not overlap, in the days in which one false alarm is allowed."""
    return rules.minutes / (rules.false_alarm_days * 24 * 60)


def find(now: NDArray[np.float32], past: NDArray[np.float32], past_minutes: float, rules: SurgeRules) -> list[Surge]:
    """The surges among `now` (B, H), the largest first; a row is in one at most. Rows have length 1."""
    if len(now) < rules.tickets or not len(past):
        return []
    floor = alike_floor(past, rules)
    near = now @ now.T >= floor
    left, found = np.ones(len(now), bool), []
    while True:
        sizes = (near & left[None, :]).sum(axis=1) * left
        core = int(sizes.argmax())
        if sizes[core] < rules.tickets:
            return found
        members = np.flatnonzero(near[core] & left)
        expected = _expected(now[core], past, floor, past_minutes, rules)
        p = poisson_tail(len(members), expected) * len(now)  # any row may be a core (Bonferroni)
        if p <= p_max(rules):
            found.append(Surge(tuple(map(int, members)), expected, min(1.0, p)))
        left[members] = False


def alike(
    some: NDArray[np.float32], others: NDArray[np.float32], past: NDArray[np.float32], past_minutes: float,
    rules: SurgeRules,
) -> list[int]:  # fmt: skip
    """
    Rows of `others` that are near to what `some` are about: the one of them with the most of them near it.

    So near that in a quiet time chance brings less than one: else the incident would never end where many tickets come.
    """
    if not len(some):
        return []
    floor = alike_floor(past, rules)
    core = some[int((some @ some.T >= floor).sum(axis=1).argmax())]
    usual = RATE_MIN * past_minutes / (BUSY * rules.quiet_minutes)
    seldom = float(np.quantile(past @ core, 1 - min(1.0, usual / len(past))))
    return np.flatnonzero(others @ core >= min(FLOOR_MAX, max(floor, seldom))).tolist()


def poisson_tail(count: int, mean: float) -> float:
    """P(X >= count)."""
    below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count))
    return max(1 - below, math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)))


def _expected(
    core: NDArray[np.float32], past: NDArray[np.float32], floor: float, past_minutes: float, rules: SurgeRules
) -> float:
    """Alike ones of the past by window, as in the busy hours."""
    alike = int((past @ core >= floor).sum())
    return max(RATE_MIN, BUSY * alike * rules.minutes / past_minutes)
