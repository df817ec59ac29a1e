"""From a planned stack to meters: every resource type has a rule or is free with a reason."""

from collections.abc import Iterator, Mapping
from math import prod

from cost.meter import HOURS_PER_MONTH, Meter, fixed
from cost.rules import aws, azure, gcp
from cost.rules.context import Context, Rule, get
from infra.kinds import Hourly, kinds
from infra.offline.report import Resource, StackPlan
from services.core.kit.errors import ConfigurationInvalid

_OWN: Mapping[str, Mapping[str, Rule]] = {"aws": aws.RULES, "azure": azure.RULES, "gcp": gcp.RULES}


def by_the_hour(price: Hourly) -> Rule:
    """Of each machine that the resource is, by what its record says of counts."""
    return lambda resource, _ctx: [fixed(price.row, price.item, HOURS_PER_MONTH * _count(price, resource))]


def _count(price: Hourly, resource: Resource) -> int:
    told = [(get(resource, *path.split(".")), how) for path, how in price.times.items()]
    return prod(1 + int(n or 0) if how == "n+1" else int(n or 1) for n, how in told if how != "1")


def _recorded(cloud: str) -> Mapping[str, Rule]:
    """What a type's own record says of its price (infra/kinds)."""
    return {type_: by_the_hour(s.hourly) for type_, s in kinds(cloud).services.items() if s.hourly}


RULES: Mapping[str, Mapping[str, Rule]] = {cloud: {**_recorded(cloud), **own} for cloud, own in _OWN.items()}


class ResourceUnpriced(ConfigurationInvalid):
    """The message names the resource type and where its rule belongs."""


def meters(ctx: Context) -> Iterator[tuple[str, Meter]]:
    """
    (capability, meter) of every resource of a stack.

    Raises:
        ResourceUnpriced: a type has no rule and is not declared free.
    """
    for problem in unpriced(ctx.stack):
        raise ResourceUnpriced(problem)
    rules = RULES[ctx.stack.cloud]
    for resource in ctx.stack.resources:
        if rule := rules.get(resource.type):
            yield from ((meter.capability or resource.capability, meter) for meter in rule(resource, ctx))


def unpriced(stack: StackPlan) -> list[str]:
    """One line per resource whose type has neither a rule nor a reason why it is free."""
    cloud = stack.cloud
    known = {*RULES[cloud], *free_types(cloud)}
    return [
        f"No pricing rule for {r.type} ({r.name}). Add one to cost/rules/{cloud}.py; or say what it costs by the hour, "
        f"or why it is free, in its record in infra/kinds/{cloud}.yaml."
        for r in stack.resources
        if r.type not in known
    ]


def free_types(cloud: str) -> Mapping[str, str]:
    """Resource types of a cloud that cost nothing, with the reason."""
    return kinds(cloud).free
