"""Finds the Python classes of a resource type in the installed SDKs: its outputs, and its typed inputs."""

import importlib
import inspect
import sys
import typing
from functools import cache
from typing import Any

from pulumi import _types, output
from pulumi.runtime import rpc


@cache
def resource_class(token: str) -> type | None:
    return _class(token, "{}")


@cache
def args_class(token: str) -> type | None:
    """`<Name>InitArgs` first: where it exists, the plain name belongs to a nested type."""
    return _class(token, "{}InitArgs") or _class(token, "{}Args")


@cache
def input_fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Wire name -> (type, required) of a typed input class."""
    names = _types.input_type_py_to_pulumi_names(cls)
    siblings = sys.modules.get(cls.__module__.rsplit(".", 1)[0] + "._inputs", sys.modules[cls.__module__])
    # `Input` is an alias with forward references into pulumi.output, evaluated here for the first time.
    names_known = {**vars(output), **vars(sys.modules[cls.__module__]), **vars(siblings)}
    # Two separate dicts, or typing reuses what it once found for 'EncryptionArgs' in another module.
    hints = typing.get_type_hints(cls.__init__, names_known, {})
    parameters = inspect.signature(cls.__init__).parameters
    return {
        names.get(name, name): (hints.get(name, Any), parameter.default is inspect.Parameter.empty)
        for name, parameter in parameters.items()
        if name in names
    }


def _class(token: str, pattern: str) -> type | None:
    package, module, _ = token.split(":")
    if not _loaded(package):
        return None
    for resource_module in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):
        info = getattr(resource_module, "mod_info", None)
        if info is None:
            continue
        if name := info["classes"].get(token):
            return getattr(importlib.import_module(info["fqn"]), pattern.format(name), None)
    return None


@cache
def _loaded(package: str) -> bool:
    try:
        importlib.import_module("pulumi_" + package.replace("-", "_"))
    except ModuleNotFoundError:
        return False
    return True
