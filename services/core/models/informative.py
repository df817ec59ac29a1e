"""
In which order people's answers teach the most: what the router is unsure of and what is unlike the rest.

Greedy: each next ticket has the largest product of uncertainty and distance to all that were asked before.
Source: Brinker 2003, Incorporating diversity in active learning; the margin: Settles 2009, section 3.1.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def order(
    uncertainty: "NDArray[np.float64]",
    embeddings: "NDArray[np.float32]",
    asked: "NDArray[np.float32] | None" = None,
    *,
    first: int | None = None,
) -> list[int]:
    """
    Rows in the order in which to ask, the first `first` of them (all).

    Args:
        uncertainty: (B,), larger is less sure. embeddings: (B, H), rows of length 1. asked: (N, H), answered before.
    """
    import numpy as np

    nearest = np.full(len(uncertainty), 0.0)
    if asked is not None and len(asked):
        nearest = np.maximum(nearest, (embeddings @ asked.T).max(axis=1))
    left, found = np.ones(len(uncertainty), bool), []
    for _ in range(min(first or len(uncertainty), len(uncertainty))):
        score = np.where(left, uncertainty * (1.0 - nearest), -1.0)
        best = int(score.argmax())
        left[best] = False
        found.append(best)
        nearest = np.maximum(nearest, embeddings @ embeddings[best])
    return found
