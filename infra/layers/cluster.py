"""A managed cluster as its layers see it: reached as whoever runs Pulumi, filled with objects as they are rendered."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v3 import Release

from infra.contract import Contract
from k8s.platform.charts import Chart

# Entra name of every AKS: learn.microsoft.com/azure/aks/kubelogin-authentication
AKS_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
INSTALL_S = 900
Command = tuple[str, list[str]]


@dataclass(frozen=True)
class Cluster:
    provider: kubernetes.Provider

    @classmethod
    def of(cls, contract: Contract) -> "Cluster":
        text = json.dumps(kubeconfig(contract), sort_keys=True)
        return cls(kubernetes.Provider("cluster", kubeconfig=text, enable_server_side_apply=True))

    def apply(self, one: dict[str, Any], *, behind: Sequence[pulumi.Resource] = ()) -> pulumi.Resource:
        """One object, under its own kind and name: a plan shows each, and a change of one is a change of one."""
        opts = pulumi.ResourceOptions(
            provider=self.provider, depends_on=list(behind), version=kubernetes._utilities.get_version()
        )
        return pulumi.CustomResource(token(one), one["metadata"]["name"], dict(one), opts)

    def install(self, chart: Chart, *, behind: Sequence[pulumi.Resource] = ()) -> pulumi.Resource:
        """Wholly or not at all: what fails is taken back."""
        where: dict[str, Any] = {} if chart.is_oci else {"repository_opts": {"repo": chart.repository}}
        return Release(
            chart.name,
            name=chart.name,
            chart=f"{chart.repository}/{chart.chart}" if chart.is_oci else chart.chart,
            version=chart.version,
            namespace=chart.namespace,
            values=chart.values,
            atomic=True,
            timeout=INSTALL_S,
            opts=pulumi.ResourceOptions(provider=self.provider, depends_on=list(behind)),
            **where,
        )


def token(one: dict[str, Any]) -> str:
    """Pulumi's name of the kind: `v1` is `core/v1` there."""
    version = one["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{one['kind']}"


def kubeconfig(contract: Contract) -> dict[str, Any]:
    """Without a credential in it: the cloud's own program is asked for a token at each call."""
    program, arguments = LOGINS[contract.cluster.kind](contract)
    login = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": program,
        "args": arguments,
        "interactiveMode": "Never",
        "provideClusterInfo": contract.cluster.kind == "gke",
    }
    name = contract.cluster.name
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": contract.cluster.endpoint, "certificate-authority-data": contract.cluster.ca},
            }
        ],
        "users": [{"name": name, "user": {"exec": login}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _aws(contract: Contract) -> Command:
    return "aws", ["eks", "get-token", "--cluster-name", contract.cluster.name, "--region", contract.region]


def _azure(_: Contract) -> Command:
    return "kubelogin", ["get-token", "--login", "azurecli", "--server-id", AKS_SERVER]


def _google(_: Contract) -> Command:
    return "gke-gcloud-auth-plugin", []


LOGINS: dict[str, Callable[[Contract], Command]] = {"eks": _aws, "aks": _azure, "gke": _google}
