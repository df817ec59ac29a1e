"""Every stack is planned once for the whole session; the plans are frozen, so tests can share them."""

import pytest

from infra.offline.plan import CLOUDS, plan_stacks
from infra.offline.report import StackPlan

PROFILES = ("dev", "small", "prod")
Plans = dict[tuple[str, str], StackPlan]


@pytest.fixture(scope="session")
def plans() -> Plans:
    reports = [plan_stacks(CLOUDS, profile) for profile in PROFILES]
    return {(stack.cloud, stack.profile): stack for report in reports for stack in report.stacks}
