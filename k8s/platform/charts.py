"""Which charts a cluster gets, and with which values: chosen by the contract, versions in charts.yaml."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from infra.contract import Contract
from k8s.platform.collector import collector

Values = dict[str, Any]
LISTED = Path(__file__).with_name("charts.yaml")
EVERYWHERE = ("cert-manager", "external-secrets", "collector")
OWN_GATEWAY = ("envoy",)  # EKS and GKE bind the gateway to the cloud's own balancer
CONTROLLERS = ("kserve-crd", "kserve", "keda", "prometheus")  # `small` has no room for them
LABELLED = {"azure.workload.identity/use": "true"}


class Chart(BaseModel):
    """One release. `after`: releases that must stand before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    chart: str
    repository: str
    version: str
    namespace: str
    memory_mib: int
    installs: tuple[str, ...]
    after: tuple[str, ...] = ()
    source: str
    values: Values = {}

    @property
    def is_oci(self) -> bool:
        return self.repository.startswith("oci://")


def charts(contract: Contract) -> list[Chart]:
    """In the order in which they are installed."""
    return [_listed()[name].model_copy(update={"values": VALUES[name](contract)}) for name in names(contract)]


def names(contract: Contract) -> tuple[str, ...]:
    gateway = OWN_GATEWAY if contract.cluster.kind in ("aks", "k3s") else ()
    return (*EVERYWHERE, *gateway, *(() if contract.is_small else CONTROLLERS))


@cache
def _listed() -> dict[str, Chart]:
    rows = yaml.safe_load(LISTED.read_text("utf-8"))
    return {name: Chart.model_validate({"name": name, "chart": name, **row}) for name, row in rows.items()}


def annotations(contract: Contract, part: str) -> dict[str, str]:
    """How a service account is tied to its identity; EKS ties it from outside, on `small` it is the machine's."""
    principal = contract.identity.platform[part]  # ty: ignore[invalid-argument-type]  # a part of the platform
    return {
        "azure-workload-identity": {"azure.workload.identity/client-id": principal},
        "gke-workload-identity": {"iam.gke.io/gcp-service-account": principal},
    }.get(contract.identity.kind, {})


def _account(contract: Contract, part: str) -> Values:
    return {"serviceAccount": {"name": part, "annotations": annotations(contract, part)}}


def _labels(contract: Contract) -> Values:
    return {"podLabels": LABELLED} if contract.identity.kind == "azure-workload-identity" else {}


def _room(memory_mib: int, limit_mib: int, cpu_m: int = 10) -> Values:
    requests = {"cpu": f"{cpu_m}m", "memory": f"{memory_mib}Mi"}
    return {"resources": {"requests": requests, "limits": {"memory": f"{limit_mib}Mi"}}}


def _cert_manager(contract: Contract) -> Values:
    """Proves names by DNS where there is a zone, else through our own Gateway: both its business alone."""
    return {
        "crds": {"enabled": True, "keep": True},
        "config": {"gatewayAPI": {"enabled": contract.cluster.kind in ("aks", "k3s")}},
        "startupapicheck": {"enabled": False},
        "webhook": _room(32, 128),
        "cainjector": _room(96, 256),
        **_account(contract, "cert-manager"),
        **_labels(contract),
        **_room(64, 256),
    }


def _external_secrets(contract: Contract) -> Values:
    """Without its webhook, which checks what is written at once; the operator says the same a moment later."""
    kept = {"webhook": {"create": False}, "certController": {"create": False}}
    unused = {"processClusterExternalSecret": False, "processClusterPushSecret": False, "processPushSecret": False}
    return {
        "installCRDs": True,
        **kept,
        **unused,
        **_account(contract, "external-secrets"),
        **_labels(contract),
        **_room(64, 256),
    }


def _collector(contract: Contract) -> Values:
    """One, as a Deployment whose Service is `collector`: what our containers call (k8s/workloads/environment.py)."""
    off = {port: {"enabled": False} for port in ("jaeger-compact", "jaeger-thrift", "jaeger-grpc", "zipkin", "otlp")}
    return {
        "mode": "deployment",
        "fullnameOverride": "collector",
        "image": {"repository": "otel/opentelemetry-collector-contrib"},
        "alternateConfig": collector(contract),
        "ports": off,
        **_account(contract, "telemetry"),
        **_labels(contract),
        **_room(128, 384),
    }


def _envoy(_: Contract) -> Values:
    return {"deployment": {"envoyGateway": _room(256, 512, cpu_m=50)}}


def _kserve(_: Contract) -> Values:
    """Standard mode, without an ingress of its own: only our containers call the router."""
    controller = {"deploymentMode": "Standard", "gateway": {"disableIngressCreation": True}}
    return {"kserve": {"controller": controller}}


def _prometheus(_: Contract) -> Values:
    """Ours alone: it looks at our pods by our rules; machines and control plane are watched by the cloud's own."""
    chosen = ("podMonitor", "serviceMonitor", "rule", "probe")
    spec = {f"{what}SelectorNilUsesHelmValues": False for what in chosen} | {
        "retention": "15d",
        **_room(512, 2048, 100),
    }
    theirs = (
        "kubeApiServer kubelet kubeControllerManager coreDns kubeDns kubeEtcd kubeScheduler kubeProxy "
        "kubeStateMetrics nodeExporter"
    )
    dashboards = {"enabled": True, "label": "grafana_dashboard", "searchNamespace": "ALL"}
    return {
        "fullnameOverride": "prometheus",
        "defaultRules": {"create": False},
        **{part: {"enabled": False} for part in theirs.split()},
        "prometheusOperator": _room(64, 256),
        "prometheus": {"prometheusSpec": spec},
        "alertmanager": {"alertmanagerSpec": _room(64, 128)},
        "grafana": {"defaultDashboardsEnabled": False, "sidecar": {"dashboards": dashboards}, **_room(128, 384)},
    }


def _plain(_: Contract) -> Values:
    return {}


VALUES: dict[str, Callable[[Contract], Values]] = {
    "cert-manager": _cert_manager,
    "external-secrets": _external_secrets,
    "collector": _collector,
    "envoy": _envoy,
    "kserve-crd": _plain,
    "kserve": _kserve,
    "keda": _plain,
    "prometheus": _prometheus,
}
