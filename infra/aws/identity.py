"""
One IAM role per container, bound to its service account by EKS Pod Identity: no key, no OIDC plumbing, and the trust
names the EKS service rather than a token's text. In `small` the node's role carries the same grants for all.
"""

from collections.abc import Iterable
from dataclasses import replace

import pulumi_aws as aws
from pulumi import Input

from infra.aws import access
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Cluster, Edge, Ground, Identity, Reach, Scope, Stores
from infra.catalogue import words_of
from infra.grants import (
    GRANTS,
    NODE_GRANTS,
    OPERATORS,
    PLATFORM,
    WORKLOADS,
    Access,
    namespace_of,
    statement_of,
)


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster, edge: Edge) -> Identity:
    reach = Reach(scope.settings, ground, stores, cluster, edge)
    if scope.settings.is_small:
        return _node(scope, reach, cluster)
    roles = {name: _workload(scope, reach, cluster, name).arn for name in WORKLOADS}
    return Identity(
        kind="eks-pod-identity",
        principals={name: roles[name] for name in GRANTS},
        platform={name: roles[name] for name in PLATFORM},
        users={name: name for name in GRANTS},
        admin=stores.database.admin,
        operators=_operators(scope, reach),
    )


def _workload(scope: Scope, reach: Reach[AwsFoundation], cluster: Cluster, name: str) -> aws.iam.Role:
    role = access.role(scope, name, access.plain_trust("pods.eks.amazonaws.com"))
    statements = _granted(reach, WORKLOADS[name], (name,))
    granted = access.grant(scope, name, role, [*statements, _key_use(reach.ground)])
    aws.eks.PodIdentityAssociation(
        scope.name(name),
        cluster_name=cluster.name,
        namespace=namespace_of(name),
        service_account=name,
        role_arn=role.arn,
        opts=scope.own(depends_on=[granted]),
    )
    return role


def _node(scope: Scope, reach: Reach[AwsFoundation], cluster: Cluster) -> Identity:
    statements = _granted(reach, NODE_GRANTS, tuple(GRANTS))
    aws.iam.RolePolicy(
        scope.name("workloads"),
        role=cluster.node_name,
        policy=access.document([*statements, _key_use(reach.ground)]),
        opts=scope.own(),
    )
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.node_client),
        platform=dict.fromkeys(PLATFORM, cluster.node_client),
        users={name: name for name in GRANTS},
        admin=reach.stores.database.admin,
        operators=_operators(scope, reach),
    )


def _operators(scope: Scope, reach: Reach) -> Input[str]:
    """One role that the named principals may take: what they do then has their name in the trail."""
    people = scope.settings.operators
    if not people.principals:
        return ""
    trust = access.people_trust(people.principals, [str(cidr) for cidr in people.cidrs])
    role = access.role(scope, "operators", trust)
    statements = _granted(reach, OPERATORS, ())
    access.grant(scope, "operators", role, [*statements, _key_use(reach.ground)])
    if not reach.settings.is_small:
        access.enter_cluster(scope, "operators", reach.cluster, role, "AmazonEKSViewPolicy")
    return role.arn


def _key_use(ground: Ground[AwsFoundation]) -> Allow:
    return Allow(["kms:Decrypt", "kms:GenerateDataKey"], [ground.keys.data])


def _granted(reach: Reach[AwsFoundation], access: Iterable[Access], users: tuple[str, ...]) -> list[Allow]:
    """Each statement under the name of its access, which rule IAM-006 looks for; ids are unique in a document."""
    found = {what: words_of("aws", what)(reach, what, users) for what in sorted(access)}
    return [
        replace(one, id=f"{statement_of(what)}{i or ''}") for what, many in found.items() for i, one in enumerate(many)
    ]
