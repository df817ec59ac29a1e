"""What an API server would take and nobody would see: names that meet nothing, pods that may do too much."""

import re
from collections.abc import Callable, Iterator
from typing import Any

Object = dict[str, Any]
OUR_PROXY = {"matchLabels": {"kubernetes.io/metadata.name": "envoy-gateway-system"}}
PLACEHOLDER = re.compile(r"placeholder|changeme|\btodo\b|\$\{|\{\{|<[a-z_-]+>", re.IGNORECASE)


def breaches(found: list[Object]) -> Iterator[tuple[str, str]]:
    """(rule, what is wrong) of the objects of one rollout."""
    for id_, rule in RULES.items():
        yield from ((id_, line) for line in rule(found))


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
        elif one["kind"] == "TrainingRuntime":
            for job in spec["template"]["spec"]["replicatedJobs"]:
                made = job["template"]["spec"]["template"]
                yield name, made["metadata"]["labels"], made["spec"]
        elif one["kind"] == "InferenceService":
            predictor = spec["predictor"]
            runtime = runtimes.get(predictor["model"]["runtime"], {"containers": [], "volumes": []})
            yield name, predictor["labels"], {**runtime, **predictor}


def _twice(found: list[Object]) -> Iterator[str]:
    seen = set()
    for one in found:
        key = one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]
        if key in seen:
            yield f"{one['kind']}/{one['metadata']['name']} is there twice"
        seen.add(key)


def _placeholders(found: list[Object]) -> Iterator[str]:
    """Alerts and dashboards are templates by nature: Prometheus and Grafana fill them, and promtool looks at them."""
    for one in (one for one in found if not _is_template(one)):
        for path, text in _texts(one):
            if PLACEHOLDER.search(text) and not (
                one["kind"] == "ExternalSecret" and path.endswith("/transform/template")
            ):
                yield f"{one['kind']}/{one['metadata']['name']} {path}: {text!r} is a placeholder"


def _is_template(one: Object) -> bool:
    return one["kind"] == "PrometheusRule" or "grafana_dashboard" in one["metadata"].get("labels", {})


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
    rules = [peer for rule in spec.get("ingress", []) for peer in rule["from"]] + [
        p for r in spec["egress"] for p in r["to"]
    ]
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
        claims = [v["persistentVolumeClaim"] for v in spec.get("volumes", []) if "persistentVolumeClaim" in v]
        wanted += [("PersistentVolumeClaim", claim["claimName"]) for claim in claims]
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


def _ways_in(found: list[Object]) -> Iterator[str]:
    """A host that its listener drops, a Service that is not there, a wall that stays shut: none says so."""
    listeners = {
        (one["metadata"]["name"], listener["name"]): listener
        for one in found
        if one["kind"] == "Gateway"
        for listener in one["spec"]["listeners"]
    }
    for one in (one for one in found if one["kind"] == "HTTPRoute"):
        name, spec = f"HTTPRoute/{one['metadata']['name']}", one["spec"]
        for parent in spec["parentRefs"]:
            listener = listeners.get((parent["name"], parent["sectionName"]))
            if listener is None:
                yield f"{name} joins {parent['name']}/{parent['sectionName']}, which is no listener"
            elif dropped := sorted(
                set(spec["hostnames"]) - {listener.get("hostname", host) for host in spec["hostnames"]}
            ):
                yield f"{name} names {dropped}, which its listener drops"
    for name, service, port in _backends(found):
        yield from _behind(found, name, service, port)


def _backends(found: list[Object]) -> Iterator[tuple[str, str, int]]:
    for one in found:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "HTTPRoute":
            for backend in (backend for rule in spec["rules"] for backend in rule.get("backendRefs", [])):
                yield name, backend["name"], backend["port"]
        elif one["kind"] == "TargetGroupBinding":
            yield name, spec["serviceRef"]["name"], spec["serviceRef"]["port"]


def _behind(found: list[Object], name: str, service: str, port: int) -> Iterator[str]:
    there = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "Service"}
    spec = there.get(service, {"ports": [], "selector": {}})
    if port not in {one["port"] for one in spec["ports"]}:
        yield f"{name} leads to {service}:{port}, which no Service opens"
    walls = [
        one["spec"]
        for one in found
        if one["kind"] == "NetworkPolicy" and one["spec"]["podSelector"].get("matchLabels") == spec["selector"]
    ]
    peers = [peer for wall in walls for rule in wall.get("ingress", []) for peer in rule["from"]]
    if not any("ipBlock" in peer or peer.get("namespaceSelector") == OUR_PROXY for peer in peers):
        yield f"{name} leads to {service}, whose wall lets nobody in from outside"


RULES: dict[str, Callable[[list[Object]], Iterator[str]]] = {
    "OBJ-001": _twice,
    "OBJ-002": _placeholders,
    "OBJ-003": _images,
    "OBJ-004": _selectors,
    "OBJ-005": _ports,
    "OBJ-006": _pods_are_restricted,
    "OBJ-007": _references,
    "OBJ-008": _ways_in,
}
