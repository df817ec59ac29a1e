"""
One IAM role per container, bound to its service account by EKS Pod Identity: no key, no OIDC plumbing, and the trust
names the EKS service rather than a token's text. In `small` the node's role carries the same grants for all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws import access
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Cluster, Edge, Ground, Identity, Scope, Stores
from infra.grants import (
    GRANTS,
    NODE_GRANTS,
    OPERATORS,
    PLATFORM,
    WORKLOADS,
    Access,
    bucket_of,
    namespace_of,
    statement_of,
)


@dataclass(frozen=True)
class Reach:
    """All that a grant may name."""

    ground: Ground[AwsFoundation]
    stores: Stores
    edge: Edge
    cluster: Cluster


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster, edge: Edge) -> Identity:
    reach = Reach(ground, stores, edge, cluster)
    if cluster.kind == "k3s":
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


def _workload(scope: Scope, reach: Reach, cluster: Cluster, name: str) -> aws.iam.Role:
    role = access.role(scope, name, access.plain_trust("pods.eks.amazonaws.com"))
    statements = _granted(scope, reach, WORKLOADS[name], (name,))
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


def _node(scope: Scope, reach: Reach, cluster: Cluster) -> Identity:
    statements = _granted(scope, reach, NODE_GRANTS, tuple(GRANTS))
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
    statements = _granted(scope, reach, OPERATORS, ())
    access.grant(scope, "operators", role, [*statements, _key_use(reach.ground)])
    if reach.cluster.kind != "k3s":
        access.enter_cluster(scope, "operators", reach.cluster, role, "AmazonEKSViewPolicy")
    return role.arn


def _key_use(ground: Ground[AwsFoundation]) -> Allow:
    return Allow(["kms:Decrypt", "kms:GenerateDataKey"], [ground.keys.data])


def _granted(scope: Scope, reach: Reach, access: Iterable[Access], users: tuple[str, ...]) -> list[Allow]:
    """Each statement under the name of its access, which rule IAM-006 looks for; ids are unique in a document."""
    found = {what: _statements(scope, reach, what, users) for what in sorted(access)}
    return [
        replace(one, id=f"{statement_of(what)}{i or ''}") for what, many in found.items() for i, one in enumerate(many)
    ]


def _statements(scope: Scope, reach: Reach, what: Access, users: tuple[str, ...]) -> list[Allow]:
    """The cloud's words for one access; an access to something this stack does not have is nothing."""
    ground, stores = reach.ground, reach.stores
    match what:
        case Access.DATABASE:
            return [Allow(["rds-db:connect"], [_database_user(scope, ground, stores, user) for user in users])]
        case Access.DATABASE_ADMIN:
            return [Allow(["secretsmanager:GetSecretValue"], [stores.database.admin_secret])]
        case Access.SECRETS_READ:
            return [Allow(["secretsmanager:GetSecretValue"], list(stores.secrets.connectors.values()))]
        case Access.SECRETS_WRITE:
            secrets = list(stores.secrets.connectors.values())
            return [Allow(["secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue"], secrets)]
        case Access.BUS_PUBLISH:
            return [Allow(["sns:Publish"], [stores.bus.topic_id])]
        case Access.BUS_READ:
            return [Allow(["sqs:ReceiveMessage", "sqs:DeleteMessage"], [stores.bus.queue_id])]
        case Access.CLUSTER_VIEW:
            return [Allow(["eks:DescribeCluster"], [reach.cluster.grant_id])] if reach.cluster.kind != "k3s" else []
        case Access.LLM_INVOKE:
            actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
            return [Allow(actions, stores.models.grants)] if stores.models.grants else []
        case Access.DNS_EDIT:
            return _zone(reach.edge)
        case Access.TELEMETRY_SEND:
            return _telemetry(ground)
        case (
            Access.DEPLOY_WRITE
            | Access.DOCUMENTS_READ
            | Access.DOCUMENTS_WRITE
            | Access.MODELS_READ
            | Access.MODELS_WRITE
            | Access.LAKE_READ
            | Access.LAKE_WRITE
        ):
            bucket, mode = bucket_of(what)
            return _bucket(stores.objects.names[bucket], mode) if bucket in stores.objects.names else []
        case _:
            assert_never(what)


_WRITE = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]


def _telemetry(ground: Ground[AwsFoundation]) -> list[Allow]:
    metrics, logs = ground.observability.inlets
    return [
        Allow(["aps:RemoteWrite"], [metrics]),
        Allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [Output.concat(logs, ":*")]),
        Allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),  # X-Ray knows no resource here
    ]


def _zone(edge: Edge) -> list[Allow]:
    """cert-manager proves a name by a record, and asks whether the change has arrived."""
    if edge.zone is None:
        return []
    change = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"]
    return [
        Allow(change, [Output.concat("arn:aws:route53:::hostedzone/", edge.zone.id)]),
        Allow(["route53:GetChange"], ["arn:aws:route53:::change/*"]),
    ]


def _database_user(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, user: str) -> Output[str]:
    region, database = scope.settings.region, stores.database
    return Output.concat(f"arn:aws:rds-db:{region}:", ground.foundation.account, ":dbuser:", database.server, "/", user)


def _bucket(name: Input[str], mode: str) -> list[Allow]:
    arn = Output.concat("arn:aws:s3:::", name)
    actions = ["s3:GetObject"] if mode == "read" else _WRITE
    return [Allow(["s3:ListBucket"], [arn]), Allow(actions, [Output.concat(arn, "/*")])]
