"""
What lies in the cloud's vault, and as which variables pods get it: a secret per ticketing system, and one for the rest.

A secret is a JSON object of settings. That of a system sets its connector's; `settings` sets any other by its name
without POINTSMAN_, such as `notify__channels` or `llm__openai__api_key`.
"""

from typing import Any

from infra.contract import Contract
from services.core.connectors.registry import ConnectorsSettings
from services.core.kit.errors import ConfigurationInvalid

STORE = "cloud"
READERS = ("gateway", "worker", "rag")
REST = "settings"
PREFIX = "POINTSMAN_"
# The stack's words are written in capitals: only under the same name do they come before the vault's.
CAPITALS = {"transform": {"template": "{{ .value | upper }}"}}


def secret_name(tag: str) -> str:
    return f"connector-{tag.replace('_', '-')}"


def from_vault(contract: Contract, container: str) -> list[dict[str, Any]]:
    """`envFrom` of a container."""
    if container not in READERS:
        return []
    return [{"secretRef": {"name": secret_name(tag)}} for tag in sorted(contract.secrets.connectors)]


def systems(contract: Contract) -> list[str]:
    """The ticketing systems that have a secret, by their names in settings."""
    return [_system(tag) for tag in contract.secrets.connectors if tag != REST]


def refuse_unknown(contract: Contract) -> None:
    """
    Raises:
        ConfigurationInvalid: a secret for a system that there is no connector to: every reader would end at its start.
    """
    known = ConnectorsSettings.model_fields
    if unknown := sorted(set(systems(contract)) - set(known)):
        raise ConfigurationInvalid(
            f"No connector is called {', '.join(unknown)}. `connectors` in the stack's settings may name "
            f"{', '.join(known)}, and {REST} for what else is secret."
        )


def external(tag: str, where: str) -> tuple[str, dict[str, Any]]:
    """Name and spec of the ExternalSecret; `where` is the vault's word for it."""
    key = where.rpartition("/")[2] if where.startswith("https://") else where
    prefix = PREFIX if tag == REST else f"{PREFIX}CONNECTORS__{_system(tag).upper()}__"
    prefixed = {"regexp": {"source": "(.*)", "target": f"{prefix}$1"}}
    spec = {
        "refreshInterval": "15m",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": STORE},
        "target": {"name": secret_name(tag), "creationPolicy": "Owner", "deletionPolicy": "Retain"},
        "dataFrom": [
            {"extract": {"key": key}, "rewrite": [prefixed, CAPITALS]},
        ],
    }
    return secret_name(tag), spec


def _system(tag: str) -> str:
    return tag.replace("-", "_")
