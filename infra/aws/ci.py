"""The identity of GitHub Actions: pushes images, deploys to one namespace (or one bucket in `small`), nothing else."""

import pulumi_aws as aws
from pulumi import Input, Output

from infra.aws import access
from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ci, Cluster, Ground, Scope, Stores

_ISSUER = "token.actions.githubusercontent.com"
_PUSH = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
]


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, cluster: Cluster) -> Ci:
    repository = scope.settings.ci.repository
    if not repository:
        return Ci()
    role = access.role(scope, "ci", _trust(scope, repository))
    statements = []
    if stores.registry.repositories:
        statements += [Allow(["ecr:GetAuthorizationToken"], ["*"])]  # this action knows no resource
        statements += [Allow(_PUSH, list(stores.registry.repositories.values()))]
    if scope.settings.is_small:
        deploy = Output.concat("arn:aws:s3:::", stores.objects.names["deploy"], "/*")
        statements += [Allow(["s3:PutObject"], [deploy]), Allow(["kms:GenerateDataKey"], [ground.keys.data])]
    else:
        statements += [Allow(["eks:DescribeCluster"], [cluster.grant_id])]
        access.enter_cluster(scope, "ci", cluster, role, "AmazonEKSEditPolicy")
    access.grant(scope, "ci", role, statements)
    return Ci(principal=role.arn)


def _trust(scope: Scope, repository: str) -> Output[str]:
    """Only this repository, and only jobs of the GitHub environment that has this stack's name."""
    subject = f"repo:{repository}:environment:{scope.settings.environment}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": _provider(scope)},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{_ISSUER}:aud": "sts.amazonaws.com", f"{_ISSUER}:sub": subject}},
    }
    return Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def _provider(scope: Scope) -> Input[str]:
    if existing := scope.settings.ci.existing_oidc_provider_arn:
        return existing
    provider = aws.iam.OpenIdConnectProvider(
        scope.name("github"), url=f"https://{_ISSUER}", client_id_lists=["sts.amazonaws.com"], opts=scope.own()
    )
    return provider.arn
