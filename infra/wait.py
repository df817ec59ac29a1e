"""
A pause between a grant and what needs it: a cloud answers "granted" minutes before all of it knows.

It is a resource, so the pause happens once, in the `up` that makes the grant, and never in a preview.
"""

import time
from collections.abc import Sequence
from typing import Any

from pulumi import Resource, ResourceOptions
from pulumi.dynamic import CreateResult, ResourceProvider
from pulumi.dynamic import Resource as Dynamic

WAIT = "pulumi-python:dynamic/infra:Wait"


class _Pause(ResourceProvider):
    serialize_as_secret_always = False  # the class's name is no secret, and a state without secrets stays readable

    def create(self, props: dict[str, Any]) -> CreateResult:
        time.sleep(float(props["seconds"]))
        return CreateResult("waited", props)


class Wait(Dynamic, module="infra", name="Wait"):
    def __init__(self, name: str, seconds: int, opts: ResourceOptions) -> None:
        super().__init__(_Pause(), name, {"seconds": seconds}, opts)


def after(name: str, grants: Sequence[Resource], seconds: int, opts: ResourceOptions) -> Wait:
    """A new grant makes a new wait; `opts` are the component's."""
    return Wait(name, seconds, ResourceOptions.merge(opts, ResourceOptions(depends_on=list(grants))))
