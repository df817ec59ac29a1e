"""The one dial: how seconds become epochs. Real clock, no model."""

import pytest

from services.trainer.export import BUDGET_MAX_S, BUDGET_MIN_S, derive_budget_s
from services.trainer.finetune import EPOCHS_MAX, Pace, TuneConfig, _triangle


def test_budget_is_one_schedule():
    """Half the seconds are half the schedule, however many steps that was; the most epochs end it early."""
    pace = Pace(TuneConfig("x", budget_s=3_600), per_epoch=100)
    assert pace.done(0) < 0.01
    assert pace.done(EPOCHS_MAX * 50) == pytest.approx(0.5)
    assert pace.done(EPOCHS_MAX * 100) == 1.0


def test_spent_budget_ends_the_run():
    """However slow the steps have become, the run is over when its seconds are."""
    pace = Pace(TuneConfig("x", budget_s=1e-9), per_epoch=1_000)
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
    assert [derive_budget_s(rows) for rows in (10, 2_000, 1_000_000)] == [BUDGET_MIN_S, 200.0, BUDGET_MAX_S]
