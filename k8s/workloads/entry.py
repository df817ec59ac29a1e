"""The way in, per cloud: what binds gateway and chat to the edge that the stack has made. TLS everywhere."""

import re
from dataclasses import dataclass
from typing import Any

from infra.contract import Contract

Object = dict[str, Any]
CERTIFICATE = "gateway-tls"
GATEWAY_API = "gateway.networking.k8s.io/v1"
GKE = "networking.gke.io/v1"
ANSWER_S = 60  # as on AWS and Azure: an answer in a language model's words comes in events, over many seconds

NAME = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}")


@dataclass(frozen=True)
class Door:
    """Whoever asks for one of `hosts` is answered by `service`; `entry`: what its pods are registered with, on AWS."""

    service: str
    hosts: tuple[str, ...]
    entry: str = ""


def doors(contract: Contract) -> list[Door]:
    """The chat has a name of its own, where it has one at all: its visitors share no origin with the console."""
    edge = contract.edge
    found = [Door("gateway", tuple(sorted({edge.hostname, edge.origin_host})), edge.entry)]
    return [*found, Door("rag", (edge.chat_hostname,), edge.chat_entry)] if edge.chat_hostname else found


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
    return [
        _object(
            "eks.amazonaws.com/v1",
            "TargetGroupBinding",
            door.service,
            {"serviceRef": {"name": door.service, "port": 80}, "targetGroupARN": door.entry, "targetType": "ip"},
        )
        for door in doors(contract)
    ]


def _gke(contract: Contract) -> list[Object]:
    """Google's balancer takes certificate map, address, TLS policy and Cloud Armor by name, and only when told."""
    gateway = _gateway(
        "gke-l7-global-external-managed",
        [{"name": "https", "port": 443, "protocol": "HTTPS", "allowedRoutes": _SAME}],
        addresses=[{"type": "NamedAddress", "value": contract.edge.address_name}],
    )
    gateway["metadata"]["annotations"] = {"networking.gke.io/certmap": contract.edge.entry}
    gateways = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}
    tls = {"default": {"sslPolicy": contract.edge.tls_policy}, "targetRef": gateways}
    policies = [one for door in doors(contract) for one in _of_balancer(contract, door)]
    return [gateway, _object(GKE, "GCPGatewayPolicy", "gateway", tls), *_routes(contract, []), *policies]


def _of_balancer(contract: Contract, door: Door) -> list[Object]:
    """Whether its pods are well, how long an answer may take (30 s unless said), and Cloud Armor before them."""
    service = {"group": "", "kind": "Service", "name": door.service}
    health = {"config": {"type": "HTTP", "httpHealthCheck": {"requestPath": "/health"}}}
    backend = {"timeoutSec": ANSWER_S} | ({"securityPolicy": contract.edge.waf} if contract.edge.waf else {})
    return [
        _object(GKE, "HealthCheckPolicy", door.service, {"default": health, "targetRef": service}),
        _object(GKE, "GCPBackendPolicy", door.service, {"default": backend, "targetRef": service}),
    ]


def _aks(contract: Contract) -> list[Object]:
    """Behind Front Door: whoever does not come through our own one is answered 404."""
    ours = {"type": "Exact", "name": "X-Azure-FDID", "value": contract.edge.front_door_id}
    return [_own_gateway(), *_routes(contract, [ours]), _certificate([contract.edge.origin_host])]


def _k3s(contract: Contract) -> list[Object]:
    """Envoy on the machine's own 80 and 443; the name is the domain's, or what the cloud calls the machine."""
    names = sorted({host for door in doors(contract) for host in door.hosts})
    return [_own_gateway(), *_routes(contract, []), _certificate(names)]


def _own_gateway() -> Object:
    """No listener names a host: it would drop what routes name beside it, as Front Door's Host is not its origin."""
    tls = {"mode": "Terminate", "certificateRefs": [{"name": CERTIFICATE}]}
    https = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls, "allowedRoutes": _SAME}
    http = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": _SAME}  # for the issuer's proof alone
    return _gateway("envoy", [https, http])


def _certificate(names: list[str]) -> Object:
    spec = {
        "secretName": CERTIFICATE,
        "dnsNames": names,
        "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
    }
    return _object("cert-manager.io/v1", "Certificate", "gateway", spec)


def _gateway(kind: str, listeners: list[Object], **more: Any) -> Object:
    return _object(GATEWAY_API, "Gateway", "gateway", {"gatewayClassName": kind, "listeners": listeners, **more})


def _routes(contract: Contract, headers: list[Object]) -> list[Object]:
    return [_route(door, headers) for door in doors(contract)]


def _route(door: Door, headers: list[Object]) -> Object:
    """Everything of its host but /metrics, which stays inside."""
    match: Object = {"path": {"type": "PathPrefix", "value": "/"}, **({"headers": headers} if headers else {})}
    inside: Object = {"path": {"type": "PathPrefix", "value": "/metrics"}}
    refused = {
        "type": "RequestRedirect",
        "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}},
    }
    return _object(
        GATEWAY_API,
        "HTTPRoute",
        door.service,
        {
            "parentRefs": [{"name": "gateway", "sectionName": "https"}],
            "hostnames": list(door.hosts),
            "rules": [
                {"matches": [inside], "filters": [refused]},
                {"matches": [match], "backendRefs": [{"name": door.service, "port": 80}]},
            ],
        },
    )


_SAME = {"namespaces": {"from": "Same"}}


def _object(version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


ENTRIES = {"eks": _eks, "gke": _gke, "aks": _aks, "k3s": _k3s}
