"""
One service account per container, borrowed by its Kubernetes account through workload identity: no key file exists.

In `small` there is no such federation; the node's account carries the same grants for all.
"""

from dataclasses import dataclass

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Cluster, Edge, Ground, Identity, Reach, Scope, Stores
from infra.catalogue import words_of
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation
from infra.grants import GRANTS, NODE_GRANTS, OPERATORS, PLATFORM, WORKLOADS, Access, namespace_of


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


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores, cluster: Cluster, edge: Edge) -> Identity:
    reach = Reach(scope.settings, ground, stores, cluster, edge)
    _operators(scope, reach)
    if scope.settings.is_small:
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


def _workload(scope: Scope, reach: Reach[GcpFoundation], cluster: Cluster, name: str) -> gcp.serviceaccount.Account:
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


def _node(scope: Scope, reach: Reach[GcpFoundation], cluster: Cluster) -> Identity:
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


def _grant(scope: Scope, reach: Reach[GcpFoundation], who: Principal | Operator, what: Access) -> None:
    """Under the name of who and what, which rule IAM-006 looks for."""
    words_of("gcp", what)(scope, reach, f"{who.label}-{what}", who.member, what)
