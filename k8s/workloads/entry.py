"""The way in, per cloud: what binds the gateway's Service to the edge that the stack has made. TLS everywhere."""

import re
from typing import Any

from infra.contract import Contract

Object = dict[str, Any]
CERTIFICATE = "gateway-tls"
GATEWAY_API = "gateway.networking.k8s.io/v1"


NAME = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}")


def way_in(contract: Contract) -> list[Object]:
    return [] if nameless(contract) else ENTRIES[contract.cluster.kind](contract)


def nameless(contract: Contract) -> str:
    """Why nothing can come in from outside; empty: it can. An address alone gets no certificate, so no way in."""
    if not contract.is_small or NAME.fullmatch(contract.edge.origin_host):
        return ""
    return (
        f"'{contract.edge.origin_host}' is no name that a certificate can be issued for, so no webhook comes in. "
        "Set edge.domain and run `pulumi up`; until then the console is reached through the cloud's session tunnel."
    )


def _eks(contract: Contract) -> list[Object]:
    """Auto Mode registers the pods in the balancer's target group."""
    spec = {
        "serviceRef": {"name": "gateway", "port": 80},
        "targetGroupARN": contract.edge.entry,
        "targetType": "ip",
    }
    return [_object("eks.amazonaws.com/v1", "TargetGroupBinding", "gateway", spec)]


def _gke(contract: Contract) -> list[Object]:
    """Google's balancer holds the certificate map and the reserved address by name."""
    gateway = _gateway(
        "gke-l7-global-external-managed",
        [{"name": "https", "port": 443, "protocol": "HTTPS", "allowedRoutes": _SAME}],
        addresses=[{"type": "NamedAddress", "value": contract.edge.address_name}],
    )
    gateway["metadata"]["annotations"] = {"networking.gke.io/certmap": contract.edge.entry}
    health = {
        "default": {"config": {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health"}}},
        "targetRef": {"group": "", "kind": "Service", "name": "gateway"},
    }
    return [gateway, _route(contract, []), _object("networking.gke.io/v1", "HealthCheckPolicy", "gateway", health)]


def _aks(contract: Contract) -> list[Object]:
    """Behind Front Door: whoever does not come through our own one is answered 404."""
    ours = {"type": "Exact", "name": "X-Azure-FDID", "value": contract.edge.front_door_id}
    return [_own_gateway(contract.edge.origin_host), _route(contract, [ours]), *_certificate(contract)]


def _k3s(contract: Contract) -> list[Object]:
    """Envoy on the machine's own 80 and 443; the name is the domain's, or what the cloud calls the machine."""
    return [_own_gateway(contract.edge.origin_host), _route(contract, []), *_certificate(contract)]


def _own_gateway(host: str) -> Object:
    tls = {"mode": "Terminate", "certificateRefs": [{"name": CERTIFICATE}]}
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": host, "tls": tls, "allowedRoutes": _SAME}
    http = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": _SAME}  # for the issuer's proof alone
    return _gateway("envoy", [https, http])


def _certificate(contract: Contract) -> list[Object]:
    spec = {
        "secretName": CERTIFICATE,
        "dnsNames": [contract.edge.origin_host],
        "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
    }
    return [_object("cert-manager.io/v1", "Certificate", "gateway", spec)]


def _gateway(kind: str, listeners: list[Object], **more: Any) -> Object:
    return _object(GATEWAY_API, "Gateway", "gateway", {"gatewayClassName": kind, "listeners": listeners, **more})


def _route(contract: Contract, headers: list[Object]) -> Object:
    """The hooks, the API and the console are the gateway's; /metrics stays inside."""
    hosts = sorted({contract.edge.hostname, contract.edge.origin_host})
    match: Object = {"path": {"type": "PathPrefix", "value": "/"}, **({"headers": headers} if headers else {})}
    inside: Object = {"path": {"type": "PathPrefix", "value": "/metrics"}}
    refused = {
        "type": "RequestRedirect",
        "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}},
    }
    return _object(
        GATEWAY_API,
        "HTTPRoute",
        "gateway",
        {
            "parentRefs": [{"name": "gateway", "sectionName": "https"}],
            "hostnames": hosts,
            "rules": [
                {"matches": [inside], "filters": [refused]},
                {"matches": [match], "backendRefs": [{"name": "gateway", "port": 80}]},
            ],
        },
    )


_SAME = {"namespaces": {"from": "Same"}}


def _object(version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


ENTRIES = {"eks": _eks, "gke": _gke, "aks": _aks, "k3s": _k3s}
