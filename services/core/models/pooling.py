"""How scores become calibrated probabilities, the same lines in training and in serving. numpy only."""

import numpy as np
from numpy.typing import NDArray

from services.core.models.manifest import Pooling

Scores = NDArray[np.float32]  # (B, Q)


def log_softmax(scores: Scores, temperature: float = 1.0) -> Scores:
    """
    Log probabilities of each row.

    Source: temperature scaling, Guo et al. 2017, arXiv:1706.04599.
    """
    scaled = scores / np.float32(temperature)
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def pool(members: dict[str, Scores], pooling: Pooling) -> Scores:
    """
    Calibrated probabilities (B, Q): the weighted geometric mean of the members, then temperature.

    Args:
        members: raw scores by member name, `encoder`, `linear`, `neighbours`; one with weight 0 may be absent.
    """
    total = sum(
        np.float32(weight) * log_softmax(members[name], temperature) for name, weight, temperature in _asked(pooling)
    )
    return np.exp(log_softmax(np.asarray(total, np.float32), pooling.temperature))


def _asked(pooling: Pooling) -> list[tuple[str, float, float]]:
    rows = [
        ("encoder", pooling.encoder_weight, pooling.encoder_temperature),
        ("linear", pooling.linear_weight, pooling.linear_temperature),
        ("neighbours", pooling.neighbours_weight, pooling.neighbours_temperature),
    ]
    return [row for row in rows if row[1] > 0]
