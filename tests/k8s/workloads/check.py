"""What an API server would say of rendered objects, and what it would not: names that meet nothing."""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from k8s.rules import breaches

Object = dict[str, Any]
VERSIONS = ("1.33", "1.34", "1.35", "1.36")
# Kinds whose definitions are not at hand: what is written of them is checked by nobody before a cluster does.
UNSEEN = {
    ("cert-manager.io/v1", "Certificate"),
    ("eks.amazonaws.com/v1", "TargetGroupBinding"),
    ("networking.gke.io/v1", "GCPBackendPolicy"),
    ("networking.gke.io/v1", "GCPGatewayPolicy"),
    ("networking.gke.io/v1", "HealthCheckPolicy"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
    ("karpenter.sh/v1", "NodePool"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}
DEFINED = (
    "inferenceservices",
    "servingruntimes",
    "scaledobjects",
    "gateways",
    "httproutes",
    "externalsecrets",
    "clustersecretstores",
    "gatewayclasses",
)


def problems(found: list[Object], versions: tuple[str, ...] = VERSIONS) -> list[str]:
    return [
        *(line for one in found for line in _schema(one, versions)),
        *(line for _, line in breaches(found)),
    ]


def _schema(one: Object, versions: tuple[str, ...]) -> list[str]:
    return _seen(json.dumps(one), versions)


@cache
def _seen(text: str, versions: tuple[str, ...]) -> list[str]:
    """Most objects are the same in several stacks: each is looked at once."""
    return list(_looked_at(json.loads(text), versions))


def _looked_at(one: Object, versions: tuple[str, ...]) -> Iterator[str]:
    kind, where = (one["apiVersion"], one["kind"]), f"{one['kind']}/{one['metadata']['name']}"
    if kind in UNSEEN:
        return
    custom = _custom().get(kind)
    if custom is not None:
        for error in custom.iter_errors(one):
            yield f"{where}: {'/'.join(map(str, error.absolute_path))}: {error.message[:160]}"
        return
    for version in versions:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as exc:
            yield f"{where} ({version}): {'/'.join(map(str, exc.path))}: {exc.message[:160]}"
        except Exception as exc:  # a kind that no version knows
            yield f"{where} ({version}): {type(exc).__name__} {exc}"


@cache
def _custom() -> dict[tuple[str, str], jsonschema.Draft7Validator]:
    folder, found = os.environ.get("POINTSMAN_CRDS", ""), {}
    for file in sorted(Path(folder).glob("*.yaml")) if folder else []:
        if not any(word in file.name for word in DEFINED):
            continue
        for one in yaml.load_all(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if not one or one.get("kind") != "CustomResourceDefinition":
                continue
            for version in one["spec"]["versions"]:
                key = f"{one['spec']['group']}/{version['name']}", one["spec"]["names"]["kind"]
                if version["served"]:
                    found[key] = jsonschema.Draft7Validator(_closed(version["schema"]["openAPIV3Schema"], is_root=True))
    return found


def _closed(schema: Any, *, is_root: bool = False) -> Any:
    """A structural schema of OpenAPI as strict JSON Schema: what it does not name is refused."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if made.pop("x-kubernetes-int-or-string", False):
        made = {k: v for k, v in made.items() if k not in ("anyOf", "format", "type")} | {"type": ["integer", "string"]}
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if "properties" in made:
        made["properties"] = {name: _closed(one) for name, one in made["properties"].items()}
    if isinstance(made.get("items"), dict):
        made["items"] = _closed(made["items"])
    if isinstance(made.get("additionalProperties"), dict):
        made["additionalProperties"] = _closed(made["additionalProperties"])
    if is_root:
        made["properties"] = made.get("properties", {}) | {"metadata": {"type": "object", "required": ["name"]}}
        made["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    is_open = "additionalProperties" in made or made.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in made and not is_open:
        made["additionalProperties"] = False
    return made
