"""
Deterministic stand-ins for what a provider would compute, derived from the SDK's own output types.

Without them the stock mocks resolve each output to None, and "sb://None" ends up in a plan unnoticed.
"""

import collections.abc as cabc
import typing
from typing import Any

from pulumi import _types
from pulumi.runtime import rpc

from infra.offline.sdk import resource_class

Computed = cabc.Callable[[Any, str], Any]  # (type, path) -> what stands for a value only the provider knows
_DEPTH_MAX = 5  # output types nest (some recurse): a Memorystore address stands in the fifth object


def outputs(token: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A value for each output of the type that is not also an input; empty for a type the SDKs do not know."""
    cls = resource_class(token)
    if cls is None:
        return {}
    kinds = _types.resource_types(cls)
    return {key: _stand_in(tp, f"{name}-{key}", 0) for key, tp in kinds.items() if key not in {*inputs, "id", "urn"}}


def echoed(token: str, name: str, inputs: dict[str, Any], *, computed: Computed) -> dict[str, Any]:
    """
    The inputs as the provider gives them back: computed members of an object are filled in (a vault's address), and
    a list is a map where the provider answers so (Azure's identities).
    """
    cls = resource_class(token)
    kinds = _types.resource_types(cls) if cls else {}
    return {key: _fit(value, kinds.get(key), f"{name}-{key}", computed) for key, value in inputs.items()}


def _fit(value: Any, tp: Any, path: str, computed: Computed) -> Any:
    tp = _types.unwrap_type(tp) if tp else None
    if typing.get_origin(tp) in (dict, cabc.Mapping) and isinstance(value, list):
        return {}
    if not (isinstance(value, dict) and isinstance(tp, type) and _types.is_output_type(tp)):
        return value
    kinds = _types.output_type_types(tp)
    missing = {key: computed(t, f"{path}-{key}") for key, t in kinds.items() if key not in value}
    return {**missing, **{key: _fit(item, kinds.get(key), f"{path}-{key}", computed) for key, item in value.items()}}


def made_up(tp: Any, path: str) -> Any:
    return _stand_in(tp, path, 1)


def unknown(tp: Any, path: str) -> Any:
    return rpc.UNKNOWN


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
