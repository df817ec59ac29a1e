"""Measured questions -> the figures that are printed: shares of 1, by direction of error. Pure."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.answer import clarify
from services.core.answer.evaluate import ARMS, Measured
from services.core.answer.gate import Calibration, Mode

JUDGED = 10  # documents of a ranking
ECE_BINS = 10

Shares = NDArray[np.float64]


def report(judged: Sequence[Measured], calibration: Calibration) -> dict[str, Any]:
    """All figures; None where the questions have no labels for one."""
    milliseconds = [one.seconds * 1000 for one in judged]
    return {
        "rows": len(judged),
        "retrieval": {arm: _retrieval([one for one in judged if one.labelled.gold], arm) for arm in ARMS},
        "gate": _gate(judged, calibration),
        "clarify": _clarify(judged, calibration),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 1),
        "p95_ms": round(float(np.percentile(milliseconds, 95)), 1),
    }


def auroc(positive: Shares, negative: Shares) -> float | None:
    """How often a positive stands above a negative; ties count half."""
    if not len(positive) or not len(negative):
        return None
    above = (positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean()
    return _rounded(above)


def calibration_error(probability: Shares, truth: NDArray[np.bool_]) -> float | None:
    """
    Expected calibration error in ten bins of equal width.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    if not len(probability):
        return None
    bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [
        abs(probability[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean()
        for b in range(ECE_BINS)
        if (bins == b).any()
    ]
    return _rounded(sum(gaps))


def _retrieval(asked: Sequence[Measured], arm: str) -> dict[str, float | None]:
    rows = [_ranking(one.ranks[arm][:JUDGED], one.labelled.gold) for one in asked]
    return {name: _mean([row[name] for row in rows]) for name in ("r5", "r10", "mrr", "ndcg10")}


def _ranking(found: Sequence[str], gold: frozenset[str]) -> dict[str, float]:
    hits = [uri in gold for uri in found]
    gain = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    ideal = sum(1 / math.log2(place + 2) for place in range(min(JUDGED, len(gold))))
    return {
        "r5": sum(hits[:5]) / len(gold),
        "r10": sum(hits) / len(gold),
        "mrr": next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0),
        "ndcg10": gain / ideal,
    }


def _gate(judged: Sequence[Measured], calibration: Calibration) -> dict[str, Any]:
    known, unknown = (
        [one.signals for one in judged if one.labelled.answerability == kind] for kind in ("ANSWERABLE", "UNANSWERABLE")
    )
    right, wrong = (np.array([calibration.probability(one) for one in kind]) for kind in (known, unknown))
    truth = np.arange(len(right) + len(wrong)) < len(right)
    modes = {
        str(mode): {
            "answered_answerable": _share(np.array([calibration.answers(one, mode) for one in known])),
            "answered_unanswerable": _share(np.array([calibration.answers(one, mode) for one in unknown])),
        }
        for mode in Mode
    }
    return {"auroc": auroc(right, wrong), "ece": calibration_error(np.concatenate([right, wrong]), truth), **modes}


def _clarify(judged: Sequence[Measured], calibration: Calibration) -> dict[str, float | None]:
    """Underspecified against answerable questions."""
    unclear, clear = (
        np.array([calibration.unclear.probability(clarify.features(one.labelled.question, one.signals)) for one in of])
        for of in (
            [one for one in judged if one.labelled.answerability == kind] for kind in ("UNDERSPECIFIED", "ANSWERABLE")
        )
    )
    caught, false = unclear >= calibration.clarify, clear >= calibration.clarify
    asked = caught.sum() + false.sum()
    return {
        "auroc": auroc(unclear, clear),
        "precision": _rounded(caught.sum() / asked) if asked else None,
        "recall": _share(caught),
    }


def _share(passed: NDArray[np.bool_]) -> float | None:
    return _rounded(passed.mean()) if len(passed) else None


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _rounded(value: float) -> float:
    return round(float(value), 4)
