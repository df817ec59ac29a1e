"""Fits on held-out rows what turns scores into decisions: member weights, temperatures, confidence, bands."""

import itertools

import numpy as np
from numpy.typing import NDArray

from services.core.models.bands import confidence, logit, standardise
from services.core.models.bundle import MemberScores
from services.core.models.manifest import BandRules, Pooling
from services.core.models.pooling import log_softmax, pool

ROWS_MIN = 40  # below this nothing can be fitted: equal weights, and every ticket is reviewed
WEIGHT_STEP = 0.1
LOSS_PER_WEIGHT = 0.002  # nats a better mix must gain over the even one, times its distance: small parts overfit
IN_SCOPE_KEPT = 0.95  # share of held-out tickets that count as in scope
PRECISION_DOUBT = 0.2  # a threshold may be below target with this probability; on fresh mail 97 % was right at 0.1
PRIOR_ROWS = 20.0  # a group starts with this many imagined decisions at the pooled precision
OWN_ROWS_MIN = 5  # automatic routing needs at least this many held-out decisions of the group itself


def select(scores: MemberScores, rows: NDArray[np.intp]) -> MemberScores:
    members = {name: values[rows] for name, values in scores.members.items()}
    return MemberScores(members, scores.similarity[rows], scores.embeddings[rows])


def fit_pooling(scores: MemberScores, truth: NDArray[np.int32]) -> Pooling:
    """Member temperatures first, then the mix on a grid, then the last temperature; all by log loss."""
    names = sorted(scores.members)
    if len(truth) < ROWS_MIN:
        return _pooling(dict.fromkeys(names, 1 / len(names)), {})
    temperatures = {name: fit_temperature(scores.members[name], truth) for name in names}
    logs = {name: log_softmax(scores.members[name], temperatures[name]) for name in names}
    best = min(_mixes(names), key=lambda mix: _mix_loss(mix, logs, truth))
    mixed = sum(np.float32(weight) * logs[name] for name, weight in best.items())
    return _pooling(best, temperatures, fit_temperature(np.asarray(mixed), truth))


def fit_temperature(scores: NDArray[np.float32], truth: NDArray[np.int32]) -> float:
    """The temperature of least log loss, by golden section over log T in -4..4."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda t: log_loss(log_softmax(scores, float(np.exp(t))), truth), bounds=(-4, 4), method="bounded"
    )
    return float(np.exp(found.x))


def log_loss(logs: NDArray[np.float32], truth: NDArray[np.int32]) -> float:
    """
    Mean of -log p(truth) in nats, with 1/(n+2) of the belief spread over all groups.

    Without that share a held-out part that holds no mistake would ask for probabilities of exactly 1.
    Source: Platt 1999, the same correction for two classes.
    """
    doubt = 1 / (len(truth) + 2)
    capped = np.maximum(logs, -20.0)
    own = capped[np.arange(len(truth)), truth].mean()
    return float(-(1 - doubt) * own - doubt * capped.mean())


def fit_bands(
    scores: MemberScores,
    truth: NDArray[np.int32],
    pooling: Pooling,
    *,
    labels: tuple[str, ...],
    automatic: frozenset[str],
    target_precision: float,
) -> BandRules:
    """Confidence, scope and one threshold per group from the same rows; `automatic`: groups that may have one."""
    probabilities = pool(scores.members, pooling)
    guess, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rules = _fit_confidence(top, scores.similarity, guess == truth, target_precision)
    if len(truth) < ROWS_MIN:
        return rules
    values, in_scope = confidence(top, scores.similarity, rules)
    thresholds = _thresholds(values[in_scope], guess[in_scope], (guess == truth)[in_scope], target_precision)
    named = {label: thresholds.get(i) if label in automatic else None for i, label in enumerate(labels)}
    return rules.model_copy(update={"thresholds": named})


def _fit_confidence(
    top: NDArray[np.float32], similarity: NDArray[np.float32], right: NDArray[np.bool_], target: float
) -> BandRules:
    rules = BandRules(
        target_precision=target,
        thresholds={},
        confidence_logit=1.0,
        confidence_similarity=0.0,
        confidence_bias=0.0,
        logit_mean=0.0,
        logit_scale=1.0,
        similarity_mean=0.0,
        similarity_scale=1.0,
        scope_threshold=-20.0,
        scope_floor=-40.0,
    )
    if len(top) < ROWS_MIN:
        return rules
    u, s = logit(top), similarity.astype(np.float64)
    rules = rules.model_copy(
        update={
            "logit_mean": float(u.mean()),
            "logit_scale": float(u.std() + 1e-6),
            "similarity_mean": float(s.mean()),
            "similarity_scale": float(s.std() + 1e-6),
        }
    )
    u, s = standardise(top, similarity, rules)
    slope_u, slope_s, bias = _logistic(u, s, right)
    threshold = float(np.quantile(u + s, 1 - IN_SCOPE_KEPT))
    return rules.model_copy(
        update={
            "confidence_logit": slope_u,
            "confidence_similarity": slope_s,
            "confidence_bias": bias,
            "scope_threshold": threshold,
            "scope_floor": threshold - max(1.0, float(np.median(u + s)) - threshold),
        }
    )


def _logistic(u: NDArray[np.float64], s: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Ridge logistic regression of being right on both signals, targets as Platt's; slopes never negative."""
    from scipy.optimize import minimize

    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(w: NDArray[np.float64]) -> float:
        z = w[0] * u + w[1] * s + w[2]
        return float(
            (target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)).sum() + 0.5 * (w[0] ** 2 + w[1] ** 2)
        )

    found = minimize(loss, np.array([1.0, 0.5, 1.0]), bounds=[(0, 10), (0, 10), (-20, 20)], method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1]), float(found.x[2])


