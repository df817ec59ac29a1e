"""Every stack is planned once for the whole session; the plans are frozen, so tests can share them."""

import pytest

from infra.offline.plan import CLOUDS, load, plan_stack
from infra.offline.report import StackPlan

PROFILES = ("dev", "small", "prod")
Plans = dict[tuple[str, str], StackPlan]


@pytest.fixture(scope="session")
def plans() -> Plans:
    return {(cloud, profile): plan_stack(load(cloud, profile)) for cloud in CLOUDS for profile in PROFILES}
