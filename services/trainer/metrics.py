"""How good a router is: accuracy, macro-F1, calibration error, risk and coverage. Pure numpy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15
FLOOR_DRAWS = 200
CURVE_POINTS = 41


def macro_f1(truth: NDArray[np.int32], guess: NDArray[np.int32]) -> float:
    """Mean F1 over the groups that occur in `truth`; -1 is a group that the router does not know."""
    truth, guess = truth + 1, guess + 1
    groups = int(max(truth.max(), guess.max())) + 1
    hits = np.bincount(truth[truth == guess], minlength=groups)
    rows = np.bincount(truth, minlength=groups)
    either = rows + np.bincount(guess, minlength=groups)
    return float((2 * hits[rows > 0] / either[rows > 0]).mean())


def calibration_error(chance: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """
    Expected calibration error over bins of equal width.

    Source: Guo et al. 2017, arXiv:1706.04599, 15 bins.
    """
    bins = np.minimum((chance * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(chance[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(gaps) / len(chance))


def calibration_floor(chance: NDArray[np.floating], *, seed: int = 0) -> float:
    """The mean `calibration_error` that a perfectly calibrated model with these chances would show on as many rows."""
    return float(np.mean(_perfect_errors(chance, seed)))


def calibration_noise(chance: NDArray[np.floating], *, seed: int = 0) -> float:
    """What such a model would exceed once in twenty times."""
    return float(np.quantile(_perfect_errors(chance, seed), 0.95))


def _perfect_errors(chance: NDArray[np.floating], seed: int) -> list[float]:
    random = np.random.default_rng(seed)
    draws = (random.random(len(chance)) < chance for _ in range(FLOOR_DRAWS))
    return [calibration_error(chance, right) for right in draws]


def risk_coverage(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """(coverage, accuracy of what is covered), most confident first, 41 points."""
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    cuts = np.unique(np.linspace(1, len(order), min(CURVE_POINTS, len(order))).round().astype(int))
    return tuple((float(n / len(order)), float(accuracy[n - 1])) for n in cuts)


def auc(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Chance that one of the positive has a higher score than one of the others; .5 where there are none of a kind."""
    from scipy.stats import rankdata

    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return 0.5
    return float((rankdata(score)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def group_metrics(
    truth: NDArray[np.int32], guess: NDArray[np.int32], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Rows, recall and precision of each group that occurs."""
    found = {}
    for group in np.unique(truth):
        hit = float(((truth == group) & (guess == group)).sum())
        found[labels[group]] = {
            "rows": float((truth == group).sum()),
            "recall": hit / max(1.0, float((truth == group).sum())),
            "precision": hit / max(1.0, float((guess == group).sum())),
        }
    return found
