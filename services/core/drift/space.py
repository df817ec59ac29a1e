"""
Whether texts lie elsewhere than before, by their embeddings.

p: a permutation test of the distance between the means in the windows' own spread (Hotelling's statistic with a ridge),
exact whatever the embeddings are like. Effect: a discriminant learns on one half of both windows to tell now
from before and is asked about the other half, and the other way round; how well it does is Cliff's delta.
"""

import numpy as np
from numpy.typing import NDArray

from services.core.drift.shifts import Shift, rank_shift

RIDGE = 0.1  # of the mean variance: 384 directions are many for some hundred tickets
PERMUTATIONS = 4_999  # the smallest p is 1 in 5,000; contracts.drift asks for no smaller one
CHUNK = 500
SEED = 0  # the same tickets give the same report


def input_shift(before: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[Shift, NDArray[np.float64]]:
    """The shift, and how unlike before each row of `now` looks, by the half that did not see it. Rows (B, H)."""
    unlike, deltas = np.zeros(len(now)), []
    for half in (0, 1):
        weights = _direction(before[1 - half :: 2], now[1 - half :: 2])
        old, new = before[half::2] @ weights, now[half::2] @ weights
        unlike[half::2] = (new - old.mean()) / (old.std() or 1.0)
        deltas.append(rank_shift(old.tolist(), new.tolist()).effect)
    statistic, p = _permuted(before, now)
    return Shift(statistic, p, sum(deltas) / 2), unlike


def _permuted(before: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float]:
    """Hotelling's statistic with a ridge, and how often chance alone reaches it."""
    rows = np.vstack((before, now)).astype(np.float64)
    rows -= rows.mean(axis=0)
    factor = np.linalg.cholesky(np.linalg.inv(_with_ridge(np.cov(rows, rowvar=False))))
    white = rows @ factor
    signs = np.r_[np.full(len(before), -1 / len(before)), np.full(len(now), 1 / len(now))]
    scale = len(before) * len(now) / len(rows)
    found = scale * float(((signs @ white) ** 2).sum())
    random, reached = np.random.default_rng(SEED), 1
    for start in range(0, PERMUTATIONS, CHUNK):
        many = random.permuted(np.tile(signs, (min(CHUNK, PERMUTATIONS - start), 1)), axis=1)
        reached += int((scale * ((many @ white) ** 2).sum(axis=1) >= found).sum())
    return found, reached / (PERMUTATIONS + 1)


def _direction(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fisher's discriminant (H,), with a ridge."""
    old, new = before.astype(np.float64), now.astype(np.float64)
    spread = np.cov(np.vstack((old - old.mean(axis=0), new - new.mean(axis=0))), rowvar=False)
    return np.linalg.solve(_with_ridge(spread), new.mean(axis=0) - old.mean(axis=0))


def _with_ridge(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    return spread + (RIDGE * np.trace(spread) / len(spread) + 1e-9) * np.eye(len(spread))
