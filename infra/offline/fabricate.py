"""
Deterministic stand-ins for what a provider would compute, derived from the SDK's own output types.

Without them the stock mocks resolve each output to None, and "sb://None" ends up in a plan unnoticed.
"""

import collections.abc as cabc
import typing
from typing import Any

from pulumi import _types

from infra.offline.sdk import resource_class

_DEPTH_MAX = 4  # output types nest (and some recurse); nothing of ours reads deeper


def outputs(token: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A value for each output of the type that is not also an input; empty for a type the SDKs do not know."""
    cls = resource_class(token)
    if cls is None:
        return {}
    kinds = _types.resource_types(cls)
    return {key: _stand_in(tp, f"{name}-{key}", 0) for key, tp in kinds.items() if key not in {*inputs, "id", "urn"}}


def _stand_in(tp: Any, path: str, depth: int) -> Any:
    tp = _types.unwrap_type(tp)
    origin = typing.get_origin(tp)
    if origin is typing.Union:
        return _stand_in(next(a for a in typing.get_args(tp) if a is not type(None)), path, depth)
    if tp in _SCALARS:
        return _SCALARS[tp](path)
    if depth >= _DEPTH_MAX:
        return [] if origin in (list, cabc.Sequence) else None
    if origin in (list, cabc.Sequence):
        return [_stand_in(typing.get_args(tp)[0], f"{path}-0", depth + 1)]
    if origin in (dict, cabc.Mapping):
        return {}
    if isinstance(tp, type) and _types.is_output_type(tp):
        return {key: _stand_in(t, f"{path}-{key}", depth + 1) for key, t in _types.output_type_types(tp).items()}
    return None


_SCALARS: dict[Any, typing.Callable[[str], Any]] = {
    str: lambda path: path,
    bool: lambda _: False,
    int: lambda _: 0,
    float: lambda _: 0,
}
