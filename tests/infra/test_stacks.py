"""The nine stacks of the repository: sound, equivalent, and as the golden lists say."""

from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from infra.catalogue import CAPABILITIES
from infra.contract import Contract
from infra.kinds import kinds, module_of
from infra.offline.listing import listing
from infra.offline.plan import CLOUDS, load, plan_stack
from infra.offline.report import StackPlan
from infra.policies.rules import RULES
from tests.golden import check_golden, filled
from tests.planned import PROFILES, Plans

GOLDEN = Path(__file__).with_name("golden")
STACKS = list(product(CLOUDS, PROFILES))


@pytest.mark.parametrize("stack", STACKS)
def test_plan_has_no_problem(plans: Plans, stack: tuple[str, str]) -> None:
    """Types, URNs, capabilities and contract hold, and no resource waits for a value of another."""
    assert plans[stack].problems == ()


@pytest.mark.parametrize("stack", STACKS)
def test_golden_list_of_resources(plans: Plans, stack: tuple[str, str]) -> None:
    """A resource that comes or goes shows up as a line in review."""
    check_golden(GOLDEN / f"{stack[0]}-{stack[1]}.txt", listing(plans[stack]))


def test_golden_tables_of_the_page(plans: Plans) -> None:
    """The page says what stands where, how much it is and which rules look at it; nobody writes that by hand."""
    rows = [f"| {c} | " + " | ".join(str(len(plans[c, p].resources)) for p in PROFILES) + " |" for c in CLOUDS]
    table = "\n".join([f"| | {' | '.join(f'`{p}`' for p in PROFILES)} |", "|---|---|---|---|", *rows])
    page = Path(__file__).parents[2] / "design" / "infrastructure.md"
    rules = [f"| {one.id} | {one.claim} |" for _, one in sorted(RULES.items())]
    stands = [
        f"| {name} | " + " | ".join(_stands(plans[c, "prod"], name) for c in CLOUDS) + " |" for name in CAPABILITIES
    ]
    blocks = {
        "counts": table,
        "rules": "\n".join(["| Rule | Claim |", "|---|---|", *rules]),
        "stands": "\n".join(["| Capability | AWS | Azure | Google Cloud |", "|---|---|---|---|", *stands]),
    }
    check_golden(page, filled(page, blocks))


def _stands(plan: StackPlan, capability: str) -> str:
    """What of it holds or takes something, with how many; settings and grants are left to the plan."""
    services = kinds(plan.cloud).services
    found = Counter(r.type for r in plan.resources if r.capability == capability and r.type in services)
    named = [(f"{module_of(type_)} {type_.rpartition(':')[2]}", count) for type_, count in sorted(found.items())]
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in named) or "settings and grants alone"


@pytest.mark.parametrize("profile", PROFILES)
def test_three_clouds_promise_the_same(plans: Plans, profile: str) -> None:
    """The contracts differ in values only: same keys, same containers, same images."""
    shapes = {cloud: _shape(plans[cloud, profile].contract) for cloud in CLOUDS}
    everywhere = frozenset.intersection(*shapes.values())
    assert {cloud: sorted(shape - everywhere) for cloud, shape in shapes.items() if shape - everywhere} == {}


@pytest.mark.parametrize("stack", STACKS)
def test_contract_is_valid_and_holds_no_secret(plans: Plans, stack: tuple[str, str]) -> None:
    """What workloads read parses as the one model, and no secret value went into it."""
    contract = plans[stack].contract
    Contract.model_validate(contract)
    assert "<secret>" not in str(contract)


@pytest.mark.parametrize(("cloud", "capability"), list(product(CLOUDS, CAPABILITIES)))
def test_prod_builds_something_for_every_capability(plans: Plans, cloud: str, capability: str) -> None:
    """An empty component is allowed in `small` only, where its docstring says what one goes without."""
    assert any(r.capability == capability for r in plans[cloud, "prod"].resources)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_prod_protects_its_data_and_dev_can_be_destroyed(plans: Plans, cloud: str) -> None:
    """`pulumi destroy` refuses in prod until someone unprotects keys, data and cluster by hand."""
    guarded = {r.capability for r in plans[cloud, "prod"].resources if r.protect}
    assert {"keys", "objects", "database", "cluster"} <= guarded
    assert not any(r.protect for r in plans[cloud, "dev"].resources)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_two_plans_are_the_same_plan(plans: Plans, cloud: str) -> None:
    """Registration order is random; the plan is not."""
    again = plan_stack(load(cloud, "small"))
    assert again.model_dump(exclude={"seconds"}) == plans[cloud, "small"].model_dump(exclude={"seconds"})


def _shape(value: object, path: str = "") -> frozenset[str]:
    if not isinstance(value, dict):
        return frozenset({path})
    if path in {".secrets.connectors", ".registry.digests"} or path.endswith(".selector"):  # keys are the cloud's words
        return frozenset({path})
    return frozenset(p for key, item in value.items() for p in _shape(item, f"{path}.{key}"))
