"""The k-nearest-neighbour member over training embeddings: the path for rare groups and for out-of-scope text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.models.manifest import NEIGHBOURS_FILE

K = 7  # votes; 7 was the best k on long-tail tickets
K_SIMILARITY = 5  # mean cosine of this many: the out-of-scope signal
VOTE_SHARPNESS = 20.0  # a neighbour's vote is exp(sharpness * cosine): near ones decide
MAX_NEIGHBOURS = 8_192  # 12 MiB as float32; more adds latency, hardly accuracy
SMOOTHING = 1e-3  # probability left for groups without a vote


@dataclass(frozen=True)
class Neighbours:
    """`embeddings` float32 (N, H), rows of length 1; `labels` int32 (N,), indexes into the manifest's labels."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int32]
    groups: int

    def score(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """
        Votes of the nearest training tickets.

        Args:
            queries: float32 (B, H), rows of length 1.
        Returns:
            log vote shares (B, Q); mean cosine of the nearest five (B,).
        """
        cosines = queries @ self.embeddings.T  # (B, N)
        return self.vote(cosines)

    def vote(self, cosines: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows, k = len(cosines), min(K, cosines.shape[1])
        nearest = np.argpartition(cosines, -k, axis=1)[:, -k:]
        near = np.take_along_axis(cosines, nearest, axis=1)
        votes = np.exp(VOTE_SHARPNESS * (near - near.max(axis=1, keepdims=True)))
        shares = np.full((rows, self.groups), SMOOTHING, np.float32)
        np.add.at(shares, (np.arange(rows)[:, None], self.labels[nearest]), votes)
        shares /= shares.sum(axis=1, keepdims=True)
        similarity = np.sort(near, axis=1)[:, -min(K_SIMILARITY, k) :].mean(axis=1)
        return np.log(shares), similarity.astype(np.float32)


def load_neighbours(folder: Path, groups: int) -> Neighbours:
    from safetensors.numpy import load_file

    tensors = load_file(folder / NEIGHBOURS_FILE)
    return Neighbours(tensors["embeddings"].astype(np.float32), tensors["labels"], groups)


def save_neighbours(folder: Path, neighbours: Neighbours) -> None:
    from safetensors.numpy import save_file

    tensors = {"embeddings": neighbours.embeddings.astype(np.float16), "labels": neighbours.labels}
    save_file(tensors, folder / NEIGHBOURS_FILE)
