"""
Calibrates on the held-out part and measures honestly at the same time.

Each figure is cross-fitted: weights, temperatures and bands chosen on one half are scored on the other, and the
reverse; the rules that are served are then fitted on both halves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.models.bands import confidence, scope_signal
from services.core.models.bundle import MemberScores
from services.core.models.manifest import BandRules, Pooling
from services.core.models.pooling import pool
from services.trainer import metrics
from services.trainer.calibrate import fit_bands, fit_pooling, select


class Row(NamedTuple):
    """One held-out ticket: places of the groups said and true, probability, confidence, whether it is in scope."""

    guess: int
    truth: int
    top: float
    confidence: float
    in_scope: bool


@dataclass(frozen=True)
class Judged:
    """`rows`: the held-out tickets, cross-fitted; `served`: the same by the rules that serve, fitted on them."""

    pooling: Pooling
    bands: BandRules
    metrics: dict[str, float]
    group_metrics: dict[str, dict[str, float]]
    risk_coverage: tuple[tuple[float, float], ...]
    guesses: tuple[int, ...] = ()
    rows: tuple[Row, ...] = ()
    served: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Cross-fitted answers on the held-out rows, (B,) each."""

    guess: NDArray[np.intp]
    top: NDArray[np.float32]
    confidence: NDArray[np.float64]
    automatic: NDArray[np.bool_]
    in_scope: NDArray[np.bool_]
    scope: NDArray[np.float64]  # the lower, the less like any known ticket


def judge(
    scores: MemberScores,
    truth: NDArray[np.int32],
    labels: tuple[str, ...],
    automatic: frozenset[str],
    *,
    target_precision: float,
) -> Judged:
    """Rules fitted on all held-out rows, metrics cross-fitted; `automatic`: groups that may be routed unreviewed."""

    def rules_of(part: MemberScores, part_truth: NDArray[np.int32]) -> tuple[Pooling, BandRules]:
        pooling = fit_pooling(part, part_truth)
        bands = fit_bands(
            part, part_truth, pooling, labels=labels, automatic=automatic, target_precision=target_precision
        )
        return pooling, bands

    pooling, bands = rules_of(scores, truth)
    if len(truth) < 4:
        return Judged(pooling, bands, {"held_out_rows": float(len(truth))}, {}, ())
    halves = [np.arange(start, len(truth), 2) for start in (0, 1)]  # held-out rows come sorted by hash: random halves
    outcomes = []
    for fitted, scored in (halves, halves[::-1]):
        rules = rules_of(select(scores, fitted), truth[fitted])
        outcomes.append(apply(select(scores, scored), *rules, labels=labels))
    outcome = _interleave(outcomes[1], outcomes[0], len(truth))
    right = outcome.guess == truth
    figures = measure(outcome, truth)
    for name, values in scores.members.items():
        figures[f"accuracy_{name}"] = float((values.argmax(axis=1) == truth).mean())
    return Judged(
        pooling,
        bands,
        figures,
        metrics.group_metrics(truth, outcome.guess.astype(np.int32), labels),
        metrics.risk_coverage(outcome.confidence, right),
        tuple(outcome.guess.tolist()),
        tuple(_rows(outcome, truth)),
        tuple(_rows(apply(scores, pooling, bands, labels=labels), truth)),
    )


def apply(scores: MemberScores, pooling: Pooling, bands: BandRules, *, labels: tuple[str, ...]) -> Outcome:
    """What a router with these rules would answer."""
    probabilities = pool(scores.members, pooling)
    guess, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    values, in_scope = confidence(top, scores.similarity, bands)
    limits = np.array([np.inf if (t := bands.thresholds.get(label)) is None else t for label in labels])
    automatic = in_scope & (values >= limits[guess])
    return Outcome(guess, top, values, automatic, in_scope, scope_signal(top, scores.similarity, bands))


def measure(outcome: Outcome, truth: NDArray[np.int32]) -> dict[str, float]:
    """The figures of the release gate."""
    right = outcome.guess == truth
    auto = outcome.automatic
    return {
        "held_out_rows": float(len(truth)),
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(truth, outcome.guess.astype(np.int32)),
        "ece": metrics.calibration_error(outcome.top.astype(np.float64), right),
        "ece_floor": metrics.calibration_floor(outcome.top.astype(np.float64)),
        "ece_noise": metrics.calibration_noise(outcome.top.astype(np.float64)),
        "auto_coverage": float(auto.mean()),
        "auto_precision": float(right[auto].mean()) if auto.any() else 1.0,
        "escalated": float((~outcome.in_scope).mean()),
    }


def _rows(outcome: Outcome, truth: NDArray[np.int32]) -> Iterator[Row]:
    columns = (outcome.guess, truth, outcome.top.round(4), outcome.confidence.round(4), outcome.in_scope)
    for guess, right, top, value, in_scope in zip(*(column.tolist() for column in columns), strict=True):
        yield Row(guess, right, round(top, 4), round(value, 4), in_scope)


def _interleave(even: Outcome, odd: Outcome, rows: int) -> Outcome:
    def merge(a: NDArray, b: NDArray) -> NDArray:
        merged = np.empty(rows, a.dtype)
        merged[0::2], merged[1::2] = a, b
        return merged

    return Outcome(
        merge(even.guess, odd.guess),
        merge(even.top, odd.top),
        merge(even.confidence, odd.confidence),
        merge(even.automatic, odd.automatic),
        merge(even.in_scope, odd.in_scope),
        merge(even.scope, odd.scope),
    )
