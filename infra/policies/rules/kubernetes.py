"""K8S: the cluster says who did what, and pods prove who they are."""

from collections.abc import Iterator

from infra.offline.report import Resource
from infra.policies.rules.base import COMPUTED, Breach, Stack, absent, dig, is_set, is_true, must, rule
from infra.policies.rules.database import diagnosed
from infra.policies.rules.encryption import boot_scripts, script_of

_EKS = "aws:eks/cluster:Cluster"
_AKS = "azure-native:containerservice:ManagedCluster"
_GKE = "gcp:container/cluster:Cluster"


@rule("K8S-001", "the control plane keeps an audit log")
def audit_log(stack: Stack) -> Iterator[Breach]:
    message = "The control plane's audit log is off"
    yield from must(stack.of(_EKS), "enabledClusterLogTypes", lambda v: "audit" in (v or []), message)
    if stack.of(_AKS) and not diagnosed(stack, "cluster"):
        yield absent(stack, message)
    yield from must(stack.of(_GKE), "loggingConfig.enableComponents", lambda v: "APISERVER" in (v or []), message)
    for r in boot_scripts(stack):
        if "audit-log-path=" not in script_of(r):
            yield r.urn, message


@rule("K8S-002", "pods have identities of their own", profiles=("dev", "prod"))
def workload_identity(stack: Stack) -> Iterator[Breach]:
    message = "Pods would borrow the machine's identity"
    if stack.of(_EKS) and not stack.of("aws:eks/podIdentityAssociation:PodIdentityAssociation"):
        yield absent(stack, message)
    yield from must(stack.of(_AKS), "securityProfile.workloadIdentity.enabled", is_true, message)
    yield from must(stack.of(_AKS), "oidcIssuerProfile.enabled", is_true, message)
    yield from must(stack.of(_GKE), "workloadIdentityConfig.workloadPool", is_set, message)
    type_, binding = _LENT[stack.cloud]
    lent = {urn for r in stack.of(binding) if _names_a_pod(r) for urn in r.depends_on}
    for r in (r for r in stack.of(type_) if r.capability == "identity" and not r.name.endswith("-operators")):
        if r.urn not in lent:
            yield r.urn, f"No pod may act as this: no {binding.rpartition(':')[2]} names it"


def _names_a_pod(binding: Resource) -> bool:
    """Google's is a grant like any other, to a member that the cluster's issuer vouches for."""
    member = binding.inputs.get("member")
    return member in (None, COMPUTED) or ".svc.id.goog[" in str(member)


@rule("K8S-003", "the pools that the contract names are made, and keep off whom it says", profiles=("dev", "prod"))
def pools_are_made(stack: Stack) -> Iterator[Breach]:
    made = _pools(stack)
    for name, pool in (dig(stack.contract, "cluster.pools") or {}).items():
        for label in pool["selector"].values():
            wanted = {f"{taint['key']}={taint['value']}" for taint in pool["taints"]}
            if label not in made:
                yield absent(stack, f"The contract names the pool {name} ({label}); made are {sorted(made)}")
            elif made[label] != wanted:
                yield absent(
                    stack, f"The contract says {sorted(wanted)} of the pool {name}, its machines {made[label]}"
                )


def _pools(stack: Stack) -> dict[str, set[str]]:
    """Name -> taints, as `key=value`; AWS's are objects that the platform layer applies."""
    given = [one for one in dig(stack.contract, "cluster.manifests") or [] if one.get("kind") == "NodePool"]
    found = {dig(one, "metadata.name"): dig(one, "spec.template.spec.taints") for one in given}
    found |= {r.inputs.get("name"): dig(r.inputs, "nodeConfig.taints") for r in stack.of(_GKE_POOL)}
    taints = {str(name): {f"{t['key']}={t['value']}" for t in those or []} for name, those in found.items()}
    for r in stack.of("azure-native:containerservice:AgentPool"):
        taints[str(r.inputs.get("agentPoolName"))] = {t.rpartition(":")[0] for t in r.inputs.get("nodeTaints") or []}
    return taints


_GKE_POOL = "gcp:container/nodePool:NodePool"
_LENT = {  # an identity of a workload, and what lends it to its service account
    "aws": ("aws:iam/role:Role", "aws:eks/podIdentityAssociation:PodIdentityAssociation"),
    "azure": (
        "azure-native:managedidentity:UserAssignedIdentity",
        "azure-native:managedidentity:FederatedIdentityCredential",
    ),
    "gcp": ("gcp:serviceaccount/account:Account", "gcp:serviceaccount/iAMMember:IAMMember"),
}
