"""
An operator's own settings of a container, beside what the contract says: shadow mode, filters, a chat's limits.

They are read here as the container would read them, so that a wrong one is refused before the rollout and not by a pod.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from k8s.workloads.environment import Settings
from k8s.workloads.vault import PREFIX, REST
from services.core.bus.build import kind_of
from services.core.kit.errors import InputInvalid, PointsmanError
from services.core.kit.plain_yaml import Texts
from services.core.kit.settings import PlatformSettings, read_settings
from services.gateway.settings import GatewaySettings
from services.migrator.settings import MigratorSettings
from services.rag.settings import RagSettings
from services.router.settings import RouterSettings
from services.trainer.settings import TrainerSettings
from services.worker.settings import WorkerSettings

CLASSES: Mapping[str, type[PlatformSettings]] = {
    "gateway": GatewaySettings,
    "router": RouterSettings,
    "worker": WorkerSettings,
    "rag": RagSettings,
    "trainer": TrainerSettings,
    "migrator": MigratorSettings,
}
# Where the contract's word is a default: how much is logged, which model is asked, how long training may take.
OPEN = {f"{PREFIX}{name}" for name in ("LOG_LEVEL", "LLM__PRIORITY", "LLM__SUMMARY", "LLM__ANSWER", "TRAINER_BUDGET_S")}
SYSTEMS = f"{PREFIX}CONNECTORS"
PODS = f"{PREFIX}WORKER_ID"  # the pod's name
MOST_CHARS = 100_000  # of a container: one variable of 128 KiB is more than Linux takes, an object of 1 MiB than etcd
WITH_PASSWORD = re.compile(r"://[^/\s\"]*:[^/\s\"]*@")
EXAMPLE = "worker: {POINTSMAN_SHADOW: true}"


def read_own(text: str, told: Mapping[str, Settings]) -> dict[str, Settings]:
    """
    Args:
        text: YAML, a container's name to variables; lists and mappings may be written as such.
        told: what each container is given already.
    Raises:
        InputInvalid: a container, variable or value that nobody would read, a secret, or what the contract decides.
    """
    own = {container: _variables(container, named) for container, named in _mapping(text).items()}
    for container, variables in own.items():
        _refuse_names(container, variables, told[container])
        _refuse_values(container, variables, told[container])
    return own


def _mapping(text: str) -> dict[str, dict[str, Any]]:
    try:
        found = yaml.load(text, Loader=Texts)  # noqa: S506  # makes texts, lists and mappings of them
    except yaml.YAMLError as exc:
        raise InputInvalid(f"The settings are no YAML: {exc}") from exc
    if not isinstance(found, dict) or not all(isinstance(named, dict) for named in found.values()):
        raise InputInvalid(f"The settings are no mapping of containers to variables, such as {EXAMPLE}")
    if unknown := sorted(str(name) for name in found if name not in CLASSES):
        raise InputInvalid(f"No container is called {', '.join(unknown)}. There are {', '.join(CLASSES)}.")
    return found


def _variables(container: str, named: dict[str, Any]) -> Settings:
    for name in named:
        if name.upper().startswith(SYSTEMS):
            raise InputInvalid(f"{container}: {name} belongs into the vault, with the system's key.")
        if not _is_read(CLASSES[container], name):
            raise InputInvalid(f"{container} reads no variable {name}. {_instead(container, name)}")
    return {name: _text(container, name, value) for name, value in named.items()}


def _text(container: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if value.strip() in ("", "~", "null"):
        raise InputInvalid(f"{container}: {name} says nothing. Leave it out to have its default.")
    with suppress(json.JSONDecodeError):
        json.loads(value, object_pairs_hook=lambda pairs: _once(container, name, pairs))
    return value


def _once(container: str, name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two of the same key the last would win in silence."""
    if len(found := dict(pairs)) != len(pairs):
        raise InputInvalid(f"{container}: {name} has a key twice: {', '.join(key for key, _ in pairs)}. Keep one.")
    return found


