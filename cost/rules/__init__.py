"""From a planned stack to meters: every resource type has a rule or is free with a reason."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from cost.book import read_yaml
from cost.meter import Meter
from cost.rules import aws, azure, gcp
from cost.rules.context import Context, Rule
from services.core.kit.errors import ConfigurationInvalid

RULES: Mapping[str, Mapping[str, Rule]] = {"aws": aws.RULES, "azure": azure.RULES, "gcp": gcp.RULES}
FREE = Path(__file__).with_name("free.yaml")


class ResourceUnpriced(ConfigurationInvalid):
    """The message names the resource type and where its rule belongs."""


def meters(ctx: Context) -> Iterator[tuple[str, Meter]]:
    """
    (capability, meter) of every resource of a stack.

    Raises:
        ResourceUnpriced: a type has no rule and is not declared free.
    """
    cloud = ctx.stack.cloud
    rules, free = RULES[cloud], free_types(cloud)
    for resource in ctx.stack.resources:
        rule = rules.get(resource.type)
        if rule is None and resource.type not in free:
            raise ResourceUnpriced(
                f"No pricing rule for {resource.type} ({resource.name}). Add one to cost/rules/{cloud}.py, or the type "
                f"with the reason why it is free to cost/rules/free.yaml."
            )
        if rule is not None:
            yield from ((meter.capability or resource.capability, meter) for meter in rule(resource, ctx))


@cache
def free_types(cloud: str) -> Mapping[str, str]:
    """Resource types of a cloud that cost nothing, with the reason."""
    return read_yaml(FREE)[cloud]
