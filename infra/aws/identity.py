"""
One IAM role per container, bound to its service account by EKS Pod Identity: no key, no OIDC plumbing, and the trust
names the EKS service rather than a token's text. In `small` the node's role carries the same grants for all.
"""

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws import access
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Cluster, Ground, Identity, Scope, Stores
from infra.grants import GRANTS, NAMESPACE, NODE_GRANTS, Access


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster) -> Identity:
    if cluster.kind == "k3s":
        return _node(scope, ground, stores, cluster)
    roles = {name: _container(scope, ground, stores, cluster, name) for name in GRANTS}
    return Identity(
        kind="eks-pod-identity",
        principals={name: role.arn for name, role in roles.items()},
        users={name: name for name in GRANTS},
        admin=stores.database.admin,
    )


def _container(
    scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster, name: str
) -> aws.iam.Role:
    role = access.role(scope, name, access.plain_trust("pods.eks.amazonaws.com"))
    statements = [s for a in sorted(GRANTS[name]) for s in _statements(scope, ground, stores, a, (name,))]
    access.grant(scope, name, role, [*statements, _key_use(ground)])
    aws.eks.PodIdentityAssociation(
        scope.name(name),
        cluster_name=cluster.name,
        namespace=NAMESPACE,
        service_account=name,
        role_arn=role.arn,
        opts=scope.own(),
    )
    return role


def _node(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster) -> Identity:
    statements = [s for a in sorted(NODE_GRANTS) for s in _statements(scope, ground, stores, a, tuple(GRANTS))]
    aws.iam.RolePolicy(
        scope.name("workloads"),
        role=cluster.node_name,
        policy=access.document([*statements, _key_use(ground)]),
        opts=scope.own(),
    )
    return Identity(
        kind="node",
        principals=dict.fromkeys(GRANTS, cluster.node),
        users={name: name for name in GRANTS},
        admin=stores.database.admin,
    )


def _key_use(ground: Ground[AwsFoundation]) -> Allow:
    return Allow(["kms:Decrypt", "kms:GenerateDataKey"], [ground.keys.data])


def _statements(
    scope: Scope, ground: Ground[AwsFoundation], stores: Stores, what: Access, users: tuple[str, ...]
) -> list[Allow]:
    """The cloud's words for one access; an access to something this stack does not have is nothing."""
    names = stores.objects.names
    match what:
        case Access.DATABASE:
            return [Allow(["rds-db:connect"], [_database_user(scope, ground, stores, user) for user in users])]
        case Access.DATABASE_ADMIN:
            return [Allow(["secretsmanager:GetSecretValue"], [stores.database.admin])]
        case Access.SECRETS_READ:
            return [Allow(["secretsmanager:GetSecretValue"], list(stores.secrets.connectors.values()))]
        case Access.BUS_PUBLISH:
            return [Allow(["sns:Publish"], [stores.bus.topic_id])]
        case Access.LLM_INVOKE:
            actions = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
            return [Allow(actions, stores.models.grants)] if stores.models.grants else []
        case _:
            bucket, _, mode = what.value.rpartition("-")
            return _bucket(names[bucket], mode) if bucket in names else []


def _database_user(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, user: str) -> Output[str]:
    region, database = scope.settings.region, stores.database
    return Output.concat(
        f"arn:aws:rds-db:{region}:", ground.foundation.account, ":dbuser:", database.resource_id, "/", user
    )


def _bucket(name: Input[str], mode: str) -> list[Allow]:
    arn = Output.concat("arn:aws:s3:::", name)
    actions = ["s3:GetObject"] if mode == "read" else ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    return [Allow(["s3:ListBucket"], [arn]), Allow(actions, [Output.concat(arn, "/*")])]
