"""
Refuses the end of a stack that must not end by accident, in our own words.

It is a resource that stands after all others, so `pulumi destroy` comes to it first. Pulumi's own protection of single
resources stands besides and speaks earlier; this one says what to do, and is the last to let go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Resource, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult
from pulumi.dynamic import Resource as Dynamic

from infra.capabilities import Scope


class Refusal(ResourceProvider):
    serialize_as_secret_always = False  # the class's name is no secret, and a state without secrets stays readable

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("guard", props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=_olds["held"] != _news["held"])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_news)

    def delete(self, _id: str, _props: Mapping[str, Any]) -> None:
        if _props["held"]:
            raise RuntimeError(
                f"{_props['stack']} holds a company's tickets and does not end by `pulumi destroy` alone. To take it "
                "down: 1. export what is to be kept (database, buckets, audit log); 2. set `retire: true` in "
                f"{_props['file']}; 3. `pulumi up`, which lifts Pulumi's protection and the cloud's; 4. `pulumi "
                "destroy`. The guide of its cloud says what outlives it."
            )


class Guard(Dynamic, module="infra", name="Guard"):
    def __init__(self, name: str, props: Mapping[str, Any], opts: ResourceOptions) -> None:
        super().__init__(Refusal(), name, dict(props), opts)


def guard(scope: Scope, *, before: Sequence[Resource]) -> Guard:
    """`before` is everything that must not be destroyed before this lets go."""
    settings = scope.settings
    props = {"held": not settings.retire, "stack": settings.prefix, "file": f"Pulumi.{settings.environment}.yaml"}
    return Guard(scope.name("guard"), props, scope.own(depends_on=before))
