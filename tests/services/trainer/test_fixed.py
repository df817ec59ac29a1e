"""What one threshold for all groups would do."""

import numpy as np
import pytest

from services.trainer.fixed import FIXED, SHARES, average, fixed_thresholds, surest_first

CHANCES = np.array([[0.96, 0.04], [0.9, 0.1], [0.3, 0.7], [0.45, 0.55], [0.99, 0.01]])
TRUTH = np.array([0, 1, 1, 1, -1], np.int32)
FOREIGN = np.array([False, False, False, False, True])


def test_a_threshold_routes_what_reaches_it_and_foreign_tickets_with_it():
    points = fixed_thresholds({"encoder": CHANCES}, TRUTH, FOREIGN)["encoder"]
    assert [point["threshold"] for point in points] == list(FIXED)
    by = {point["threshold"]: point for point in points}
    assert by[0.5] == {"threshold": 0.5, "auto_rate": 1.0, "auto_precision": 0.75, "oos_auto_rate": 1.0}
    assert by[0.9] == {"threshold": 0.9, "auto_rate": 0.5, "auto_precision": 0.5, "oos_auto_rate": 1.0}
    assert by[0.99]["auto_precision"] is None  # nothing of a group reaches it: there is no precision to tell
    assert "oos_auto_rate" not in fixed_thresholds({"encoder": CHANCES}, TRUTH, FOREIGN & False)["encoder"][0]


def test_the_surest_tickets_come_first():
    curve = surest_first(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, True]))
    assert [share for share, _ in curve] == list(SHARES)
    assert dict(map(tuple, curve))[0.5] == 1.0
    assert dict(map(tuple, curve))[0.75] == pytest.approx(2 / 3)
    assert curve[-1] == [1.0, 0.75]


def test_runs_are_averaged_place_by_place():
    """What one run cannot tell, the others do; what none can stays unknown."""
    runs = [{"a": [{"x": 1.0, "y": None}]}, {"a": [{"x": 2.0, "y": 0.5}]}]
    assert average(runs) == {"a": [{"x": 1.5, "y": 0.5}]}
    assert average([None, None]) is None
