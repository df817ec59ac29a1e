"""
An operator's own settings of a container, beside what the contract says: shadow mode, filters, a chat's limits.

They are read here as the container would read them, so that a wrong one is refused before the rollout and not by a pod.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from k8s.workloads.environment import Settings
from k8s.workloads.vault import PREFIX, REST
from services.core.kit.errors import InputInvalid, PointsmanError
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
OPEN = (f"{PREFIX}LOG_LEVEL", f"{PREFIX}LLM__", f"{PREFIX}TRAINER_BUDGET_S")  # the contract's word is a default
PODS = f"{PREFIX}WORKER_ID"  # the pod's name
SYSTEMS = f"{PREFIX}CONNECTORS"
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
        _refuse(container, variables, told[container])
    return own


def _mapping(text: str) -> dict[str, dict[str, Any]]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise InputInvalid(f"The settings are no YAML: {exc}") from exc
    if not isinstance(found, dict) or not all(isinstance(named, dict) for named in found.values()):
        raise InputInvalid(f"The settings are no mapping of containers to variables, such as {EXAMPLE}")
    if unknown := sorted(str(name) for name in found if name not in CLASSES):
        raise InputInvalid(f"No container is called {', '.join(unknown)}. There are {', '.join(CLASSES)}.")
    return found


def _variables(container: str, named: dict[str, Any]) -> Settings:
    known = {f"{PREFIX}{field.upper()}" for field in CLASSES[container].model_fields}
    if unknown := sorted(str(name) for name in named if str(name).split("__")[0] not in known):
        raise InputInvalid(f"{container} reads no variable {', '.join(unknown)}. It reads {', '.join(sorted(known))}.")
    return {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in named.items()}


def _refuse(container: str, variables: Settings, told: Settings) -> None:
    if taken := sorted(name for name in variables if name in told and not name.startswith(OPEN)):
        raise InputInvalid(
            f"{container}: {', '.join(taken)} comes from the stack: change its settings in infra/stacks."
        )
    if pods := sorted(name for name in variables if name == PODS or name.endswith("_PORT")):
        raise InputInvalid(f"{container}: {', '.join(pods)} is the pod's: probes, walls and services count on it.")
    if systems := sorted(name for name in variables if name.startswith(SYSTEMS)):
        raise InputInvalid(f"{container}: {', '.join(systems)} belongs into the vault, with the system's key.")
    try:
        before, after = (read_settings(CLASSES[container], given) for given in (told, {**told, **variables}))
    except PointsmanError as exc:
        raise InputInvalid(f"{container}: {exc.message}") from exc
    if secrets := set(_secrets(after)) - set(_secrets(before)):
        guilty = sorted(name for name, value in variables.items() if any(secret in value for secret in secrets))
        raise InputInvalid(
            f"{container}: {', '.join(guilty)} holds a secret, which whoever reads pods would read. Put it "
            f"into the vault: name `{REST}` among the stack's `connectors`, and write it there without {PREFIX}."
        )


def _secrets(found: Any) -> Iterator[str]:
    """Every secret in a value, however deep."""
    if isinstance(found, SecretStr):
        yield found.get_secret_value()
    elif isinstance(found, BaseModel):
        for name in type(found).model_fields:
            yield from _secrets(getattr(found, name))
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _secrets(value)
    elif isinstance(found, tuple | list | set | frozenset):
        for value in found:
            yield from _secrets(value)
