"""
When a canary has seen enough: tests that may be looked at after every ticket.

Each is a bettor's wealth that a true hypothesis keeps from growing: it exceeds 1/alpha with a chance of at most alpha,
however often one looks (Ville's inequality). Source: Waudby-Smith and Ramdas 2024, Estimating means of bounded random
variables by betting, JRSS-B 86.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])  # the wealth is the mean over these bettors


@dataclass(frozen=True)
class CanaryRules:
    """
    `worse_max`: how much less often a candidate may be right and still be promoted. `alpha`: the chance of promoting
    one that is worse than that, and of dropping one that is as good. `disagree_max`: share of tickets that it may
    answer otherwise. `labels_max`: tickets with a known answer after which the champion stays.
    """

    worse_max: float = 0.03
    alpha: float = 0.05
    disagree_max: float = 0.3
    labels_max: int = 3_000


@dataclass(frozen=True)
class Verdict:
    """What to do with the candidate, and why, in a sentence."""

    state: Literal["running", "promoted", "dropped"]
    reason: str


def judge(differs: Sequence[bool], gains: Sequence[int], rules: CanaryRules) -> Verdict:
    """
    Args:
        differs: for each live ticket whether both answered otherwise, in their order.
        gains: for each labelled one, as the labels came: 1 where only the candidate was right, -1 only the champion,
            else 0.
    """
    gain, differ = np.array(gains, float), np.array(differs, float)
    seen = (
        f"{len(gain)} labelled of {len(differ)} live tickets, candidate right on {gain.mean() if len(gain) else 0:+.1%}"
    )
    limit = np.log(1 / rules.alpha)
    if wealth(differ - rules.disagree_max) >= limit:
        share = f"{differ.mean():.0%} of {len(differ)} live tickets answered otherwise"
        return Verdict("dropped", f"{share}, limit {rules.disagree_max:.0%}")
    if wealth(-gain) >= limit:
        return Verdict("dropped", f"shown to be worse than the champion: {seen}")
    if wealth((gain + rules.worse_max) / (1 + rules.worse_max)) >= limit:
        return Verdict("promoted", f"shown to be at most {rules.worse_max:.0%} worse than the champion: {seen}")
    if len(gain) >= rules.labels_max:
        return Verdict("dropped", f"not shown to be as good as the champion: {seen}")
    return Verdict("running", seen)


def wealth(values: NDArray[np.float64]) -> float:
    """Logarithm of the most that betting on a mean above 0 has earned; `values` are within -1..1."""
    if not len(values):
        return 0.0
    return float(paths(values[None, :]).max())


def paths(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the wealth after each ticket, (runs, tickets) for as many values."""
    earned = np.cumsum(np.log1p(values[:, :, None] * STAKES), axis=1)
    top = earned.max(axis=2)
    return top + np.log(np.exp(earned - top[:, :, None]).mean(axis=2))
