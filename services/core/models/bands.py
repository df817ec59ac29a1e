"""
What may happen with a prediction: confidence, band and the sentence that says why. Pure functions.

Confidence is the chance of being right given probability and similarity (a logistic model fitted on the held-out
part), scaled down when the text is less like the known tickets than nearly all held-out ones were.
"""

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.prediction import Band
from services.core.models.manifest import BandRules

LOGIT_CAP = 12.0  # probabilities beyond 1 - 6e-6 are rounding


def logit(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    p = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.clip(np.log(p) - np.log1p(-p), -LOGIT_CAP, LOGIT_CAP)


def standardise(
    probability: NDArray[np.float32], similarity: NDArray[np.float32], rules: BandRules
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both signals in held-out standard deviations from the held-out mean."""
    u = (logit(probability) - rules.logit_mean) / rules.logit_scale
    s = (similarity.astype(np.float64) - rules.similarity_mean) / rules.similarity_scale
    return u, s


def scope_signal(
    probability: NDArray[np.float32], similarity: NDArray[np.float32], rules: BandRules
) -> NDArray[np.float64]:
    """How much each text is like the known tickets (B,): what `scope_threshold` is compared with."""
    u, s = standardise(probability, similarity, rules)
    return u + s


def confidence(
    probability: NDArray[np.float32], similarity: NDArray[np.float32], rules: BandRules
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """
    Confidence (B,) in 0..1 and whether the text is in scope (B,).

    Args:
        probability: calibrated probability of the first group (B,). similarity: mean cosine of the nearest (B,).
    """
    u, s = standardise(probability, similarity, rules)
    chance = 1 / (1 + np.exp(-(rules.confidence_logit * u + rules.confidence_similarity * s + rules.confidence_bias)))
    scope = (u + s - rules.scope_floor) / (rules.scope_threshold - rules.scope_floor)
    return chance * np.clip(scope, 0.0, 1.0), scope >= 1.0


def decide(group: str, value: float, in_scope: bool, rules: BandRules) -> tuple[Band, str]:
    """Band and reason for one ticket with this confidence."""
    threshold = rules.thresholds.get(group)
    if not in_scope:
        return Band.ESCALATE, f"Unlike the tickets the router learned from (confidence {value:.2f}): a person decides."
    if threshold is None:
        return Band.HUMAN_REVIEW, (
            f"It is not shown yet that '{group}' is right {rules.target_precision:.0%} of the time at any confidence: "
            "more closed tickets are needed."
        )
    if value >= threshold:
        return Band.AUTO_ROUTE, (
            f"Confidence {value:.2f} reaches {threshold:.2f}, where '{group}' is right"
            f" {rules.target_precision:.0%} of the time."
        )
    return Band.HUMAN_REVIEW, f"Confidence {value:.2f} is below {threshold:.2f}, needed for '{group}'."
