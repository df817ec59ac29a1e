"""The collector's configuration: spans of all containers into the cloud's own store; on `small` their metrics, too."""

from collections.abc import Callable
from typing import Any

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS, SCRAPED

Part = dict[str, Any]


def collector(contract: Contract) -> Part:
    exporters, extensions = EXPORTERS[contract.cloud](contract)
    receivers: Part = {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}}
    pipelines = {"traces": _pipeline("otlp", exporters["traces"])}
    if contract.is_small:  # elsewhere Prometheus does
        receivers["prometheus"] = {"config": {"scrape_configs": [_scraped(contract, name) for name in SCRAPED]}}
        pipelines["metrics"] = _pipeline("prometheus", exporters["metrics"])
    used = [name for one in pipelines.values() for name in one["exporters"]]
    return {
        "receivers": receivers,
        "processors": {
            "batch": {},
            "memory_limiter": {"check_interval": "5s", "limit_percentage": 80, "spike_limit_percentage": 25},
        },
        "exporters": {name: value for part in exporters.values() for name, value in part.items() if name in used},
        "extensions": {"health_check": {"endpoint": "0.0.0.0:13133"}, **extensions},
        "service": {"extensions": ["health_check", *extensions], "pipelines": pipelines},
    }


def _pipeline(receiver: str, exporters: Part) -> Part:
    return {"receivers": [receiver], "processors": ["memory_limiter", "batch"], "exporters": list(exporters)}


def _scraped(contract: Contract, name: str) -> Part:
    """By its Service: one pod of each. Jobs have the names that rules and dashboards ask for."""
    target = f"{CONTAINERS[name].service}.{contract.cluster.namespace}:80"
    return {"job_name": name, "scrape_interval": "60s", "static_configs": [{"targets": [target]}]}


def _aws(contract: Contract) -> tuple[dict[str, Part], Part]:
    """Signed with the role's credentials, for X-Ray and for managed Prometheus."""
    signers = {f"sigv4auth/{service}": {"region": contract.region, "service": service} for service in ("xray", "aps")}
    where = f"{contract.observability.metrics.rstrip('/')}/api/v1/remote_write"
    return {
        "traces": {
            "otlphttp": {"traces_endpoint": contract.observability.traces, "auth": {"authenticator": "sigv4auth/xray"}}
        },
        "metrics": {"prometheusremotewrite": {"endpoint": where, "auth": {"authenticator": "sigv4auth/aps"}}},
    }, signers if contract.is_small else {"sigv4auth/xray": signers["sigv4auth/xray"]}


def _azure(contract: Contract) -> tuple[dict[str, Part], Part]:
    to: Part = {"azuremonitor": {"connection_string": contract.observability.traces}}
    return {"traces": to, "metrics": to}, {}


def _gcp(contract: Contract) -> tuple[dict[str, Part], Part]:
    signed = {
        "traces_endpoint": contract.observability.traces,
        "headers": {"x-goog-user-project": contract.account},
        "auth": {"authenticator": "googleclientauth"},
    }
    return {
        "traces": {"otlphttp": signed},
        "metrics": {"googlemanagedprometheus": {"project": contract.account}},
    }, {"googleclientauth": {"project": contract.account}}


EXPORTERS: dict[str, Callable[[Contract], tuple[dict[str, Part], Part]]] = {"aws": _aws, "azure": _azure, "gcp": _gcp}
