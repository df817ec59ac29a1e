"""
Checks registered inputs against the types in the installed SDKs, at any depth: unknown keys, missing required keys,
wrong scalar kinds, bad enum values. It needs no provider plugin and no schema file.

It cannot see what only a provider knows: allowed values outside enums, quotas, regions, names already taken.
"""

import collections.abc as cabc
import enum
import typing
from collections.abc import Iterator
from typing import Any

from pulumi import Output, _types
from pulumi.output import Unknown
from pulumi.runtime import rpc

from infra.offline.recorder import Recording
from infra.offline.sdk import args_class, input_fields


def check_inputs(recording: Recording) -> list[str]:
    """One line per wrong input: type, name, path and what is wrong."""
    problems: list[str] = []
    for r in recording.resources.values():
        if not r.custom or r.type.startswith(("pulumi:", "pulumi-python:")):
            continue
        where = f"{r.type} {r.name}"
        if _is_custom_kind(r.type):
            continue
        cls = args_class(r.type)
        problems += [f"{where}: the installed SDK has no such type"] if cls is None else _object(r.inputs, cls, where)
    return sorted(problems)


def _is_custom_kind(token: str) -> bool:
    """A Kubernetes kind defined by a CRD: its schema is in the cluster, not in the SDK."""
    package, group, _ = token.split(":")
    name = group.split("/")[0]
    is_built_in = name.endswith(".k8s.io") and not name.startswith("gateway.")
    return package == "kubernetes" and "." in name and not is_built_in and name != "helm.sh"


def _value(value: Any, tp: Any, path: str) -> Iterator[str]:
    if isinstance(value, Unknown) or value is None:
        return
    if isinstance(value, dict) and rpc._special_sig_key in value:  # a secret, an asset or a resource reference
        if "value" in value:
            yield from _value(value["value"], tp, path)
        return
    options = members(tp)
    if not options or Any in options or object in options:
        return
    refused = [(option, list(_option(value, option, path))) for option in options]
    if any(not problems for _, problems in refused):
        return
    shaped = [p for o, p in refused if isinstance(value, dict) and isinstance(o, type) and _types.is_input_type(o)]
    yield from (shaped or [p for _, p in refused])[0]


def _option(value: Any, tp: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(tp)
    if origin in (list, cabc.Sequence):
        yield from _list(value, tp, path)
    elif origin in (dict, cabc.Mapping):
        yield from _map(value, tp, path)
    elif isinstance(tp, type) and _types.is_input_type(tp):
        yield from _object(value, tp, path)
    elif isinstance(tp, type) and issubclass(tp, enum.Enum):
        if value not in [m.value for m in tp]:
            yield f"{path}: {value!r} is not one of {[m.value for m in tp]}"
    elif tp in _IS and not _IS[tp](value):
        yield f"{path}: expected {tp.__name__}, got {value!r}"


def _list(value: Any, tp: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"{path}: expected a list, got {type(value).__name__}"
        return
    for i, item in enumerate(value):
        yield from _value(item, typing.get_args(tp)[0], f"{path}[{i}]")


def _map(value: Any, tp: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: expected a map, got {type(value).__name__}"
        return
    for key, item in value.items():
        yield from _value(item, typing.get_args(tp)[1], f"{path}.{key}")


def _object(value: Any, cls: type, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: expected {cls.__name__}, got {type(value).__name__}"
        return
    known = input_fields(cls)
    for key, item in value.items():
        if key in known:
            yield from _value(item, known[key][0], f"{path}.{key}")
        else:
            yield f"{path}.{key}: no such input of {cls.__name__}"
    yield from (
        f"{path}.{key}: required by {cls.__name__}" for key, (_, needed) in known.items() if needed and key not in value
    )


def members(tp: Any) -> list[Any]:
    """The alternatives of Input[...], Optional and Union, without Awaitable, Output, None and the TypedDict twin."""
    origin = typing.get_origin(tp)
    if origin is typing.Union or type(tp).__name__ == "UnionType":
        return [m for a in typing.get_args(tp) for m in members(a)]
    if origin in (cabc.Awaitable, Output) or tp is type(None) or typing.is_typeddict(tp):
        return []
    return [tp]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS: dict[Any, typing.Callable[[Any], bool]] = {
    bool: lambda v: isinstance(v, bool),
    int: lambda v: _is_number(v) and v == int(v),  # the wire has one number kind
    float: _is_number,
    str: lambda v: isinstance(v, str),
}
