"""Epochs are the schedule, seconds only its limit. Real clock, no model."""

import pytest

from services.trainer.config import EPOCHS_MAX, EPOCHS_MIN, epochs_for
from services.trainer.finetune import Pace, TuneConfig, _triangle


def test_the_schedule_counts_steps():
    """A machine that is busy takes longer; it does not learn less."""
    pace = Pace(TuneConfig("x", epochs=2, limit_s=3_600), per_epoch=10)
    assert [pace.done(step) for step in (0, 10, 20)] == pytest.approx([0.0, 0.5, 1.0], abs=0.01)


def test_the_limit_ends_the_run():
    """However slow the steps have become, the run is over when its seconds are."""
    pace = Pace(TuneConfig("x", epochs=5, limit_s=1e-9), per_epoch=1_000)
    assert pace.done(1) >= 1


def test_rate_rises_then_falls_to_nothing():
    rates = [_triangle(done / 100) for done in range(101)]
    assert max(rates) <= 1
    assert rates[0] > 0
    assert rates[-1] == 0
    assert rates.index(max(rates)) == 10


def test_small_histories_are_read_more_often():
    assert [epochs_for(rows) for rows in (0, 2_000, 11_000, 1_000_000)] == [EPOCHS_MAX, EPOCHS_MAX, 4, EPOCHS_MIN]
