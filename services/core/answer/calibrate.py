"""Labelled questions -> the gate's weights and thresholds. Needs scikit-learn, which only the command line has."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.answer import clarify, gate
from services.core.answer.gate import Calibration, Logistic
from services.core.kit.errors import InputInvalid

Rows = NDArray[np.float64]
Truth = NDArray[np.bool_]

FEWEST = 10  # of each kind; with fewer a threshold is a guess
FOLDS, REPEATS = 10, 5
PENALTY_C = 0.3  # strong: some hundred questions, signals that say much the same
# The share of unanswerable questions that may pass, as the tail of a normal distribution fitted to their held-out
# logits: the tail of some thirty questions cannot be counted. 9 % and 0.5 %.
STANDARD_Z, STRICT_Z = 1.341, 2.576
CLARIFY_TAIL = 0.05  # of the clear questions that may be asked back


def calibrate(gate_rows: Rows, clarify_rows: Rows, labels: Sequence[str], *, source: str) -> Calibration:
    """
    Fitted on questions labelled ANSWERABLE, UNANSWERABLE or UNDERSPECIFIED, one row each; others are left out.

    Raises:
        InputInvalid: too few answerable or unanswerable ones.
    """
    kinds = np.array(labels)
    is_answerable, is_unanswerable, is_unclear = (
        kinds == kind for kind in ("ANSWERABLE", "UNANSWERABLE", "UNDERSPECIFIED")
    )
    _require(int(is_answerable.sum()), "ANSWERABLE")
    _require(int(is_unanswerable.sum()), "UNANSWERABLE")
    used = is_answerable | is_unanswerable
    held_out = _held_out_logits(gate_rows[used], is_answerable[used])
    wrong = held_out[~is_answerable[used]]
    clear = is_answerable | is_unclear
    unclear, clarify_from = _clarifier(clarify_rows[clear], is_unclear[clear])
    return Calibration(
        answerable=_fit(gate_rows[used], is_answerable[used], gate.NAMES),
        standard=_sigmoid(wrong.mean() + STANDARD_Z * wrong.std()),
        strict=_sigmoid(wrong.mean() + STRICT_Z * wrong.std()),
        unclear=unclear,
        clarify=clarify_from,
        questions=int(used.sum()),
        source=source,
    )


def _clarifier(rows: Rows, is_unclear: Truth) -> tuple[Logistic, float]:
    """Without examples of unclear questions nobody is asked back: a threshold that no probability reaches."""
    if is_unclear.sum() < FEWEST:
        width = len(clarify.NAMES)
        return _blank(clarify.NAMES, width), 2.0
    held_out = _held_out_logits(rows, is_unclear)
    threshold = _sigmoid(float(np.quantile(held_out[~is_unclear], 1 - CLARIFY_TAIL)))
    return _fit(rows, is_unclear, clarify.NAMES), threshold


def _blank(names: tuple[str, ...], width: int) -> Logistic:
    return Logistic(names=names, mean=(0.0,) * width, scale=(1.0,) * width, weights=(0.0,) * width, bias=0.0)


def _fit(rows: Rows, truth: Truth, names: tuple[str, ...]) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    model = LogisticRegression(C=PENALTY_C).fit((rows - mean) / scale, truth)
    return Logistic(
        names=names,
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(model.coef_[0].tolist()),
        bias=float(model.intercept_[0]),
    )


def _held_out_logits(rows: Rows, truth: Truth) -> NDArray[np.float64]:
    """Of each row by models that did not see it, averaged over several divisions."""
    from sklearn.model_selection import StratifiedKFold

    total = np.zeros(len(rows))
    for seed in range(REPEATS):
        folds = StratifiedKFold(min(FOLDS, int(min(truth.sum(), (~truth).sum()))), shuffle=True, random_state=seed)
        for seen, unseen in folds.split(rows, truth):
            model = _fit(rows[seen], truth[seen], ())
            shares = np.clip(model.probabilities(rows[unseen]), 1e-9, 1 - 1e-9)
            total[unseen] += np.log(shares / (1 - shares))
    return total / REPEATS


def _require(count: int, kind: str) -> None:
    if count < FEWEST:
        raise InputInvalid(f"{count} questions labelled {kind}; at least {FEWEST} are needed. Label more of them.")


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