def _thresholds(
    values: NDArray[np.float64], guess: NDArray[np.intp], right: NDArray[np.bool_], target: float
) -> dict[int, float | None]:
    """
    For each group the least confidence whose decisions reach `target` precision with 80 % belief.

    A small group leans on all groups together: its Beta prior is what the pooled curve says at that confidence.
    """
    found: dict[int, float | None] = {}
    order = np.argsort(-values, kind="stable")
    pooled_right, pooled_values = np.cumsum(right[order].astype(np.int64)), values[order]
    for group in np.unique(guess):
        own = order[guess[order] == group]
        found[int(group)] = _threshold(values[own], right[own], pooled_values, pooled_right, target)
    return found


def _threshold(
    values: NDArray[np.float64],
    right: NDArray[np.bool_],
    pooled_values: NDArray[np.float64],
    pooled_right: NDArray[np.integer],
    target: float,
) -> float | None:
    from scipy.stats import beta

    if len(values) < OWN_ROWS_MIN:
        return None
    n = np.arange(1, len(values) + 1)
    hits = np.cumsum(right)
    covered = np.searchsorted(-pooled_values, -values, side="right")
    prior = np.clip((pooled_right[covered - 1] + 1) / (covered + 1.0), 0.01, 0.999)
    low = beta.ppf(PRECISION_DOUBT, hits + PRIOR_ROWS * prior, n - hits + PRIOR_ROWS * (1 - prior))
    reached = np.flatnonzero((low >= target) & (n >= OWN_ROWS_MIN))
    return float(values[reached[-1]]) if len(reached) else None


def _mixes(names: list[str]) -> list[dict[str, float]]:
    steps = round(1 / WEIGHT_STEP)
    grid = itertools.product(range(steps + 1), repeat=len(names))
    return [
        {name: round(part * WEIGHT_STEP, 3) for name, part in zip(names, parts, strict=True)}
        for parts in grid
        if sum(parts) == steps
    ]


def _mix_loss(mix: dict[str, float], logs: dict[str, NDArray[np.float32]], truth: NDArray[np.int32]) -> float:
    """Log loss at the mix's own best temperature, plus a small price for leaving the even mix."""
    mixed = np.asarray(sum(np.float32(weight) * logs[name] for name, weight in mix.items()))
    even = 1 / len(mix)
    price = LOSS_PER_WEIGHT * sum(abs(weight - even) for weight in mix.values())
    return min(log_loss(log_softmax(mixed, t), truth) for t in (0.6, 0.8, 1.0)) + price


def _pooling(weights: dict[str, float], temperatures: dict[str, float], last: float = 1.0) -> Pooling:
    names = ("encoder", "linear", "neighbours")
    fields = {f"{name}_weight": weights.get(name, 0.0) for name in names}
    fields |= {f"{name}_temperature": temperatures.get(name, 1.0) for name in names}
    return Pooling(**fields, temperature=last)
