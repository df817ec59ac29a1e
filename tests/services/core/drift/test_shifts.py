"""Tests of shift: they agree with scipy's, and stay quiet when nothing changed."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.core.contracts.drift import DriftRules
from services.core.drift import shifts, space


@given(st.floats(0.001, 400), st.integers(1, 80))
def test_the_chi_squared_tail_is_scipys(chi: float, freedom: int) -> None:
    assert shifts.chi_squared_tail(chi, freedom) == pytest.approx(stats.chi2.sf(chi, freedom), rel=1e-6, abs=1e-12)


@given(st.integers(0, 2**32), st.integers(50, 400), st.integers(50, 400), st.floats(0, 0.3))
def test_the_confidence_test_is_scipys(seed: int, n: int, m: int, moved: float) -> None:
    """
    Statistic and the tail of Kolmogorov's distribution to the digit; p near scipy's other asymptotic form where one
    decides by it (far from there the two differ by some hundredths); delta as the pairs counted one by one.
    """
    chance = random.Random(seed)
    before = [round(chance.random(), 2) for _ in range(n)]
    now = [round(min(1, chance.random() + moved), 2) for _ in range(m)]
    found, wanted = shifts.confidence_shift(before, now), stats.ks_2samp(before, now, method="asymp")
    assert found.statistic == pytest.approx(wanted.statistic)
    size = (n * m / (n + m)) ** 0.5
    assert found.p == pytest.approx(stats.kstwobign.sf((size + 0.12 + 0.11 / size) * found.statistic), abs=1e-9)
    assert wanted.pvalue > 0.1 or found.p == pytest.approx(wanted.pvalue, abs=0.02)
    pairs = sum((x > y) - (x < y) for x in now for y in before)
    assert found.effect == pytest.approx(pairs / (n * m))


def test_the_label_test_is_scipys_and_counts_rare_groups_together() -> None:
    """Three groups as they are; of eight that come twice each none has a cell of its own."""
    before, now = ["a"] * 60 + ["b"] * 30 + ["c"] * 20, ["a"] * 30 + ["b"] * 30 + ["c"] * 50
    wanted = stats.chi2_contingency([[60, 30, 20], [30, 30, 50]], correction=False)
    found = shifts.label_shift(before, now)
    assert (found.statistic, found.p) == (pytest.approx(wanted.statistic), pytest.approx(wanted.pvalue))
    assert found.effect == pytest.approx((wanted.statistic / 220) ** 0.5)
    rare = [f"r{i}" for i in range(8)] * 2
    wanted = stats.chi2_contingency([[100, 16], [116, 16]], correction=False)
    assert shifts.label_shift(["a"] * 100 + rare, ["a"] * 116 + rare).p == pytest.approx(wanted.pvalue)


def test_nothing_changed_is_said_as_often_as_promised() -> None:
    """Two windows of the same tickets: at most about one alarm in a hundred comes of chance."""
    chance, alarms = random.Random(7), 0
    for _ in range(300):
        rows = [[chance.betavariate(5, 2) for _ in range(120)] for _ in range(2)]
        alarms += shifts.confidence_shift(*rows).p < shifts.P_MAX
    assert alarms <= 9


@given(st.integers(0, 2**32), st.integers(20, 200), st.integers(20, 200), st.floats(-0.3, 0.3))
def test_the_rank_test_is_scipys(seed: int, n: int, m: int, moved: float) -> None:
    """With ties; one-sided."""
    chance = random.Random(seed)
    before = [round(chance.random(), 1) for _ in range(n)]
    now = [round(chance.random() + moved, 1) for _ in range(m)]
    wanted = stats.mannwhitneyu(now, before, alternative="greater", method="asymptotic", use_continuity=False)
    assert shifts.rank_shift(before, now).p == pytest.approx(wanted.pvalue, abs=1e-9)


def test_the_test_of_shares_is_scipys() -> None:
    """90 of 100 right before, 40 of 60 now."""
    before, now = [True] * 90 + [False] * 10, [True] * 40 + [False] * 20
    wanted = stats.chi2_contingency([[90, 10], [40, 20]], correction=False)
    found = shifts.share_shift(before, now)
    assert (found.statistic, found.p) == (pytest.approx(wanted.statistic), pytest.approx(wanted.pvalue))
    assert found.effect == pytest.approx(-0.588, abs=0.001)


def test_texts_that_lie_elsewhere_are_found_and_the_same_ones_are_not() -> None:
    """A fifth of the new ones comes from elsewhere, and looks most unlike; under no change p is spread evenly."""
    chance = np.random.default_rng(5)
    before, now = (chance.normal(size=(400, 48)).astype(np.float32) for _ in range(2))
    now[:80, 3] += 4
    shift, unlike = space.input_shift(before, now)
    assert (shift.p < DriftRules().p_max, shift.effect > DriftRules().least.inputs) == (True, True)
    assert sum(at < 80 for at in unlike.argsort()[::-1][:40]) >= 25  # 8 by chance
    same = (tuple(chance.normal(size=(60, 8)).astype(np.float32) for _ in range(2)) for _ in range(30))
    assert sum(space.input_shift(*windows)[0].p < 0.05 for windows in same) <= 6
