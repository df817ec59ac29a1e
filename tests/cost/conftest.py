"""The nine real stacks, planned once; a fixed day, so that no test changes its mind as prices grow old."""

import datetime as dt
from functools import cache

import pytest

from cost.bill import estimate
from cost.estimate import Estimate
from infra.offline.plan import CLOUDS, plan_stacks
from infra.offline.report import Report, StackPlan

TODAY = dt.date(2026, 11, 20)
PROFILES = ("small", "dev", "prod")
Plans = dict[tuple[str, str], StackPlan]


@cache
def planned(profile: str) -> Report:
    """The three stacks of a profile, planned once for all tests of a run."""
    return plan_stacks(CLOUDS, profile)


@pytest.fixture(scope="session")
def plans() -> Plans:
    return {(stack.cloud, stack.profile): stack for profile in PROFILES for stack in planned(profile).stacks}


@pytest.fixture(scope="session")
def small(plans: Plans) -> dict[str, Estimate]:
    """The small stacks at 1,000 tickets a month."""
    return {cloud: estimate(plans[cloud, "small"], 1_000, today=TODAY) for cloud in CLOUDS}
