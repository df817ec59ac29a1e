"""Connector credentials: created empty, filled by a person or the help desk's rotation, never by this program."""

from collections.abc import Sequence

import pulumi_aws as aws

from infra.aws.access import Allow
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ground, Reach, Scope, Secrets
from infra.grants import Access


def build(scope: Scope, ground: Ground[AwsFoundation]) -> Secrets:
    path = f"{scope.settings.application}/{scope.settings.environment}/connectors"
    secrets = {
        name: aws.secretsmanager.Secret(
            scope.name(f"connector-{name}"),
            name=f"{path}/{name}",
            description=f"Credentials of the {name} connector; put the value in by hand",
            kms_key_id=ground.keys.data,
            recovery_window_in_days=30 if scope.settings.is_protected else 7,
            opts=scope.own(protect=True),
        )
        for name in scope.settings.connectors
    }
    return Secrets(
        kind="aws-secrets-manager",
        store=path,
        uri=f"https://secretsmanager.{scope.settings.region}.amazonaws.com",
        connectors={n: s.arn for n, s in secrets.items()},
    )


def words(reach: Reach[AwsFoundation], what: Access, _: Sequence[str]) -> list[Allow]:
    writes = ["secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue"]
    actions = {Access.SECRETS_READ: ["secretsmanager:GetSecretValue"], Access.SECRETS_WRITE: writes}
    return [Allow(actions[what], list(reach.stores.secrets.connectors.values()))]
