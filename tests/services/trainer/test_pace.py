"""The one dial: how seconds become epochs. Real clock, no model."""

import time

import pytest

from services.trainer.export import BUDGET_MAX_S, BUDGET_MIN_S, derive_budget_s
from services.trainer.finetune import EPOCHS_MAX, Pace, TuneConfig, _affordable_steps, _triangle


@pytest.mark.parametrize(
    ("budget_s", "steps"),
    [(1.0, 14), (5.0, 50), (10.0, 100), (19.9, 100), (35.0, 300), (10_000.0, EPOCHS_MAX * 100)],
)
def test_whole_epochs_when_they_fit(budget_s: float, steps: int):
    """A hundred steps of 0.1 s make an epoch: what fits is whole epochs, or what part of the first one fits."""
    assert _affordable_steps(budget_s, 0.1, 100) == steps


def test_spent_budget_ends_the_run():
    """However slow the steps have become, the run is over when its seconds are."""
    pace = Pace(TuneConfig("x", budget_s=1e-6), per_epoch=1_000)
    assert time.monotonic() > 0
    assert pace.done(1) >= 1


def test_given_epochs_ignore_the_clock():
    pace = Pace(TuneConfig("x", budget_s=1e-6, epochs=2), per_epoch=10)
    assert [pace.done(step) for step in (0, 10, 20)] == [0.0, 0.5, 1.0]


def test_rate_rises_then_falls_to_nothing():
    rates = [_triangle(done / 100) for done in range(101)]
    assert max(rates) <= 1
    assert rates[0] > 0
    assert rates[-1] == 0
    assert rates.index(max(rates)) == 10


def test_budget_follows_the_data():
    assert [derive_budget_s(rows) for rows in (10, 2_000, 1_000_000)] == [BUDGET_MIN_S, 100.0, BUDGET_MAX_S]
