"""Every rule passes on the real stacks and bites on a seeded mistake, on each cloud it speaks about."""

import pytest

from infra.offline.plan import CLOUDS
from infra.policies.rules import RULES, check_stack
from infra.policies.rules.base import Company, Stack
from tests.infra.conftest import PROFILES, Plans
from tests.infra.policies.mutations import MISTAKES, Mistake

# The list of the requirements, so that a rule cannot vanish together with its test.
REQUIRED = [
    "NET-001",
    "NET-002",
    "NET-003",
    "NET-004",
    "NET-005",
    "ENC-001",
    "ENC-002",
    "ENC-003",
    "ENC-004",
    "IAM-001",
    "IAM-002",
    "IAM-003",
    "IAM-004",
    "IAM-005",
    "STO-001",
    "STO-002",
    "STO-003",
    "DB-001",
    "DB-002",
    "DB-003",
    "DB-004",
    "K8S-001",
    "K8S-002",
    "REG-001",
    "REG-002",
    "BUS-001",
    "SEC-001",
    "OPS-001",
    "OPS-002",
    "OPS-003",
    "OPS-004",
    "OPS-005",
    "LLM-001",
    "LLM-002",
    "LLM-003",
    "EQ-001",
    "EQ-002",
]


def test_every_required_rule_exists() -> None:
    """The registry holds the list of the requirements, family by family."""
    assert sorted(RULES) == sorted(
        f"{family}-{i:03}" for family, count in REQUIRED.items() for i in range(1, count + 1)
    )


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_our_stacks_break_no_rule(plans: Plans, cloud: str, profile: str) -> None:
    """The passing fixture of every rule."""
    assert list(check_stack(plans[cloud, profile])) == []


def test_every_rule_has_a_mistake_on_each_of_its_clouds() -> None:
    """A rule without a failing fixture may be one that cannot fail."""
    seeded = {(m.rule, m.cloud) for m in MISTAKES}
    assert {(r.id, c) for r in RULES.values() for c in r.clouds} == seeded


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.rule}-{m.cloud}-{m.what}")
def test_rule_finds_the_mistake(plans: Plans, mistake: Mistake) -> None:
    """The mutant breaks the rule it was made for."""
    mutant = mistake.make(plans[mistake.cloud, mistake.profile])
    assert mistake.rule in {f.policy for f in check_stack(mutant)}


@pytest.mark.parametrize("profile", PROFILES)
def test_region_outside_the_company_list_is_refused(plans: Plans, profile: str) -> None:
    """A company's list of regions is its own; ours is empty."""
    findings = check_stack(plans["aws", profile], Company(allowed_regions=("eu-west-1",)))
    assert [f.policy for f in findings] == ["OPS-005"]


def test_profile_decides_what_is_asked(plans: Plans) -> None:
    """A shared identity is a breach in prod and the stated price of `small`."""
    small = Stack.of_plan(plans["aws", "small"], Company())
    as_prod = Stack(small.cloud, "prod", small.resources, small.contract)
    assert not list(RULES["IAM-004"].findings(small))
    assert list(RULES["IAM-004"].findings(as_prod))
