"""Who acts for us (clusters, backups, agents) loses one word of its grants at a time, and is heard each time."""

from typing import Any

import pytest

from infra.kinds.roles import Acts, roles
from infra.offline.plan import CLOUDS
from infra.offline.report import Resource, StackPlan
from infra.policies.rules import RULES
from infra.policies.rules.agents import identities_of, is_actor, is_grant
from infra.policies.rules.base import Company, Stack
from infra.policies.rules.grants import said
from tests.planned import PROFILES, Plans


def found(plan: StackPlan, resources: tuple[Resource, ...]) -> list[str]:
    stack = Stack.of_plan(plan.model_copy(update={"resources": resources}), Company())
    return [f.message for f in RULES["IAM-009"].findings(stack)]


def less(stack: Stack, grant: Resource, word: str) -> Resource:
    """The same grant of something else."""
    if word not in said(stack, grant):
        return grant
    told = {
        "role": "roles/none.none",
        "roleDefinitionId": "/roleDefinitions/none",
        "policyArn": "arn:aws:iam::aws:policy/None",
        "policy": str(grant.inputs.get("policy")).replace(f'"{word}"', '"none:None"'),
    }
    field = next(name for name in ("policyArn", "policy", "roleDefinitionId", "role") if name in grant.inputs)
    return grant.model_copy(update={"inputs": {**grant.inputs, field: told[field]}})


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_word_that_somebody_needs_is_missed_when_it_is_left_out(plans: Plans, cloud: str) -> None:
    """Derived from the records: nobody writes the mistake by hand, and each record is needed in some stack."""
    tried = set()
    for profile in PROFILES:
        plan = plans[cloud, profile]
        stack = Stack.of_plan(plan, Company())
        for actor in (r for r in stack.resources if is_actor(stack, r)):
            record = roles(cloud).acts[actor.type]
            mine = identities_of(stack, actor) | {actor.urn}
            for word in record.needs:
                held = [r for r in stack.resources if is_grant(stack, r) and mine & set(r.depends_on)]
                if any(word in said(stack, g) for g in held):
                    left = tuple(less(stack, r, word) if r in held else r for r in plan.resources)
                    assert any(f"it needs {word}" in line for line in found(plan, left)), (actor.urn, word)
                    tried.add((actor.type, word))
    wanted = {(type_, word) for type_, record in roles(cloud).acts.items() for word in record.needs}
    by_option = {pair for pair in wanted if pair[0] == "azure-native:servicebus:Namespace"}  # Premium: bus.private
    assert wanted - by_option - tried <= {(VMSS, ACR_PULL)}


VMSS, ACR_PULL = "azure-native:compute:VirtualMachineScaleSet", "7f951dda-4ed3-4680-a7ca-43fe172d538d"  # registry named


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_stranger_under_an_identity_must_say_what_it_needs(plans: Plans, cloud: str) -> None:
    """No list of types that act: who names an identity does."""
    plan = plans[cloud, "prod"]
    stack = Stack.of_plan(plan, Company())
    known = {r.urn for r in stack.of(*roles(cloud).identities)}
    actor = next(r for r in stack.resources if is_actor(stack, r) and known & set(r.depends_on))
    stranger = actor.model_copy(update={"type": f"{cloud}:batch/job:Job", "urn": "urn:job"})
    assert any("say in `acts`" in line for line in found(plan, (*plan.resources, stranger)))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_grant_that_nobody_needs_is_named(plans: Plans, cloud: str) -> None:
    """The roles left, who acts under them gone: a record forgotten with its service reads the same."""
    plan = plans[cloud, "prod"]
    stack = Stack.of_plan(plan, Company())
    busy = tuple(r for r in plan.resources if is_grant(stack, r) or not is_actor(stack, r))
    assert any("Nobody planned needs" in line for line in found(plan, busy))


def test_a_grant_in_the_wrong_place_is_too_little(plans: Plans) -> None:
    """The role on the other queue: dead letters would pile up in none."""
    plan = plans["gcp", "prod"]
    (grant,) = [r for r in plan.resources if r.type.endswith(":SubscriptionIAMMember") and r.capability == "bus"]
    elsewhere = tuple(urn for urn in grant.depends_on if "subscription:Subscription" not in urn)
    moved = tuple(r.model_copy(update={"depends_on": elsewhere}) if r is grant else r for r in plan.resources)
    assert any("needs pubsub:subscriber on itself" in line for line in found(plan, moved))


@pytest.mark.parametrize("record", [{}, {"needs": {"a:b": "anywhere"}, "names": "only"}])
def test_a_record_says_one_thing_of_who_acts(record: dict[str, Any]) -> None:
    """Nothing is forgetting, two are a contradiction."""
    with pytest.raises(ValueError, match="what it `needs`"):
        Acts.model_validate(record)
