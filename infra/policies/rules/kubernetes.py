"""K8S: the cluster says who did what, and pods prove who they are."""

from collections.abc import Iterator

from infra.policies.rules.base import Breach, Stack, absent, is_set, is_true, must, rule
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
    lent = {urn for r in stack.of(binding) for urn in r.depends_on}
    for r in (r for r in stack.of(type_) if r.capability == "identity" and not r.name.endswith("-operators")):
        if r.urn not in lent:
            yield r.urn, f"No pod may act as this: no {binding.rpartition(':')[2]} names it"


_LENT = {  # an identity of a workload, and what lends it to its service account
    "aws": ("aws:iam/role:Role", "aws:eks/podIdentityAssociation:PodIdentityAssociation"),
    "azure": (
        "azure-native:managedidentity:UserAssignedIdentity",
        "azure-native:managedidentity:FederatedIdentityCredential",
    ),
    "gcp": ("gcp:serviceaccount/account:Account", "gcp:serviceaccount/iAMMember:IAMMember"),
}
