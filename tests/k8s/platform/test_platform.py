"""What the workloads lean on: each name that they use is made here, by a chart of a known version or by the cloud."""

import json
import os
import re
from typing import Any

import pytest
import yaml

from infra.contract import Contract
from infra.grants import PLATFORM
from k8s.platform.charts import Chart, charts
from k8s.platform.collector import collector
from k8s.platform.objects import addons, after, before
from k8s.platform.watch import WATCH
from k8s.rules import pods
from k8s.workloads.environment import COLLECTOR
from k8s.workloads.pods import Rollout
from k8s.workloads.walls import ENVOY, KEDA, TELEMETRY
from services.core.kit.errors import ConfigurationInvalid
from tests.k8s.conftest import OVERLAYS, Rendered
from tests.k8s.workloads.check import problems

Rollouts = dict[tuple[str, str], Rollout]
# What a managed cluster brings along: EKS Auto Mode its node pools and target groups, GKE its Gateway.
BROUGHT = {
    "eks": {"NodePool", "TargetGroupBinding"},
    "gke": {"Gateway", "HTTPRoute", "GCPBackendPolicy", "GCPGatewayPolicy", "HealthCheckPolicy"},
    "aks": set(),
    "k3s": {"HelmChart"},
}


def contract_of(stack: tuple[str, str], rollouts: Rollouts) -> Contract:
    return rollouts[stack].contract