def _is_read(kind: type[BaseModel], name: str) -> bool:
    """Whether a field, or one within it, is called so: what follows a flat one's name nobody would read."""
    first, *rest = name.removeprefix(PREFIX).split("__")
    if not name.startswith(PREFIX) or name != name.upper() or first.lower() not in kind.model_fields:
        return False
    found: Any = kind.model_fields[first.lower()].annotation
    for part in rest:
        inner = _model(found)
        if inner is None:
            return get_origin(found) in (dict, Mapping)
        if part.lower() not in inner.model_fields:
            return False
        found = inner.model_fields[part.lower()].annotation
    return True


def _model(annotation: Any) -> type[BaseModel] | None:
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _instead(container: str, name: str) -> str:
    if name != name.upper() and _is_read(CLASSES[container], name.upper()):
        return f"Write it in capitals: {name.upper()}."
    if readers := [other for other, kind in CLASSES.items() if _is_read(kind, name)]:
        return f"It is read by {', '.join(readers)}."
    fields = CLASSES[container].model_fields
    first = name.upper().removeprefix(PREFIX).split("__")[0].lower()
    if first in fields:
        inner = _model(fields[first].annotation)
        return f"In {first.upper()} there are {', '.join(inner.model_fields).upper()}." if inner else "It has no parts."
    if close := get_close_matches(first, fields, n=1, cutoff=0.75):
        return f"Did you mean {PREFIX}{close[0].upper()}?"
    return f"It reads {', '.join(sorted(f'{PREFIX}{field.upper()}' for field in fields))}."


def _refuse_names(container: str, variables: Settings, told: Settings) -> None:
    if taken := sorted(name for name in variables if name in told and name not in OPEN):
        raise InputInvalid(
            f"{container}: {', '.join(taken)} comes from the stack: change its settings in infra/stacks."
        )
    if pods := sorted(name for name in variables if name == PODS or (name.endswith("_PORT") and "__" not in name)):
        raise InputInvalid(f"{container}: {', '.join(pods)} is the pod's: probes, walls and services count on it.")
    both = {*variables, *told}
    for name in sorted(variables):
        if over := sorted(other for other in both if other.startswith(f"{name}__")):
            raise InputInvalid(
                f"{container}: {name} and {over[0]} say the same. Write each part of it by its own name."
            )
        if under := sorted(other for other in both if name.startswith(f"{other}__")):
            raise InputInvalid(f"{container}: {under[0]} and {name} say the same. Write one of them.")


def _refuse_values(container: str, variables: Settings, told: Settings) -> None:
    if sum(map(len, variables.values())) > MOST_CHARS:
        raise InputInvalid(f"{container}: more than {MOST_CHARS:,} characters, with which no pod would start.")
    try:
        before, after = (read_settings(CLASSES[container], given) for given in (told, {**told, **variables}))
        if isinstance(after, WorkerSettings) and after.events_url is not None:
            kind_of(after.events_url)
    except PointsmanError as exc:
        raise InputInvalid(f"{container}: {exc.message}") from exc
    secrets = set(_all(after, SecretStr)) - set(_all(before, SecretStr))
    if secrets or any(map(WITH_PASSWORD.search, variables.values())):
        raise InputInvalid(
            f"{container}: one of {', '.join(sorted(variables))} holds a secret, which whoever reads pods would read. "
            f"Put it into the vault: name `{REST}` among the stack's `connectors`, and write it there without {PREFIX}."
        )
    if files := set(_all(after, Path)) - set(_all(before, Path)):
        named = ", ".join(sorted(map(str, files)))
        raise InputInvalid(f"{container}: {named} is a file that no pod has. Redaction's rules go with --rules.")


def _all(found: Any, kind: type) -> Iterator[Any]:
    """Every value of a kind in a value, however deep."""
    if isinstance(found, kind):
        yield found
    elif isinstance(found, BaseModel):
        for name in type(found).model_fields:
            yield from _all(getattr(found, name), kind)
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _all(value, kind)
    elif isinstance(found, tuple | list | set | frozenset):
        for value in found:
            yield from _all(value, kind)
