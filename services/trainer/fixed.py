"""
What one fixed threshold for all groups would do on the same tickets, as simpler routers decide: what thresholds of each
group are worth shows beside it.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.trainer.metrics import risk_coverage

FIXED = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
SHARES = tuple(round(float(share), 2) for share in np.linspace(0.05, 1, 20))

Chances = Mapping[str, NDArray[np.floating]]  # by model, (B, Q), rows sum to 1


def fixed_thresholds(chances: Chances, truth: NDArray[np.int32], foreign: NDArray[np.bool_]) -> dict[str, Any]:
    """
    By model, for each of FIXED: the share of tickets routed automatically, and of these the share that is right (None
    where there are none); where there are `foreign` ones, the share of those that would be routed, too.
    """
    return {name: [_point(values, truth, foreign, limit) for limit in FIXED] for name, values in chances.items()}


def _point(
    chances: NDArray[np.floating], truth: NDArray[np.int32], foreign: NDArray[np.bool_], limit: float
) -> dict[str, float | None]:
    automatic, right = chances.max(axis=1) >= limit, chances.argmax(axis=1) == truth
    inside = automatic[~foreign]
    point = {
        "threshold": limit,
        "auto_rate": float(inside.mean()),
        "auto_precision": float(right[~foreign][inside].mean()) if inside.any() else None,
    }
    return point | ({"oos_auto_rate": float(automatic[foreign].mean())} if foreign.any() else {})


def surest_first(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> list[list[float]]:
    """[share of tickets, share of them that is right] at SHARES, the surest tickets first."""
    share, precision = zip(*risk_coverage(confidence, right), strict=True)
    return [[at, float(np.interp(at, share, precision))] for at in SHARES]


def average(values: Sequence[Any]) -> Any:
    """The mean of every number in values of one shape; a number that is None in some is the others' mean."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], dict):
        shared = [name for name in known[0] if all(name in value for value in known)]
        return {name: average([value[name] for value in known]) for name in shared}
    if isinstance(known[0], list):
        return [average(column) for column in zip(*known, strict=True)]
    return known[0] if len(set(known)) == 1 else fmean(known)  # .7, not .7000000000000001
