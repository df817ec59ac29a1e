"""Network policies in words: what a target is in each overlay, as the rules of `k8s.workloads.walls` have it."""

from typing import Any

from infra.contract import Contract
from k8s.workloads.containers import CONTAINERS, Target
from k8s.workloads.walls import IDENTITY, way_to

Rule = dict[str, Any]


def whom() -> list[list[str]]:
    """container, target, why: one row each."""
    return [[one.name, target.value, one.calls[target]] for one in CONTAINERS.values() for target in sorted(one.calls)]


def where(contract: Contract) -> dict[str, str]:
    """Target -> places and ports. What hands out tokens stands beside them: every container may ask it."""
    found = {target.value: words(way_to(contract, target)) for target in Target}
    tokens = [f"{cidr.removesuffix('/32')} port {port}" for cidr, port in IDENTITY[contract.identity.kind]]
    return found | {"a token of its identity": ", ".join(tokens) or "the internet port 443"}


def words(rule: Rule) -> str:
    """Raises KeyError for a peer of another shape: a wall that nobody can read is not shown as an open one."""
    ports = ", ".join(str(port["port"]) for port in rule["ports"])
    return f"{', '.join(dict.fromkeys(_place(one) for one in rule['to']))} port {ports}"


def _place(peer: Rule) -> str:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return "the internet" if block["cidr"] == "0.0.0.0/0" else block["cidr"]
    if "namespaceSelector" in peer:
        return f"namespace {peer['namespaceSelector']['matchLabels']['kubernetes.io/metadata.name']}"
    return f"pods {peer['podSelector']['matchLabels']['app.kubernetes.io/name']}"
