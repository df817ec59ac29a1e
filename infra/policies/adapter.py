"""Turns what CrossGuard hands over into what the rules read. It imports no policy engine, so tests can call it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.offline.report import Resource
from infra.policies.rules.base import COMPUTED, Stack

_STACK = "pulumi:pulumi:Stack"


def stack_of(resources: Iterable[Any]) -> Stack:
    """
    The stack as rules see it. Cloud and profile come from the contract the stack exports, else from its URNs.

    Args:
        resources: objects with `urn`, `resource_type`, `name`, `props`, `parent` and, in `opts`, `protect` and
            `ignore_changes`.
    """
    listed = list(resources)
    contract = next((plain(r.props).get("contract") for r in listed if r.resource_type == _STACK), None)
    known = contract if isinstance(contract, dict) else {}
    stack, project = _names(listed)
    by_urn = {r.urn: r for r in listed}
    return Stack(
        cloud=str(known.get("cloud") or project.removeprefix("pointsman-")),
        profile=str(known.get("profile") or stack),
        resources=tuple(
            found
            for r in listed
            if not r.resource_type.startswith((_STACK, "pointsman:"))
            # A provider of ours stands in a component; those that Pulumi makes by itself stand in none.
            if (found := _resource(r, by_urn)).capability or not r.resource_type.startswith("pulumi:")
        ),
        contract=known,
    )


def plain(value: Any) -> Any:
    """CrossGuard wraps values in proxies and floats every number; rules want JSON, with `<computed>` for unknowns."""
    if isinstance(value, Mapping):
        return {str(key): _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_item(value, i) for i in range(len(value))]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _item(container: Any, key: Any) -> Any:
    """A preview does not know every value, and CrossGuard's proxy raises when one is looked at."""
    try:
        return plain(container[key])
    except Exception as exc:  # pulumi_policy's own class, which this file must not import
        if type(exc).__name__ != "UnknownValueError":
            raise
        return COMPUTED


def _names(resources: list[Any]) -> tuple[str, str]:
    """(stack, project) out of `urn:pulumi:stack::project::type::name`."""
    if not resources:
        return "", ""
    stack, project, *_ = resources[0].urn.removeprefix("urn:pulumi:").split("::")
    return stack, project


def _resource(resource: Any, by_urn: dict[str, Any]) -> Resource:
    return Resource(
        urn=resource.urn,
        type=resource.resource_type,
        name=resource.name,
        capability=_capability(resource, by_urn),
        parent=resource.parent.urn if resource.parent else "",
        inputs=plain(resource.props),
        protect=bool(resource.opts.protect),
        depends_on=_depends_on(resource, by_urn),
        ignores=tuple(resource.opts.ignore_changes),
    )


def _depends_on(resource: Any, by_urn: dict[str, Any]) -> tuple[str, ...]:
    """The engine's own list, with what the components above wait for and the provider, as the offline plan has it."""
    urns = {d.urn for d in resource.dependencies}
    parent = by_urn.get(resource.parent.urn) if resource.parent else None
    if parent is not None and parent.resource_type != _STACK:
        is_component = parent.resource_type.startswith("pointsman:")
        urns |= set(_depends_on(parent, by_urn)) if is_component else {parent.urn}
    if resource.provider is not None:
        urns.add(resource.provider.urn)
    return tuple(sorted(urns))


def _capability(resource: Any, by_urn: dict[str, Any]) -> str:
    """The name of the component a resource belongs to."""
    parent = resource.parent
    while parent is not None:
        found = by_urn.get(parent.urn, parent)
        if found.resource_type.startswith("pointsman:"):
            return found.name
        parent = found.parent
    return ""
