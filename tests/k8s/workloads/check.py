"""What an API server would say of rendered objects, and what it would not: names that meet nothing."""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

Object = dict[str, Any]
VERSIONS = ("1.33", "1.34", "1.35", "1.36")
# Kinds whose definitions are not at hand: what is written of them is checked by nobody before a cluster does.
UNSEEN = {
    ("cert-manager.io/v1", "Certificate"),
    ("eks.amazonaws.com/v1", "TargetGroupBinding"),
    ("networking.gke.io/v1", "HealthCheckPolicy"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
    ("karpenter.sh/v1", "NodePool"),
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
PLACEHOLDER = re.compile(r"placeholder|changeme|\btodo\b|\$\{|\{\{|<[a-z_-]+>", re.IGNORECASE)


def problems(found: list[Object], versions: tuple[str, ...] = VERSIONS) -> list[str]:
    return [
        *(line for one in found for line in _schema(one, versions)),
        *_twice(found),
        *_placeholders(found),
        *_images(found),
        *_selectors(found),
        *_ports(found),
        *_pods_are_restricted(found),
        *_references(found),
    ]


def pods(found: list[Object]) -> Iterator[tuple[str, dict[str, str], Object]]:
    """(who, labels, spec) of every pod that these objects lead to; KServe puts runtime and predictor together."""
    runtimes = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "ServingRuntime"}
    for one in found:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec", {})
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield name, spec["template"]["metadata"]["labels"], spec["template"]["spec"]
        elif one["kind"] == "CronJob":
            made = spec["jobTemplate"]["spec"]["template"]
            yield name, made["metadata"]["labels"], made["spec"]
        elif one["kind"] == "InferenceService":
            predictor = spec["predictor"]
            runtime = runtimes.get(predictor["model"]["runtime"], {"containers": [], "volumes": []})
            yield name, predictor["labels"], {**runtime, **predictor}


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


def _twice(found: list[Object]) -> Iterator[str]:
    seen = set()
    for one in found:
        key = one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]
        if key in seen:
            yield f"{one['kind']}/{one['metadata']['name']} is there twice"
        seen.add(key)


def _placeholders(found: list[Object]) -> Iterator[str]:
    for one in found:
        for path, text in _texts(one):
            if PLACEHOLDER.search(text):
                yield f"{one['kind']}/{one['metadata']['name']} {path}: {text!r} is a placeholder"


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, f"{path}/{key}")
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield from _texts(one, f"{path}/{i}")
    elif isinstance(value, str):
        yield path, value


def _images(found: list[Object]) -> Iterator[str]:
    for who, _, spec in pods(found):
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            if not re.search(r"@sha256:[0-9a-f]{64}$", container["image"]):
                yield f"{who}: {container['image']} has no digest"


def _selectors(found: list[Object]) -> Iterator[str]:
    """A Service, wall, budget or spread that chooses no pod does nothing, and says so nowhere."""
    carried = [labels for _, labels, _ in pods(found)]
    for one in found:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec", {})
        chosen = {
            "Service": lambda s: [s["selector"]],
            "NetworkPolicy": lambda s: [s["podSelector"].get("matchLabels", {}), *_peers(s)],
            "PodDisruptionBudget": lambda s: [s["selector"]["matchLabels"]],
            "Deployment": lambda s: [s["selector"]["matchLabels"], *_spreads(s)],
            "StatefulSet": lambda s: [s["selector"]["matchLabels"], *_spreads(s)],
        }.get(one["kind"], lambda _: [])(spec)
        for labels in chosen:
            if not any(labels.items() <= have.items() for have in carried):
                yield f"{name} chooses {labels}, which no pod carries"


def _peers(spec: Object) -> Iterator[dict[str, str]]:
    rules = [peer for rule in spec["ingress"] for peer in rule["from"]] + [p for r in spec["egress"] for p in r["to"]]
    yield from (p["podSelector"]["matchLabels"] for p in rules if "podSelector" in p and "namespaceSelector" not in p)


def _spreads(spec: Object) -> Iterator[dict[str, str]]:
    for one in spec["template"]["spec"].get("topologySpreadConstraints", []):
        yield one["labelSelector"]["matchLabels"]


def _ports(found: list[Object]) -> Iterator[str]:
    open_ports = [
        (labels, {p["name"]: p for c in spec["containers"] for p in c.get("ports", [])})
        for _, labels, spec in pods(found)
    ]
    for who, _, spec in pods(found):
        names = {port["name"] for container in spec["containers"] for port in container.get("ports", [])}
        for container in spec["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                action = container.get(probe, {})
                port = (action.get("httpGet") or action.get("tcpSocket") or {}).get("port")
                if port is not None and port not in names:
                    yield f"{who}: {probe} asks port {port!r}, which is not open"
    for one in found:
        if one["kind"] == "Service":
            for port in one["spec"]["ports"]:
                for labels, names in open_ports:
                    if one["spec"]["selector"].items() <= labels.items() and port["targetPort"] not in names:
                        yield f"Service/{one['metadata']['name']}: {port['targetPort']!r} is no port of its pods"


def _pods_are_restricted(found: list[Object]) -> Iterator[str]:
    """Pod Security `restricted`, and what we hold ourselves to beyond it."""
    for who, _, spec in pods(found):
        outer = spec.get("securityContext", {})
        if not (outer.get("runAsNonRoot") and outer.get("runAsUser") and outer.get("seccompProfile")):
            yield f"{who}: may run as root, or without a seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{who}: holds a token of the cluster"
        if spec.get("hostNetwork") or any("hostPath" in one for one in spec.get("volumes", [])):
            yield f"{who}: reaches into its machine"
        for container in spec["containers"]:
            inner = container.get("securityContext", {})
            if inner.get("allowPrivilegeEscalation") is not False or inner.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{who}: keeps capabilities"
            if not inner.get("readOnlyRootFilesystem"):
                yield f"{who}: may write its image"
            room = container.get("resources", {})
            if not {"cpu", "memory"} <= set(room.get("requests", {})) or "memory" not in room.get("limits", {}):
                yield f"{who}: does not say what room it needs"


def _references(found: list[Object]) -> Iterator[str]:
    """What a pod mounts, reads or is run as is among the objects, or made by one of them."""
    there = {(one["kind"], one["metadata"]["name"]) for one in found}
    there |= {("Secret", one["spec"]["target"]["name"]) for one in found if one["kind"] == "ExternalSecret"}
    there |= {("Secret", one["spec"]["secretName"]) for one in found if one["kind"] == "Certificate"}
    for who, _, spec in pods(found):
        wanted = [("ServiceAccount", spec["serviceAccountName"]), ("PriorityClass", spec["priorityClassName"])]
        wanted += [("ConfigMap", v["configMap"]["name"]) for v in spec.get("volumes", []) if "configMap" in v]
        wanted += [("Secret", e["secretRef"]["name"]) for c in spec["containers"] for e in c.get("envFrom", [])]
        volumes = {v["name"] for v in spec.get("volumes", [])}
        mounted = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts", [])}
        yield from (f"{who}: there is no {kind} {name!r}" for kind, name in wanted if (kind, name) not in there)
        yield from (f"{who}: mounts {name!r}, which is no volume of it" for name in sorted(mounted - volumes))
    for one in found:
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            target = one["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) not in there:
                yield f"{one['kind']}/{one['metadata']['name']} scales {target['name']!r}, which is not there"
