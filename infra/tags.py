"""Tags every resource that can carry them, in one place: a tag forgotten by hand is a bill nobody owns."""

import inspect
from functools import cache
from typing import Any

import pulumi

# Most specific first: a GCP notification channel's `labels` are its address, its `user_labels` are the tags.
_FIELDS = ("user_labels", "resource_labels", "labels", "tags")
# Here the field of that name is not a map of tags (a list of objects, or DNS-like text).
_OTHER_MEANING = frozenset({"aws:autoscaling/group:Group", "azure-native:monitor:ActionGroup"})


def tag_everything(tags: dict[str, str]) -> None:
    """Merge `tags` into each resource registered from now on; what the resource says itself wins."""
    pulumi.runtime.register_stack_transformation(lambda args: _tagged(args, tags))


def _tagged(
    args: pulumi.ResourceTransformationArgs, tags: dict[str, str]
) -> pulumi.ResourceTransformationResult | None:
    field = _field(type(args.resource))
    if field is None or args.type_ in _OTHER_MEANING:
        return None
    own: Any = args.props.get(field) or {}
    return pulumi.ResourceTransformationResult({**args.props, field: {**tags, **own}}, args.opts)


@cache
def _field(resource: type[pulumi.Resource]) -> str | None:
    known = inspect.signature(getattr(resource, "_internal_init", lambda: None)).parameters
    return next((name for name in _FIELDS if name in known), None)
