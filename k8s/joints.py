"""Names that meet between the two layers: written in one of them, read in the other, and no API server looks."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from k8s.platform.watch import DASHBOARD
from k8s.rules import pods

Object = dict[str, Any]
JOB = re.compile(r'job="([a-z]+)"')


def breaches(below: list[Object], found: list[Object]) -> Iterator[tuple[str, str]]:
    """(rule, what is wrong) of the platform's objects `below` and the workloads on it; without any below, none."""
    for id_, rule in RULES.items() if below else ():
        yield from ((id_, line) for line in rule(below, found))


def _monitors(below: list[Object], found: list[Object]) -> Iterator[str]:
    """A monitor that finds no pod, or no port of it, is a scrape target less, and nothing says so."""
    spaces = {one["metadata"].get("namespace") for one in found}
    for one in _of(below, "PodMonitor"):
        name, spec = f"PodMonitor/{one['metadata']['name']}", one["spec"]
        chosen = spec["selector"]["matchLabels"]
        seen = [(labels, pod) for _, labels, pod in pods(found) if chosen.items() <= labels.items()]
        if not seen:
            yield f"{name} chooses {chosen}, which no pod carries"
        ports = {port["name"] for _, pod in seen for c in pod["containers"] for port in c.get("ports", [])}
        for asked in spec["podMetricsEndpoints"]:
            if seen and asked["port"] not in ports:
                yield f"{name} asks port {asked['port']!r}, which is not open"
        if any(spec["jobLabel"] not in labels for labels, _ in seen):
            yield f"{name} names its job by {spec['jobLabel']!r}, which its pods do not carry"
        if not set(spec["namespaceSelector"]["matchNames"]) <= spaces:
            yield f"{name} looks into {spec['namespaceSelector']['matchNames']}, where nothing of ours is"


def _jobs(below: list[Object], found: list[Object]) -> Iterator[str]:
    """An alert on a job that nobody scrapes fires for ever, or never."""
    told = {
        labels.get(one["spec"]["jobLabel"])
        for one in _of(below, "PodMonitor")
        for _, labels, _ in pods(found)
        if one["spec"]["selector"]["matchLabels"].items() <= labels.items()
    }
    for one in _of(below, "PrometheusRule"):
        rules = [rule for group in one["spec"]["groups"] for rule in group["rules"]]
        for rule in rules:
            for job in sorted(set(JOB.findall(rule["expr"])) - told):
                yield f"alert {rule['alert']} asks for job {job!r}, which no monitor makes"


def _references(below: list[Object], found: list[Object]) -> Iterator[str]:
    """What workloads lean on is made below: the store of secrets, the issuer; the class, where it is ours."""
    made = {(one["kind"], one["metadata"]["name"]) for one in below}
    for one in found:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "ExternalSecret":
            wanted = spec["secretStoreRef"]["kind"], spec["secretStoreRef"]["name"]
        elif one["kind"] == "Certificate":
            wanted = spec["issuerRef"]["kind"], spec["issuerRef"]["name"]
        elif one["kind"] == "Gateway" and not spec["gatewayClassName"].startswith("gke-"):
            wanted = "GatewayClass", spec["gatewayClassName"]
        else:
            continue
        if wanted not in made:
            yield f"{name} wants {wanted[0]}/{wanted[1]}, which the platform does not make"


def _placed(below: list[Object], _: list[Object]) -> Iterator[str]:
    """In a namespace that stands, and a dashboard with the label that Grafana gathers by."""
    spaces = {one["metadata"]["name"] for one in _of(below, "Namespace")}
    for one in below:
        name, metadata = f"{one['kind']}/{one['metadata']['name']}", one["metadata"]
        if metadata.get("namespace", next(iter(spaces), "")) not in spaces:
            yield f"{name} stands in {metadata['namespace']!r}, which nobody makes"
        is_board = one["kind"] == "ConfigMap" and metadata["name"].startswith("dashboard-")
        if is_board and DASHBOARD not in metadata.get("labels", {}):
            yield f"{name} lacks the label {DASHBOARD!r}: Grafana does not gather it"


def _of(objects: list[Object], kind: str) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


RULES: dict[str, Callable[[list[Object], list[Object]], Iterator[str]]] = {
    "OBJ-101": _monitors,
    "OBJ-102": _jobs,
    "OBJ-103": _references,
    "OBJ-104": _placed,
}
