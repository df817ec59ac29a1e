"""
Network policies: nothing in, nothing out, then what each container's calls need and no more.

A plain policy knows addresses, not names: what lies behind a name of the cloud is "any address, port 443"; who may use
it is the identity's business. The metadata service is open only where the identity is asked there.
"""

from collections.abc import Callable
from typing import Any

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS, SERVING, Container, Target
from services.core.kit.errors import ConfigurationInvalid

Rule = dict[str, Any]
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
LINK_LOCAL = "169.254.0.0/16"
MAIL_PORTS = (465, 587, 993)
KEDA, TELEMETRY, ENVOY = "keda", "telemetry", "envoy-gateway-system"
GOOGLE_BALANCERS = ("35.191.0.0/16", "130.211.0.0/22")  # cloud.google.com/load-balancing/docs/health-check-concepts
# Where a token comes from: EKS' agent, Entra, GKE's metadata server (and the port it is moved to), the machine's own.
IDENTITY: dict[str, list[tuple[str, int]]] = {
    "eks-pod-identity": [("169.254.170.23/32", 80)],
    "azure-workload-identity": [],  # Entra, by HTTPS
    "gke-workload-identity": [("169.254.169.254/32", 80), ("169.254.169.252/32", 988)],
    "node": [("169.254.169.254/32", 80)],
}


def policies(contract: Contract) -> list[dict[str, Any]]:
    closed = policy("default", {}, ingress=[], egress=[_dns(contract)])
    return [closed, *(_of(contract, one) for one in CONTAINERS.values())]


def egress(contract: Contract, container: Container) -> list[Rule]:
    """What `container` may open, beside the names it looks up."""
    rules = [way_to(contract, target) for target in sorted(container.calls)]
    rules += [_to([block(cidr)], port) for cidr, port in IDENTITY[contract.identity.kind]]
    if contract.identity.kind == "azure-workload-identity":
        rules.append(_web(contract))
    return [rule for i, rule in enumerate(rules) if rule not in rules[:i]]


def _of(contract: Contract, container: Container) -> dict[str, Any]:
    found = policy(container.name, labels(container.name), _ingress(contract, container), egress(contract, container))
    found["metadata"]["annotations"] = {
        f"pointsman/{target}": container.calls[target] for target in sorted(container.calls)
    }
    return found


def labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def _ingress(contract: Contract, container: Container) -> list[Rule]:
    if not container.port:
        return []
    callers = [_pods(one.name) for one in SERVING if container.name == "router" and Target.ROUTER in one.calls]
    callers.append(namespace(TELEMETRY))
    if container.name == "gateway" or (container.name == "rag" and contract.edge.chat_hostname):
        callers += way_in(contract)
    if container.name == "gateway" and not contract.is_small:
        callers.append(namespace(KEDA))  # asks how many tickets wait
    found = [{"from": callers, "ports": [{"protocol": "TCP", "port": "http"}]}]
    if container.predict:
        found.append({"from": [_pods("gateway")], "ports": [{"protocol": "TCP", "port": "predict"}]})
    return found


def way_in(contract: Contract) -> list[Rule]:
    """Where calls from outside come from: our own proxy's pods, or the addresses of the cloud's balancer."""
    if contract.cluster.kind in ("aks", "k3s"):
        return [namespace(ENVOY)]
    return [block(cidr) for cidr in (PRIVATE if contract.cloud == "aws" else GOOGLE_BALANCERS)]


def _dns(contract: Contract) -> Rule:
    where = [namespace("kube-system") | selected({"k8s-app": "kube-dns"})]
    if contract.cluster.kind == "gke":
        where.append(block("169.254.20.10/32"))  # the cache on each node
    return {"to": where, "ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]}


def _router(_: Contract) -> Rule:
    return {"to": [_pods("router")], "ports": [{"protocol": "TCP", "port": "http"}]}


def _worker(_: Contract) -> Rule:
    return {"to": [_pods("worker")], "ports": [{"protocol": "TCP", "port": "predict"}]}


def web() -> Rule:
    """Services of the cloud and ticketing systems; never the metadata service, which is in the excepted block."""
    return _to([block("0.0.0.0/0", LINK_LOCAL)], 443)


def _web(_: Contract) -> Rule:
    return web()


def _mail(_: Contract) -> Rule:
    """Submission and IMAP, encrypted: the plain ports stay shut."""
    rule = _web(_)
    return rule | {"ports": [{"protocol": "TCP", "port": port} for port in MAIL_PORTS]}


def _telemetry(_: Contract) -> Rule:
    return _to([namespace(TELEMETRY)], 4318)


# Whoever is not here stands in our own network, at the port that its part of the contract names.
TO: dict[Target, Callable[[Contract], Rule]] = {
    Target.ROUTER: _router,
    Target.WORKER: _worker,
    Target.OBJECTS: _web,
    Target.EVENTS: _web,
    Target.SYSTEMS: _web,
    Target.MAIL: _mail,
    Target.MODELS: _web,
    Target.SECRETS: _web,
    Target.TELEMETRY: _telemetry,
}


def way_to(contract: Contract, target: Target) -> Rule:
    if target in TO:
        return TO[target](contract)
    part = getattr(contract, target.value, None)
    if not hasattr(part, "port"):
        raise ConfigurationInvalid(
            f"Where is {target.value}? The contract names no {target.value}.port; say it in walls.py"
        )
    return _to([block(cidr) for cidr in PRIVATE], part.port)


def policy(name: str, chosen: dict[str, str], ingress: list[Rule], egress: list[Rule]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": chosen} if chosen else {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _to(where: list[Rule], port: int) -> Rule:
    return {"to": where, "ports": [{"protocol": "TCP", "port": port}]}


def block(cidr: str, *but: str) -> Rule:
    return {"ipBlock": {"cidr": cidr, **({"except": list(but)} if but else {})}}


def namespace(name: str) -> Rule:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _pods(name: str) -> Rule:
    return selected(labels(name))


def selected(chosen: dict[str, str]) -> Rule:
    return {"podSelector": {"matchLabels": chosen}}