def by_name(contract: Contract) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(contract)}


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_every_custom_kind_is_brought_by_a_chart_or_by_the_cloud(
    stack: tuple[str, str], rendered: Rendered, rollouts: Rollouts
) -> None:
    """A kind that nobody installs would leave the whole rollout standing."""
    contract = contract_of(stack, rollouts)
    brought = {kind for chart in charts(contract) for kind in chart.installs} | BROUGHT[contract.cluster.kind]
    objects = [*rendered[stack], *before(contract), *after(contract)]
    custom = {one["kind"] for one in objects if "." in one["apiVersion"] and ".k8s.io" not in one["apiVersion"]}
    custom |= {one["kind"] for one in objects if one["apiVersion"].startswith("gateway.networking.k8s.io")}
    assert custom <= brought


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_names_that_workloads_use_are_made_here(stack: tuple[str, str], rendered: Rendered, rollouts: Rollouts) -> None:
    """Store, issuer, class, namespaces, collector."""
    contract = contract_of(stack, rollouts)
    made = {(one["kind"], one["metadata"]["name"]) for one in [*before(contract), *after(contract)]}
    for one in rendered[stack]:
        spec = one.get("spec", {})
        if one["kind"] == "ExternalSecret":
            assert (spec["secretStoreRef"]["kind"], spec["secretStoreRef"]["name"]) in made
        if one["kind"] == "Certificate":
            assert (spec["issuerRef"]["kind"], spec["issuerRef"]["name"]) in made
        if one["kind"] == "Gateway" and contract.cluster.kind != "gke":
            assert ("GatewayClass", spec["gatewayClassName"]) in made
    spaces = {name for kind, name in made if kind == "Namespace"}
    wanted = {TELEMETRY} | ({ENVOY} if contract.cluster.kind in ("aks", "k3s") else set())
    assert wanted | ({KEDA} if contract.cluster.kind != "k3s" else set()) <= spaces
    found = by_name(contract)["collector"]
    assert f"http://{found.values['fullnameOverride']}.{found.namespace}:4318" == COLLECTOR
    assert collector(contract)["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_each_part_of_the_platform_is_run_as_its_identity(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """In the namespace and under the account that the cloud's stack has tied its grants to: of the part's own name."""
    contract = contract_of(stack, rollouts)
    accounts = {
        chart.values["serviceAccount"]["name"]: chart for chart in charts(contract) if "serviceAccount" in chart.values
    }
    assert set(accounts) == set(PLATFORM)
    for part, chart in accounts.items():
        assert chart.namespace == part
        principal = contract.identity.platform[part]  # ty: ignore[invalid-argument-type]
        said = list(chart.values["serviceAccount"]["annotations"].values())
        is_bound_outside = contract.identity.kind in ("eks-pod-identity", "node")
        assert said == ([] if is_bound_outside else [principal])
        is_labelled = "podLabels" in chart.values
        assert is_labelled == (contract.identity.kind == "azure-workload-identity")


def test_a_chart_is_named_by_version_and_source_and_none_is_here(rollouts: Rollouts) -> None:
    for stack in OVERLAYS:
        for chart in charts(contract_of(stack, rollouts)):
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", chart.version), chart.name
            assert chart.repository.startswith(("oci://", "https://"))
            assert chart.source.startswith("https://github.com/")
            order = [one.name for one in charts(contract_of(stack, rollouts))]
            assert all(order.index(name) < order.index(chart.name) for name in chart.after)


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
@pytest.mark.skipif(not os.environ.get("POINTSMAN_CRDS"), reason="POINTSMAN_CRDS does not name the definitions")
def test_an_api_server_would_take_what_joins_charts_and_stack(stack: tuple[str, str], rollouts: Rollouts) -> None:
    contract = contract_of(stack, rollouts)
    assert problems([*before(contract), *after(contract)]) == []


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_small_is_one_file_that_k3s_takes_by_itself(cloud: str, rollouts: Rollouts) -> None:
    """Namespaces and charts alone: what needs a chart's kinds comes with the workloads, when they are there."""
    contract = contract_of((cloud, "small"), rollouts)
    found = addons(contract)
    assert {one["kind"] for one in found} == {"Namespace", "HelmChart"}
    for chart, one in zip(charts(contract), (o for o in found if o["kind"] == "HelmChart"), strict=True):
        assert json.loads(one["spec"]["valuesContent"]) == chart.values
        assert one["spec"]["chart"].startswith("oci://") == chart.is_oci
        assert bool(one["spec"].get("repo")) == (not chart.is_oci)
    names = {chart.name for chart in charts(contract)}
    assert not names & {"kserve", "keda", "prometheus"}


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_the_collector_uses_what_it_declares(stack: tuple[str, str], rollouts: Rollouts) -> None:
    """A pipeline that names what is not there does not start, and an exporter in no pipeline sends nothing."""
    found = collector(contract_of(stack, rollouts))
    pipelines = found["service"]["pipelines"].values()
    for part in ("receivers", "processors", "exporters"):
        assert {name for one in pipelines for name in one[part]} == set(found[part])
    assert set(found["service"]["extensions"]) == set(found["extensions"])
    asked = {e["auth"]["authenticator"] for e in found["exporters"].values() if "auth" in e}
    assert asked == set(found["extensions"]) - {"health_check"}


def test_an_id_that_names_no_group_is_refused(rollouts: Rollouts) -> None:
    """Made up, AKS would look for the address in a group that is not there, and say so nowhere that anybody looks."""
    contract = contract_of(("azure", "prod"), rollouts)
    edge = contract.edge.model_copy(update={"zone": "example.com"})
    with pytest.raises(ConfigurationInvalid, match="is no id of a resource"):
        after(contract.model_copy(update={"edge": edge}))


def test_charts_of_the_list_are_all_used(rollouts: Rollouts) -> None:
    from k8s.platform.charts import LISTED

    used = {chart.name for stack in OVERLAYS for chart in charts(contract_of(stack, rollouts))}
    assert used == set(yaml.safe_load(LISTED.read_text("utf-8")))


def test_node_pools_come_before_every_chart(rollouts: Rollouts) -> None:
    """Pods of a chart may be waiting for the machines."""
    found: list[dict[str, Any]] = before(contract_of(("aws", "prod"), rollouts))
    assert [one["metadata"]["name"] for one in found if one["kind"] == "NodePool"] == ["workers", "gpu"]
    assert found[0]["kind"] == "NodePool"


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_prometheus_is_told_of_every_pod_that_alerts_ask_about(
    cloud: str, rendered: Rendered, rollouts: Rollouts
) -> None:
    """By the job's name that rules ask for, at a port that is open; else an alert would be silent for ever."""
    contract = contract_of((cloud, "prod"), rollouts)
    told = {(one["kind"], one["metadata"]["name"]): one for one in after(contract)}
    rules = (WATCH / "alerts.yaml").read_text("utf-8")
    asked = set(re.findall(r'job="([a-z]+)"', rules))
    assert asked
    assert asked <= {name for kind, name in told if kind == "PodMonitor"}
    for (kind, name), one in told.items():
        if kind == "PodMonitor":
            chosen = one["spec"]["selector"]["matchLabels"]
            ports = {
                port["name"]
                for _, carried, spec in pods(rendered[cloud, "prod"])
                if chosen.items() <= carried.items()
                for container in spec["containers"]
                for port in container["ports"]
            }
            assert one["spec"]["podMetricsEndpoints"][0]["port"] in ports
            assert chosen[one["spec"]["jobLabel"]] == name
    assert told["PrometheusRule", "pointsman"]["spec"] == yaml.safe_load(rules)
    sidecar = by_name(contract)["prometheus"].values["grafana"]["sidecar"]["dashboards"]
    boards = [one for (kind, _), one in told.items() if kind == "ConfigMap"]
    assert [list(one["data"]) for one in boards] == [["chat.json"], ["platform.json"], ["tickets.json"]]
    assert all(sidecar["label"] in one["metadata"]["labels"] for one in boards)


def test_small_has_no_prometheus_and_is_told_of_none(rollouts: Rollouts) -> None:
    """A kind that nobody installs would leave the rest of the file waiting."""
    kinds = {one["kind"] for one in after(contract_of(("aws", "small"), rollouts))}
    assert not kinds & {"PodMonitor", "PrometheusRule"}
