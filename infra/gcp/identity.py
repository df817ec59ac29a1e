"""
One service account per container, borrowed by its Kubernetes account through workload identity: no key file exists.

In `small` there is no such federation; the node's account carries the same grants for all.
"""

from dataclasses import dataclass

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Cluster, Ground, Identity, Scope, Stores
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.grants import GRANTS, NAMESPACE, NODE_GRANTS, Access

_INSTANCE = "sqladmin.googleapis.com/Instance"


@dataclass(frozen=True)
class Principal:
    label: str
    email: Output[str]


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, cluster: Cluster) -> Identity:
    if cluster.kind == "k3s":
        return _node(scope, ground, stores, cluster)
    accounts = {name: access.account(scope, name, f"Container {name}") for name in GRANTS}
    for name, account in accounts.items():
        gcp.serviceaccount.IAMMember(
            scope.name(name),
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=Output.concat("serviceAccount:", cluster.issuer, f"[{NAMESPACE}/{name}]"),
            opts=scope.own(),
        )
        for what in sorted(GRANTS[name]):
            _grant(scope, ground, stores, Principal(name, account.email), what)
    users = {
        name: _user(scope, stores, Principal(name, account.email), admin=name == "migrator")
        for name, account in accounts.items()
    }
    return Identity(
        kind="gke-workload-identity",
        principals={name: account.email for name, account in accounts.items()},
        users=users,
        admin=users["migrator"],
    )


def _node(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, cluster: Cluster) -> Identity:
    who = Principal("node", Output.from_input(cluster.node))
    for what in sorted(NODE_GRANTS):
        _grant(scope, ground, stores, who, what)
    user = _user(scope, stores, who, admin=True)
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.node),
        users=dict.fromkeys(GRANTS, user),
        admin=user,
    )


def _user(scope: Scope, stores: Stores, who: Principal, *, admin: bool) -> Output[str]:
    """Cloud SQL knows a service account by its address without the common ending."""
    user = gcp.sql.User(
        scope.name(who.label),
        instance=stores.database.resource_id,
        type="CLOUD_IAM_SERVICE_ACCOUNT",
        name=who.email.apply(lambda email: email.removesuffix(".gserviceaccount.com")),
        database_roles=["cloudsqlsuperuser"] if admin else None,
        deletion_policy="ABANDON",
        opts=scope.own(),
    )
    return user.name


def _grant(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, who: Principal, what: Access) -> None:
    """The cloud's words for one access; an access to something this stack does not have is nothing."""
    label, member = f"{who.label}-{what}", access.of(who.email)
    match what:
        case Access.DATABASE:
            _database(scope, ground, stores, who)
        case Access.DATABASE_ADMIN:
            pass  # a role inside the database: see _user
        case Access.SECRETS_READ:
            _secrets(scope, stores, label, member)
        case Access.BUS_PUBLISH:
            gcp.pubsub.TopicIAMMember(
                scope.name(label),
                topic=stores.bus.topic_id,
                role="roles/pubsub.publisher",
                member=member,
                opts=scope.own(),
            )
        case Access.LLM_INVOKE:
            for role in stores.models.grants:
                access.on_project(scope, label, role, member)
        case _:
            _bucket(scope, stores, label, member, what)


def _database(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, who: Principal) -> None:
    instance = Output.concat(f"projects/{ground.foundation.project}/instances/", stores.database.resource_id)
    only = Output.concat('resource.name == "', instance, f'" && resource.type == "{_INSTANCE}"')
    for role in ("client", "instanceUser"):
        access.on_project(
            scope, f"{who.label}-sql-{role.lower()}", f"roles/cloudsql.{role}", access.of(who.email), only=only
        )


def _secrets(scope: Scope, stores: Stores, label: str, member: Input[str]) -> None:
    for name, secret in stores.secrets.connectors.items():
        gcp.secretmanager.SecretIamMember(
            scope.name(f"{label}-{name}"),
            secret_id=secret,
            role="roles/secretmanager.secretAccessor",
            member=member,
            opts=scope.own(),
        )


def _bucket(scope: Scope, stores: Stores, label: str, member: Input[str], what: Access) -> None:
    bucket, _, mode = what.value.rpartition("-")
    if bucket not in stores.objects.names:
        return
    role = "roles/storage.objectViewer" if mode == "read" else "roles/storage.objectUser"
    gcp.storage.BucketIAMMember(
        scope.name(label), bucket=stores.objects.names[bucket], role=role, member=member, opts=scope.own()
    )
