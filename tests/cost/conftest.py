"""The nine real stacks, planned once; a fixed day, so that no test changes its mind as prices grow old."""

import datetime as dt

import pytest

from cost.bill import estimate
from cost.estimate import Estimate
from infra.offline.plan import CLOUDS, plan_stacks
from infra.offline.report import StackPlan

TODAY = dt.date(2026, 11, 20)
PROFILES = ("small", "dev", "prod")
Plans = dict[tuple[str, str], StackPlan]


@pytest.fixture(scope="session")
def plans() -> Plans:
    reports = [plan_stacks(CLOUDS, profile) for profile in PROFILES]
    return {(stack.cloud, stack.profile): stack for report in reports for stack in report.stacks}


@pytest.fixture(scope="session")
def small(plans: Plans) -> dict[str, Estimate]:
    """The small stacks at 1,000 tickets a month."""
    return {cloud: estimate(plans[cloud, "small"], 1_000, today=TODAY) for cloud in CLOUDS}
