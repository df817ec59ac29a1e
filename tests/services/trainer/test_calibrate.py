"""Calibration on made-up scores whose truth is known, and metrics against scikit-learn's."""

import numpy as np
import pytest

from services.core.models.bands import confidence
from services.core.models.bundle import MemberScores
from services.core.models.pooling import log_softmax, pool
from services.trainer import metrics
from services.trainer.calibrate import fit_bands, fit_pooling, fit_temperature
from services.trainer.judge import judge

GROUPS = ("A", "B", "C", "D")


def honest_scores(rows: int, *, seed: int = 1, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds and labels drawn from exactly those odds: perfectly calibrated at temperature 1."""
    chance = np.random.default_rng(seed)
    scores = chance.normal(0, spread, (rows, len(GROUPS))).astype(np.float32)
    truth = np.array([chance.choice(len(GROUPS), p=p / p.sum()) for p in np.exp(log_softmax(scores)).astype(float)])
    return scores, truth.astype(np.int32)


def member_scores(scores: np.ndarray, similarity: np.ndarray | None = None) -> MemberScores:
    flat = np.random.default_rng(9).normal(0, 1, scores.shape).astype(np.float32)
    members = {"encoder": scores, "linear": flat}
    near = np.full(len(scores), 0.8, np.float32) if similarity is None else similarity
    return MemberScores(members, near, np.zeros((len(scores), 2), np.float32))


@pytest.mark.parametrize("true_temperature", [0.25, 1.0, 4.0])
def test_temperature_is_recovered(true_temperature: float):
    scores, truth = honest_scores(3_000)
    assert fit_temperature(scores * true_temperature, truth) == pytest.approx(true_temperature, rel=0.1)


def test_perfect_held_out_part_stays_modest():
    """Forty rows without a mistake prove something, not everything."""
    scores = np.eye(4, dtype=np.float32)[np.arange(40) % 4] * 10
    truth = (np.arange(40) % 4).astype(np.int32)
    probability = np.exp(log_softmax(scores, fit_temperature(scores, truth))).max(axis=1)
    assert 0.9 < probability.min() <= probability.max() < 0.999


def test_member_that_knows_nothing_does_no_harm():
    """Pooled with noise, the answers stay as right as the informed member alone, and calibrated."""
    scores, truth = honest_scores(800)
    probabilities = pool(member_scores(scores).members, fit_pooling(member_scores(scores), truth))
    right = probabilities.argmax(axis=1) == truth
    assert right.mean() >= (scores.argmax(axis=1) == truth).mean() - 0.01
    assert metrics.calibration_error(probabilities.max(axis=1).astype(float), right) < 0.06


def test_too_few_rows_fit_nothing():
    """Under forty rows: equal weights, and no group is automatic."""
    scores, truth = honest_scores(30)
    members = member_scores(scores)
    pooling = fit_pooling(members, truth)
    assert pooling.encoder_weight == pooling.linear_weight == 0.5
    bands = fit_bands(members, truth, pooling, labels=GROUPS, automatic=frozenset(GROUPS), target_precision=0.9)
    assert bands.thresholds == {}


def test_thresholds_keep_the_promised_precision():
    """On new tickets from the same source, what is routed automatically is right about as often as promised."""
    scores, truth = honest_scores(2_000)
    pooling = fit_pooling(member_scores(scores), truth)
    bands = fit_bands(
        member_scores(scores), truth, pooling, labels=GROUPS, automatic=frozenset("ABC"), target_precision=0.9
    )
    fresh, answer = honest_scores(4_000, seed=2)
    probabilities = pool(member_scores(fresh).members, pooling)
    guess = probabilities.argmax(axis=1)
    values, in_scope = confidence(probabilities.max(axis=1), np.full(len(fresh), 0.8, np.float32), bands)
    limits = np.array([np.inf if (limit := bands.thresholds[g]) is None else limit for g in GROUPS])
    auto = in_scope & (values >= limits[guess])
    assert (guess[auto] == answer[auto]).mean() >= 0.88
    assert auto.mean() > 0.1
    assert bands.thresholds["D"] is None


def test_similarity_counts_where_it_tells():
    """When only texts near known tickets are answered rightly, confidence learns it."""
    chance = np.random.default_rng(4)
    scores, _ = honest_scores(1_000)
    near = chance.random(1_000) < 0.5
    truth = np.where(near, scores.argmax(axis=1), chance.integers(0, 4, 1_000)).astype(np.int32)
    similarity = np.where(near, 0.9, 0.3).astype(np.float32)
    members = member_scores(scores, similarity)
    pooling = fit_pooling(members, truth)
    bands = fit_bands(members, truth, pooling, labels=GROUPS, automatic=frozenset(GROUPS), target_precision=0.9)
    both, _ = confidence(np.float32([0.7, 0.7]), np.float32([0.9, 0.3]), bands)
    assert both[0] > both[1] + 0.2


def test_metrics_are_cross_fitted():
    """Members that know nothing are reported at chance, not at what weights chosen on the same rows would show."""
    chance = np.random.default_rng(7)
    truth = chance.integers(0, 4, 400).astype(np.int32)
    noise = {name: chance.normal(0, 1, (400, 4)).astype(np.float32) for name in ("encoder", "linear", "neighbours")}
    scores = MemberScores(noise, np.full(400, 0.5, np.float32), np.zeros((400, 2), np.float32))
    found = judge(scores, truth, GROUPS, frozenset(GROUPS), target_precision=0.9)
    assert found.metrics["accuracy"] == pytest.approx(0.25, abs=0.07)
    assert found.metrics["auto_coverage"] < 0.02
    assert len(found.guesses) == 400


def test_figures_agree_with_scikit_learn():
    from sklearn.metrics import f1_score

    chance = np.random.default_rng(3)
    truth, guess = chance.integers(0, 5, (2, 300)).astype(np.int32)
    expected = f1_score(truth, guess, average="macro")
    assert metrics.macro_f1(truth, guess) == pytest.approx(expected)


def test_risk_coverage_starts_sure_and_ends_with_all():
    values, right = np.linspace(0, 1, 100), np.arange(100) >= 50
    curve = metrics.risk_coverage(values, right)
    assert curve[0] == (0.01, 1.0)
    assert curve[-1] == (1.0, 0.5)
    assert [accuracy for _, accuracy in curve] == sorted((accuracy for _, accuracy in curve), reverse=True)
