"""Pooling, neighbours and bands: the pure parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.contracts.prediction import Band
from services.core.models.bands import confidence, decide
from services.core.models.manifest import BandRules, Pooling
from services.core.models.neighbours import K, Neighbours
from services.core.models.pooling import log_softmax, pool
from services.core.models.texts import join_text

RULES = BandRules(
    target_precision=0.95,
    thresholds={"Network": 0.8, "Legal": None},
    confidence_logit=1.0,
    confidence_similarity=0.5,
    confidence_bias=1.0,
    logit_mean=1.0,
    logit_scale=2.0,
    similarity_mean=0.8,
    similarity_scale=0.1,
    scope_threshold=-2.0,
    scope_floor=-6.0,
)
scores = st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


@given(scores, st.floats(0.1, 10))
def test_pooled_rows_are_distributions(rows, temperature):
    """Whatever the scores, each row sums to 1 and nothing is negative."""
    members = {name: np.array(rows, np.float32) for name in ("encoder", "linear", "neighbours")}
    pooling = Pooling(encoder_weight=0.5, linear_weight=0.3, neighbours_weight=0.2, temperature=temperature)
    found = pool(members, pooling)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-4)
    assert (found >= 0).all()


def test_weight_zero_is_not_asked():
    """A bundle without an encoder head pools the members it has."""
    members = {"linear": np.array([[1.0, 3.0]], np.float32)}
    found = pool(members, Pooling(encoder_weight=0, linear_weight=1, neighbours_weight=0))
    np.testing.assert_allclose(found, np.exp(log_softmax(members["linear"])), rtol=1e-6)


@given(scores, st.floats(0.1, 10))
def test_temperature_keeps_the_order(rows, temperature):
    """Calibration never changes which group comes first."""
    values = np.array(rows, np.float32)
    cooled = log_softmax(values, temperature)
    top = values.argmax(axis=1)
    np.testing.assert_allclose(cooled[np.arange(len(top)), top], cooled.max(axis=1), atol=1e-5)


def test_nearest_ticket_decides():
    """A query equal to a training ticket gets its group, with full similarity when five are equal."""
    basis = np.eye(4, dtype=np.float32).repeat(K, axis=0)  # K copies of four directions
    labels = np.arange(4, dtype=np.int32).repeat(K)
    votes, similarity = Neighbours(basis, labels, groups=4).score(np.eye(4, dtype=np.float32))
    assert votes.argmax(axis=1).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(similarity, 1.0, atol=1e-6)


def test_fewer_tickets_than_neighbours():
    """A cold start with three tickets still votes."""
    three = Neighbours(np.eye(3, 8, dtype=np.float32), np.array([0, 1, 1], np.int32), groups=2)
    votes, similarity = three.score(np.eye(1, 8, dtype=np.float32))
    assert votes.argmax() == 0
    assert similarity[0] == pytest.approx(1 / 3)


@given(st.floats(0.3, 0.99), st.floats(0.3, 0.99), st.floats(-1, 1), st.floats(-1, 1))
def test_confidence_grows_with_both_signals(p, q, s, t):
    """More probable and more similar is never less confident."""
    low, _ = confidence(np.float32([min(p, q)]), np.float32([min(s, t)]), RULES)
    high, _ = confidence(np.float32([max(p, q)]), np.float32([max(s, t)]), RULES)
    assert 0 <= low[0] <= high[0] + 1e-9 <= 1 + 2e-9


def test_unlike_text_is_out_of_scope():
    """A sure guess about a text unlike all others is not trusted."""
    value, in_scope = confidence(np.float32([0.9]), np.float32([0.1]), RULES)
    assert not in_scope[0]
    assert value[0] < 0.05
    assert decide("Network", float(value[0]), bool(in_scope[0]), RULES)[0] is Band.ESCALATE


@pytest.mark.parametrize(
    ("group", "value", "band"),
    [
        ("Network", 0.8, Band.AUTO_ROUTE),
        ("Network", 0.7999, Band.HUMAN_REVIEW),
        ("Legal", 0.999, Band.HUMAN_REVIEW),
        ("never seen", 0.999, Band.HUMAN_REVIEW),
    ],
)
def test_band_at_the_threshold(group, value, band):
    """Reaching the threshold is enough; a group without one is always reviewed."""
    found, reason = decide(group, value, True, RULES)
    assert found is band
    assert reason.endswith(".")


def test_text_is_joined_one_way():
    assert join_text(" Title ", " body\n") == "Title\nbody"
    assert join_text("", "body") == "body"
    assert join_text("Title", "  ") == "Title"
