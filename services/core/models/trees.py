"""Boosted trees as arrays: what scikit-learn has grown, walked with numpy alone, all trees of a batch at once."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trees:
    """
    N nodes of K x R trees. `roots` (K, R): the node that each tree begins at. A leaf points at itself on both sides.

    A row goes left where its `feature` is at most `threshold`, or unknown and `unknown_left`.
    """

    roots: NDArray[np.int32]
    baseline: NDArray[np.float64]  # (K,)
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    unknown_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    depth: NDArray[np.int32]  # (1,)

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, F) to (B, K)."""
        node = np.broadcast_to(self.roots.reshape(-1), (len(features), self.roots.size))
        rows = np.arange(len(features))[:, None]
        for _ in range(int(self.depth[0])):
            value = features[rows, self.feature[node]]
            goes_left = np.where(np.isnan(value), self.unknown_left[node], value <= self.threshold[node])
            node = np.where(goes_left, self.left[node], self.right[node])
        return self.value[node].reshape(len(features), *self.roots.shape).sum(axis=2) + self.baseline


TREE_ARRAYS = tuple(field.name for field in fields(Trees))
