"""
One service account per container, borrowed by its Kubernetes account through workload identity: no key file exists.

In `small` there is no such federation; the node's account carries the same grants for all.
"""

from dataclasses import dataclass
from typing import assert_never

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Cluster, Edge, Ground, Identity, Scope, Stores
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.grants import GRANTS, NODE_GRANTS, OPERATORS, PLATFORM, WORKLOADS, Access, bucket_of, namespace_of

_INSTANCE = "sqladmin.googleapis.com/Instance"
_RECORDS = [
    *(f"dns.changes.{verb}" for verb in ("create", "get", "list")),
    *(f"dns.resourceRecordSets.{verb}" for verb in ("create", "delete", "get", "list", "update")),
    "dns.managedZones.get",
]


@dataclass(frozen=True)
class Principal:
    label: str
    email: Output[str]

    @property
    def member(self) -> Input[str]:
        return access.of(self.email)


@dataclass(frozen=True)
class Operator:
    label: str
    member: Input[str]


@dataclass(frozen=True)
class Reach:
    """All that a grant may name."""

    ground: Ground[GcpFoundation]
    stores: Stores
    edge: Edge
    cluster: Cluster


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, cluster: Cluster, edge: Edge) -> Identity:
    reach = Reach(ground, stores, edge, cluster)
    _operators(scope, reach)
    if cluster.kind == "k3s":
        return _node(scope, reach, cluster)
    emails = {name: _workload(scope, reach, cluster, name).email for name in WORKLOADS}
    users = {name: _user(scope, stores, Principal(name, emails[name]), admin=name == "migrator") for name in GRANTS}
    return Identity(
        kind="gke-workload-identity",
        principals={name: emails[name] for name in GRANTS},
        platform={name: emails[name] for name in PLATFORM},
        users=users,
        admin=users["migrator"],
    )


def _workload(scope: Scope, reach: Reach, cluster: Cluster, name: str) -> gcp.serviceaccount.Account:
    account = access.account(scope, name, f"Workload {name}")
    gcp.serviceaccount.IAMMember(
        scope.name(name),
        service_account_id=account.name,
        role="roles/iam.workloadIdentityUser",
        member=Output.concat("serviceAccount:", cluster.issuer, f"[{namespace_of(name)}/{name}]"),
        opts=scope.own(),
    )
    for what in sorted(WORKLOADS[name]):
        _grant(scope, reach, Principal(name, account.email), what)
    return account


def _node(scope: Scope, reach: Reach, cluster: Cluster) -> Identity:
    who = Principal("node", Output.from_input(cluster.node))
    for what in sorted(NODE_GRANTS):
        _grant(scope, reach, who, what)
    user = _user(scope, reach.stores, who, admin=True)
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.node_client),
        platform=dict.fromkeys(PLATFORM, cluster.node_client),
        users=dict.fromkeys(GRANTS, user),
        admin=user,
    )


def _user(scope: Scope, stores: Stores, who: Principal, *, admin: bool) -> Output[str]:
    """Cloud SQL knows a service account by its address without the common ending."""
    user = gcp.sql.User(
        scope.name(who.label),
        instance=stores.database.server,
        type="CLOUD_IAM_SERVICE_ACCOUNT",
        name=who.email.apply(lambda email: email.removesuffix(".gserviceaccount.com")),
        database_roles=["cloudsqlsuperuser"] if admin else None,
        deletion_policy="ABANDON",
        opts=scope.own(),
    )
    return user.name


def _operators(scope: Scope, reach: Reach) -> None:
    for i, member in enumerate(scope.settings.operators.principals):
        for what in sorted(OPERATORS):
            _grant(scope, reach, Operator(f"operator-{i}", member), what)


def _grant(scope: Scope, reach: Reach, who: Principal | Operator, what: Access) -> None:
    """The cloud's words for one access; an access to something this stack does not have is nothing."""
    label, member, stores = f"{who.label}-{what}", who.member, reach.stores
    match what:
        case Access.DATABASE:
            _database(scope, reach, who)
        case Access.DATABASE_ADMIN:
            pass  # a role inside the database: see _user
        case Access.SECRETS_READ:
            _secrets(scope, stores, label, member, role="roles/secretmanager.secretAccessor")
        case Access.SECRETS_WRITE:
            _secrets(scope, stores, label, member, role="roles/secretmanager.secretVersionManager")  # cannot read
        case Access.CLUSTER_VIEW:
            _view(scope, reach.cluster, label, member)
        case Access.BUS_READ:
            gcp.pubsub.SubscriptionIAMMember(
                scope.name(label),
                subscription=stores.bus.queue_id,
                role="roles/pubsub.subscriber",
                member=member,
                opts=scope.own(),
            )
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
        case Access.DNS_EDIT:
            _zone(scope, reach.edge, label, member)
        case Access.TELEMETRY_SEND:
            for role in ("logging.logWriter", "monitoring.metricWriter", "cloudtrace.agent"):
                access.on_project(scope, f"{label}-{role.split('.')[0]}", f"roles/{role}", member)
        case (
            Access.DEPLOY_WRITE
            | Access.DOCUMENTS_READ
            | Access.DOCUMENTS_WRITE
            | Access.MODELS_READ
            | Access.MODELS_WRITE
            | Access.LAKE_READ
            | Access.LAKE_WRITE
        ):
            _bucket(scope, stores, label, member, what)
        case _:
            assert_never(what)


def _zone(scope: Scope, edge: Edge, label: str, member: Input[str]) -> None:
    """Google's own role for records may delete the zone as well; ours may change what is in it."""
    if edge.zone is None:
        return
    role = gcp.projects.IAMCustomRole(
        scope.name("prove-names"),
        role_id=f"{scope.settings.application}_{scope.settings.environment}_prove_names",
        title="Prove names by records",
        permissions=_RECORDS,
        opts=scope.own(),
    )
    gcp.dns.DnsManagedZoneIamMember(
        scope.name(label), managed_zone=edge.zone.id, role=role.name, member=member, opts=scope.own()
    )


def _view(scope: Scope, cluster: Cluster, label: str, member: Input[str]) -> None:
    if cluster.kind != "k3s":
        access.on_project(scope, label, "roles/container.viewer", member, only=access.only_cluster(cluster))


def _database(scope: Scope, reach: Reach, who: Principal | Operator) -> None:
    project, server = reach.ground.foundation.project, reach.stores.database.server
    instance = Output.concat(f"projects/{project}/instances/", server)
    only = Output.concat('resource.name == "', instance, f'" && resource.type == "{_INSTANCE}"')
    for role in ("client", "instanceUser"):
        access.on_project(
            scope, f"{who.label}-{Access.DATABASE}-{role.lower()}", f"roles/cloudsql.{role}", who.member, only=only
        )


def _secrets(scope: Scope, stores: Stores, label: str, member: Input[str], *, role: str) -> None:
    for name, secret in stores.secrets.connectors.items():
        gcp.secretmanager.SecretIamMember(
            scope.name(f"{label}-{name}"),
            secret_id=secret,
            role=role,
            member=member,
            opts=scope.own(),
        )


def _bucket(scope: Scope, stores: Stores, label: str, member: Input[str], what: Access) -> None:
    bucket, mode = bucket_of(what)
    if bucket not in stores.objects.names:
        return
    role = "roles/storage.objectViewer" if mode == "read" else "roles/storage.objectUser"
    gcp.storage.BucketIAMMember(
        scope.name(label), bucket=stores.objects.names[bucket], role=role, member=member, opts=scope.own()
    )
