"""Faults that no API server sees: a name of one layer that meets nothing in the other, each seeded to be found."""

import copy
from typing import Any

import pytest

from k8s.joints import RULES, breaches
from k8s.platform.objects import after, before
from k8s.workloads.pods import Rollout
from tests.k8s.conftest import OVERLAYS, Rendered
from tests.k8s.workloads.test_objects import GONE, of, seed

Rollouts = dict[tuple[str, str], Rollout]
# Of which stack, the rule, what is broken, where, with what, and a word of what is said.
MISTAKES: dict[str, tuple[str, str, str, str, Any, str]] = {
    "a monitor of nobody": ("aws", "OBJ-101", "PodMonitor/rag", "spec/selector/matchLabels/a", "b", "no pod carries"),
    "a closed port": ("aws", "OBJ-101", "PodMonitor/rag", "spec/podMetricsEndpoints/0/port", "web", "not open"),
    "a job without a name": ("aws", "OBJ-101", "PodMonitor/rag", "spec/jobLabel", "app", "do not carry"),
    "another namespace": (
        "gcp", "OBJ-101", "PodMonitor/rag", "spec/namespaceSelector/matchNames/0", "default", "nothing of ours",
    ),
    "a forgotten monitor": ("azure", "OBJ-102", "PodMonitor/gateway", "", GONE, "asks for job 'gateway'"),
    "an alert on a strange job": (
        "azure", "OBJ-102", "PrometheusRule/pointsman", "spec/groups/0/rules/0/expr", 'up{job="gate"}', "job 'gate'",
    ),
    "a renamed store": (
        "gcp", "OBJ-103", "ClusterSecretStore/cloud", "metadata/name", "vault", "ClusterSecretStore/cloud",
    ),
    "a forgotten issuer": ("azure", "OBJ-103", "ClusterIssuer/letsencrypt", "", GONE, "ClusterIssuer/letsencrypt"),
    "a forgotten class": ("azure", "OBJ-103", "GatewayClass/envoy", "", GONE, "GatewayClass/envoy"),
    "a forgotten namespace": ("aws", "OBJ-104", "Namespace/telemetry", "", GONE, "which nobody makes"),
    "a dashboard without its label": (
        "aws", "OBJ-104", "ConfigMap/dashboard-chat", "metadata/labels", {}, "does not gather",
    ),
}  # fmt: skip


def below(rollout: Rollout) -> list[dict[str, Any]]:
    return [*before(rollout.contract), *after(rollout.contract)]


@pytest.mark.parametrize("stack", OVERLAYS, ids="-".join)
def test_the_two_layers_meet(stack: tuple[str, str], rendered: Rendered, rollouts: Rollouts) -> None:
    assert list(breaches(below(rollouts[stack]), rendered[stack])) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_seeded_mistake_between_the_layers_is_found(mistake: str, rendered: Rendered, rollouts: Rollouts) -> None:
    """By its own rule, in words that name what is missing."""
    cloud, rule, where, path, value, said = MISTAKES[mistake]
    broken = copy.deepcopy(below(rollouts[cloud, "prod"]))
    assert of(broken, *where.split("/"))
    seed(broken, where, path, value)
    found = list(breaches(broken, rendered[cloud, "prod"]))
    assert any(id_ == rule and said in line for id_, line in found), found


def test_every_rule_is_shown_what_it_is_there_for() -> None:
    assert {rule for _, rule, *_ in MISTAKES.values()} == set(RULES)
