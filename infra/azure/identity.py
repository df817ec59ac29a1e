"""
One managed identity per container, federated to its service account by the cluster's OIDC issuer: no client secret.

In `small` there is no issuer; the node's identity carries the same grants for all.
"""

from pulumi_azure_native import managedidentity
from pulumi_azure_native.authorization import PrincipalType

from infra.azure import access
from infra.azure.access import Principal
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Cluster, Edge, Ground, Identity, Reach, Scope, Stores
from infra.catalogue import admit_of, words_of
from infra.grants import GRANTS, NODE_GRANTS, OPERATORS, PLATFORM, WORKLOADS, Access, namespace_of


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, cluster: Cluster, edge: Edge) -> Identity:
    reach = Reach(scope.settings, ground, stores, cluster, edge)
    _operators(scope, reach)
    if scope.settings.is_small:
        return _node(scope, reach, cluster)
    identities = {name: access.identity(scope, ground.foundation, name) for name in WORKLOADS}
    for name, identity in identities.items():
        managedidentity.FederatedIdentityCredential(
            scope.name(name),
            resource_group_name=ground.foundation.group,
            resource_name_=identity.name,
            federated_identity_credential_resource_name="kubernetes",
            issuer=cluster.issuer,
            subject=f"system:serviceaccount:{namespace_of(name)}:{name}",
            audiences=["api://AzureADTokenExchange"],
            opts=scope.own(),
        )
        for what in sorted(WORKLOADS[name]):
            _grant(scope, reach, Principal(name, identity.principal_id, identity.name), what)
    return Identity(
        kind="azure-workload-identity",
        principals={name: identities[name].client_id for name in GRANTS},
        platform={name: identities[name].client_id for name in PLATFORM},
        users={name: identities[name].name for name in GRANTS},
        admin=identities["migrator"].name,
    )


def _node(scope: Scope, reach: Reach[AzureFoundation], cluster: Cluster) -> Identity:
    who = Principal("node", cluster.node, cluster.node_name)
    for what in sorted(NODE_GRANTS):
        _grant(scope, reach, who, what)
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.node_client),
        platform=dict.fromkeys(PLATFORM, cluster.node_client),
        users=dict.fromkeys(GRANTS, cluster.node_name),
        admin=cluster.node_name,
    )


_KIND = {"user": PrincipalType.USER, "group": PrincipalType.GROUP, "service": PrincipalType.SERVICE_PRINCIPAL}


def _operators(scope: Scope, reach: Reach) -> None:
    for i, name in enumerate(scope.settings.operators.principals):
        kind, _, id_ = name.partition(":")
        for what in sorted(OPERATORS):
            _grant(scope, reach, Principal(f"operator-{i}", id_, name, _KIND[kind]), what)


def _grant(scope: Scope, reach: Reach[AzureFoundation], who: Principal, what: Access) -> None:
    """Roles at a place (`words`), or what the thing's own file makes for each principal (`admit`)."""
    for i, (role, at) in enumerate(words_of("azure", what)(reach, what)):
        label = f"{who.label}-{what}-{i}" if i else f"{who.label}-{what}"
        access.assign(scope, reach.ground.foundation, label, role, to=who.id, at=at, kind=who.kind)
    if admit := admit_of("azure", what):
        admit(scope, reach, f"{who.label}-{what}", who, what)
