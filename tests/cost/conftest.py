"""A fixed day, so that no test changes its mind as prices grow old."""

import datetime as dt

import pytest

from cost.bill import estimate
from cost.estimate import Estimate
from infra.offline.plan import CLOUDS
from tests.planned import Plans

TODAY = dt.date(2026, 11, 20)


@pytest.fixture(scope="session")
def small(plans: Plans) -> dict[str, Estimate]:
    """The small stacks at 1,000 tickets a month."""
    return {cloud: estimate(plans[cloud, "small"], 1_000, today=TODAY) for cloud in CLOUDS}
