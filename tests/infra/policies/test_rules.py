"""Every rule passes on the real stacks and bites on a seeded mistake, on each cloud it speaks about."""

import pytest

from infra.offline.plan import CLOUDS
from infra.policies.rules import RULES, check_stack
from infra.policies.rules.base import Company, Stack
from tests.infra.conftest import previewed
from tests.infra.policies.mutations import CACHE_LOGIN, MISTAKES, Mistake, add, both, say
from tests.planned import PROFILES, Plans

# The list of the requirements, so that a rule cannot vanish together with its test.
REQUIRED = {
    "NET": 10,
    "ENC": 4,
    "IAM": 9,
    "STO": 3,
    "DB": 7,
    "DEP": 5,
    "REF": 8,
    "K8S": 3,
    "REG": 2,
    "BUS": 2,
    "SEC": 1,
    "OPS": 7,
    "LLM": 3,
    "EQ": 4,
}


def test_every_required_rule_exists() -> None:
    """The registry holds the list of the requirements, family by family."""
    assert sorted(RULES) == sorted(f"{family}-{i + 1:03}" for family, n in REQUIRED.items() for i in range(n))


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_our_stacks_break_no_rule(plans: Plans, cloud: str, profile: str) -> None:
    """The passing fixture of every rule."""
    assert list(check_stack(plans[cloud, profile])) == []


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", ["small", "prod"])
def test_what_a_preview_cannot_know_breaks_no_rule(plans: Plans, cloud: str, profile: str) -> None:
    """The pack is mandatory: a rule that took an unknown for a breach would refuse every first `pulumi up`."""
    assert list(check_stack(previewed(plans[cloud, profile]))) == []


def test_every_rule_has_a_mistake_on_each_of_its_clouds() -> None:
    """A rule without a failing fixture may be one that cannot fail."""
    seeded = {(m.rule, m.cloud) for m in MISTAKES}
    assert {(r.id, c) for r in RULES.values() for c in r.clouds} == seeded


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.rule}-{m.cloud}-{m.what}")
def test_rule_finds_the_mistake(plans: Plans, mistake: Mistake) -> None:
    """The mutant breaks the rule it was made for."""
    mutant = mistake.make(plans[mistake.cloud, mistake.profile])
    assert mistake.rule in {f.policy for f in check_stack(mutant)}


@pytest.mark.parametrize(("called", "found"), [("worker", False), ("pointsman-worker", True)])
def test_a_users_id_is_its_name_where_a_log_in_wants_it(plans: Plans, called: str, found: bool) -> None:
    """ElastiCache lets nobody in by IAM whose id is not the name, and says no more than that."""
    log_in = say("-worker", "Database", Action=[CACHE_LOGIN])
    user = add("aws:elasticache/user:User", {"userId": "worker", "userName": called})
    mutant = both(log_in, user)(plans["aws", "prod"])
    lines = [f.message for f in check_stack(mutant) if f.policy == "IAM-008"]
    assert any("is called pointsman-worker and worker: userId, userName must say the same" in x for x in lines) is found


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
