"""What Prometheus and Grafana look at in a cluster: our pods, our alerts and our dashboards, from infra/watch."""

from pathlib import Path
from typing import Any

import yaml

from infra.contract import Contract
from k8s.workloads.containers import SCRAPED
from k8s.workloads.walls import TELEMETRY, labels

Object = dict[str, Any]
WATCH = Path(__file__).parents[2] / "infra/watch"
DASHBOARD = "grafana_dashboard"  # the label that Grafana's sidecar gathers by
EVERY = "30s"


def watched(contract: Contract) -> list[Object]:
    """Kinds of the Prometheus operator and ConfigMaps, beside the charts that read them."""
    return [*(_pods(contract, name) for name in SCRAPED), _alerts(), *_dashboards()]


def _pods(contract: Contract, name: str) -> Object:
    """`job` is the container's name, as alerts and dashboards ask for it."""
    spec = {
        "jobLabel": next(iter(labels(name))),
        "namespaceSelector": {"matchNames": [contract.cluster.namespace]},
        "selector": {"matchLabels": labels(name)},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": EVERY}],
    }
    return _object("monitoring.coreos.com/v1", "PodMonitor", name, spec=spec)


def _alerts() -> Object:
    """The file that docker-compose.yml reads, too: its tests hold here."""
    spec = yaml.safe_load((WATCH / "alerts.yaml").read_text("utf-8"))
    return _object("monitoring.coreos.com/v1", "PrometheusRule", "pointsman", spec=spec)


def _dashboards() -> list[Object]:
    found = []
    for file in sorted((WATCH / "dashboards").glob("*.json")):
        one = _object("v1", "ConfigMap", f"dashboard-{file.stem}", data={file.name: file.read_text("utf-8")})
        one["metadata"]["labels"] = {DASHBOARD: "1"}
        found.append(one)
    return found


def _object(version: str, kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": TELEMETRY}, **content}
