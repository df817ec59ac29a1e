"""What joins the charts to this stack: node pools, the store of secrets, the issuer of certificates, Envoy's class."""

import json
import re
from collections.abc import Callable
from typing import Any

from infra.contract import Contract
from k8s.platform.charts import Chart, charts, names
from k8s.platform.watch import watched
from services.core.kit.errors import ConfigurationInvalid

Object = dict[str, Any]
STORE, ISSUER, CLASS = "cloud", "letsencrypt", "envoy"
ACME = "https://acme-v02.api.letsencrypt.org/directory"
ENVOY_MEMORY_MIB = 96  # one proxy for one gateway; the project's own default of 512 is for many


def before(contract: Contract) -> list[Object]:
    """What needs no chart: the machines that pods of charts may be waiting for, and the charts' namespaces."""
    spaces = dict.fromkeys(chart.namespace for chart in charts(contract))
    return [*contract.cluster.manifests, *(_object("v1", "Namespace", name) for name in spaces)]


def after(contract: Contract) -> list[Object]:
    """Kinds that come with the charts."""
    found = [_store(contract)] if contract.secrets.connectors else []
    if "envoy" in names(contract):
        found += [_issuer(contract), *_gateway_class(contract)]
    return found + (watched(contract) if "prometheus" in names(contract) else [])


def addons(contract: Contract) -> list[Object]:
    """The platform of `small` as one file: k3s installs charts by itself. What comes `after` is in the other file."""
    return [*before(contract), *(_helm_chart(chart) for chart in charts(contract))]


def _helm_chart(chart: Chart) -> Object:
    where = {"chart": f"{chart.repository}/{chart.chart}"} if chart.is_oci else _from(chart)
    spec = {
        **where,
        "version": chart.version,
        "targetNamespace": chart.namespace,
        "valuesContent": json.dumps(chart.values),
    }
    found = _object("helm.cattle.io/v1", "HelmChart", chart.name, spec)
    found["metadata"]["namespace"] = "kube-system"
    return found


def _from(chart: Chart) -> Object:
    return {"repo": chart.repository, "chart": chart.chart}


def _store(contract: Contract) -> Object:
    """The operator asks as itself: no key of the vault lies in the cluster."""
    provider = STORES[contract.secrets.kind](contract)
    return _object("external-secrets.io/v1", "ClusterSecretStore", STORE, {"provider": provider})


def _aws_store(contract: Contract) -> Object:
    return {"aws": {"service": "SecretsManager", "region": contract.region}}


def _azure_store(contract: Contract) -> Object:
    if contract.identity.kind == "node":
        who: Object = {"authType": "ManagedIdentity", "identityId": contract.identity.platform["external-secrets"]}
    else:
        account = {"name": "external-secrets", "namespace": "external-secrets"}
        who = {"authType": "WorkloadIdentity", "serviceAccountRef": account}
    return {"azurekv": {"vaultUrl": contract.secrets.uri, **who}}


def _google_store(contract: Contract) -> Object:
    return {"gcpsm": {"projectID": contract.account}}


STORES: dict[str, Callable[[Contract], Object]] = {
    "aws-secrets-manager": _aws_store,
    "azure-key-vault": _azure_store,
    "gcp-secret-manager": _google_store,
}


def _issuer(contract: Contract) -> Object:
    """By DNS where the stack has a zone: behind Front Door nobody else reaches port 80. Else through our Gateway."""
    solver = SOLVERS[contract.cloud](contract) if contract.edge.zone else _by_http(contract)
    acme = {"server": ACME, "privateKeySecretRef": {"name": "letsencrypt-account"}, "solvers": [solver]}
    return _object("cert-manager.io/v1", "ClusterIssuer", ISSUER, {"acme": acme})


def _by_http(contract: Contract) -> Object:
    parent = {"name": "gateway", "namespace": contract.cluster.namespace, "kind": "Gateway", "sectionName": "http"}
    return {"http01": {"gatewayHTTPRoute": {"parentRefs": [parent]}}}


def _by_route53(contract: Contract) -> Object:
    return {"dns01": {"route53": {"region": contract.region, "hostedZoneID": contract.edge.zone}}}


def _by_azure_dns(contract: Contract) -> Object:
    zone = contract.edge.zone
    told = {
        "subscriptionID": contract.account,
        "resourceGroupName": group_of(zone),
        "hostedZoneName": zone.rpartition("/")[2],
        "managedIdentity": {"clientID": contract.identity.platform["cert-manager"]},
    }
    return {"dns01": {"azureDNS": told}}


def _by_cloud_dns(contract: Contract) -> Object:
    return {"dns01": {"cloudDNS": {"project": contract.account, "hostedZoneName": contract.edge.zone}}}


SOLVERS: dict[str, Callable[[Contract], Object]] = {"aws": _by_route53, "azure": _by_azure_dns, "gcp": _by_cloud_dns}


def _gateway_class(contract: Contract) -> list[Object]:
    room = {"requests": {"cpu": "50m", "memory": f"{ENVOY_MEMORY_MIB}Mi"}, "limits": {"memory": "512Mi"}}
    deployment = {"replicas": 1 if contract.is_small else 2, "container": {"resources": room}}
    kubernetes = {"envoyDeployment": deployment, "envoyService": _service(contract)}
    proxy = _object(
        "gateway.envoyproxy.io/v1alpha1",
        "EnvoyProxy",
        CLASS,
        {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
    )
    proxy["metadata"]["namespace"] = "envoy-gateway-system"
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": CLASS}
    spec = {
        "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
        "parametersRef": {**reference, "namespace": "envoy-gateway-system"},
    }
    return [proxy, _object("gateway.networking.k8s.io/v1", "GatewayClass", CLASS, spec)]


def _service(contract: Contract) -> Object:
    """`Local`: the caller's own address comes through. AKS takes the address that the stack has reserved."""
    said = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    if contract.cluster.kind != "aks":
        return said
    words = {"pip-name": contract.edge.address_name, "load-balancer-resource-group": group_of(contract.secrets.store)}
    return {**said, "annotations": {f"service.beta.kubernetes.io/azure-{key}": value for key, value in words.items()}}


def group_of(id_: str) -> str:
    """The resource group in a resource's id."""
    found = re.search(r"/resourceGroups/([^/]+)/", id_, re.IGNORECASE)
    if found is None:
        raise ConfigurationInvalid(f"'{id_}' is no id of a resource in Azure: run `pulumi up` of the cloud's stack.")
    return found[1]


def _object(version: str, kind: str, name: str, spec: Object | None = None) -> Object:
    found: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    return found | ({"spec": spec} if spec is not None else {})
