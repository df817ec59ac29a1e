"""
One managed identity per container, federated to its service account by the cluster's OIDC issuer: no client secret.

In `small` there is no issuer; the node's identity carries the same grants for all.
"""

from dataclasses import dataclass

from pulumi import Input
from pulumi_azure_native import dbforpostgresql as pg
from pulumi_azure_native import managedidentity

from infra.azure import access
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Cluster, Ground, Identity, Scope, Stores
from infra.grants import GRANTS, NAMESPACE, NODE_GRANTS, Access


@dataclass(frozen=True)
class Principal:
    label: str
    id: Input[str]
    name: Input[str]


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, cluster: Cluster) -> Identity:
    if cluster.kind == "k3s":
        return _node(scope, ground, stores, cluster)
    identities = {name: access.identity(scope, ground.foundation, name) for name in GRANTS}
    for name, identity in identities.items():
        managedidentity.FederatedIdentityCredential(
            scope.name(name),
            resource_group_name=ground.foundation.group,
            resource_name_=identity.name,
            federated_identity_credential_resource_name="kubernetes",
            issuer=cluster.issuer,
            subject=f"system:serviceaccount:{NAMESPACE}:{name}",
            audiences=["api://AzureADTokenExchange"],
            opts=scope.own(),
        )
        who = Principal(name, identity.principal_id, identity.name)
        for what in sorted(GRANTS[name]):
            _grant(scope, ground, stores, who, what)
    return Identity(
        kind="azure-workload-identity",
        principals={name: identity.client_id for name, identity in identities.items()},
        users={name: identity.name for name, identity in identities.items()},
        admin=identities["migrator"].name,
    )


def _node(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, cluster: Cluster) -> Identity:
    who = Principal("node", cluster.node, cluster.node_name)
    for what in sorted(NODE_GRANTS):
        _grant(scope, ground, stores, who, what)
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.id),
        users=dict.fromkeys(GRANTS, cluster.node_name),
        admin=cluster.node_name,
    )


def _grant(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, who: Principal, what: Access) -> None:
    """The cloud's words for one access. Plain database users are made in SQL by the migrator, not here."""
    if what is Access.DATABASE_ADMIN:
        _database_admin(scope, ground, stores, who)
        return
    for role, at in _roles(stores, what):
        access.assign(scope, ground.foundation, f"{who.label}-{what}", role, to=who.id, at=at)


def _roles(stores: Stores, what: Access) -> list[tuple[Role, Input[str]]]:
    names = stores.objects.names
    match what:
        case Access.DATABASE:
            return []
        case Access.SECRETS_READ:
            return [(Role.SECRETS_USER, stores.secrets.store)]
        case Access.BUS_PUBLISH:
            return [(Role.SERVICE_BUS_SENDER, stores.bus.topic_id)]
        case Access.LLM_INVOKE:
            return [(Role.OPENAI_USER, account) for account in stores.models.grants]
        case _:
            container, _, mode = what.value.rpartition("-")
            role = Role.BLOB_READER if mode == "read" else Role.BLOB_CONTRIBUTOR
            return [(role, names[container])] if container in names else []


def _database_admin(scope: Scope, ground: Ground[AzureFoundation], stores: Stores, who: Principal) -> None:
    pg.AdministratorsMicrosoftEntra(
        scope.name(f"{who.label}-database"),
        resource_group_name=ground.foundation.group,
        server_name=stores.database.resource_id,
        object_id=who.id,
        principal_name=who.name,
        principal_type=pg.PrincipalType.SERVICE_PRINCIPAL,
        tenant_id=ground.foundation.tenant,
        opts=scope.own(),
    )
