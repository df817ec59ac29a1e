"""What CrossGuard hands over is judged like the plan; the objects here are shaped like its PolicyResource."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.offline.plan import CLOUDS
from infra.policies.adapter import stack_of
from infra.policies.rules import RULES
from tests.planned import Plans


def handed_over(plans: Plans, cloud: str, *, protect: bool = True) -> list[Any]:
    """The prod plan as CrossGuard's resources: the stack, one component each, and what is in them."""
    plan = plans[cloud, "prod"]
    opts = SimpleNamespace(protect=False, ignore_changes=[])

    def make(type_: str, name: str, parent: Any, **more: Any) -> Any:
        urn = f"urn:pulumi:prod::pointsman-{cloud}::{type_}::{name}"
        given = {"props": {}, "opts": opts, "dependencies": [], "provider": None, **more}
        return SimpleNamespace(**{"resource_type": type_, "name": name, "urn": urn, "parent": parent, **given})

    root = make("pulumi:pulumi:Stack", "stack", None, props={"contract": plan.contract})
    components = {c: make("pointsman:index:X", c, root) for c in {r.capability for r in plan.resources}}
    leaves = [
        make(
            r.type,
            r.name,
            components[r.capability],
            props=r.inputs,
            opts=SimpleNamespace(protect=r.protect and protect, ignore_changes=list(r.ignores)),
            urn=r.urn,
        )
        for r in plan.resources
    ]
    by_urn = {leaf.urn: leaf for leaf in leaves}
    for leaf, r in zip(leaves, plan.resources, strict=True):
        leaf.dependencies = [by_urn[urn] for urn in r.depends_on]
    return [root, *components.values(), *leaves]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_same_verdict_as_the_plan(plans: Plans, cloud: str) -> None:
    """Cloud, profile, capabilities and contract arrive; no rule is broken."""
    stack = stack_of(handed_over(plans, cloud))
    assert (stack.cloud, stack.profile) == (cloud, "prod")
    assert {r.capability for r in stack.resources} == {r.capability for r in plans[cloud, "prod"].resources}
    assert [f for rule in RULES.values() for f in rule.findings(stack)] == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_protection_is_read_from_the_options(plans: Plans, cloud: str) -> None:
    """`protect` is no property but an option; the rule about it must still bite."""
    stack = stack_of(handed_over(plans, cloud, protect=False))
    assert list(RULES["OPS-004"].findings(stack))


def test_what_a_component_waits_for_is_read_from_above() -> None:
    """The engine lists it at the component alone; its children wait as well, and so does the plan say."""

    def make(type_: str, name: str, parent: Any, dependencies: list[Any]) -> Any:
        return SimpleNamespace(
            resource_type=type_,
            name=name,
            urn=f"urn:pulumi:prod::pointsman-gcp::{type_}::{name}",
            parent=parent,
            props={},
            opts=SimpleNamespace(protect=False, ignore_changes=[]),
            dependencies=dependencies,
            provider=None,
        )

    root = make("pulumi:pulumi:Stack", "stack", None, [])
    api = make("gcp:projects/service:Service", "api", root, [])
    component = make("pointsman:index:Bus", "bus", root, [api])
    topic = make("gcp:pubsub/topic:Topic", "topic", component, [])
    stack = stack_of([root, api, component, topic])
    assert stack.waits_for(stack.by_urn[topic.urn]) == {api.urn}


def test_stack_without_a_contract_yet_is_judged_by_its_names(plans: Plans) -> None:
    """Before the export the URN says cloud and profile, and rules about the contract keep silent."""
    stack = stack_of(handed_over(plans, "aws")[1:])
    assert (stack.cloud, stack.profile, stack.contract) == ("aws", "prod", {})
    assert [f.policy for rule in RULES.values() for f in rule.findings(stack)] == []
