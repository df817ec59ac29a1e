"""
A second copy of database and documents in a vault of its own, locked in prod: only who may lift the lock can empty it.

`small` relies on the database's point-in-time recovery and the buckets' versions; its empty component says so.
"""

from typing import Any

import pulumi_aws as aws
from pulumi import Output

from infra.aws import access
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Ground, Scope, Stores
from infra.settings import Profile

_BACKUP_POLICIES = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
)


def build(scope: Scope, ground: Ground[AwsFoundation], stores: Stores) -> None:
    if scope.settings.is_small:
        return
    days, name = scope.settings.database.backup_days, scope.name("backup")
    vault = aws.backup.Vault(
        name,
        kms_key_arn=ground.keys.data,
        force_destroy=scope.settings.may_lose_data,  # with its recovery points
        opts=scope.own(protect=True),
    )
    if scope.settings.profile is Profile.PROD:
        aws.backup.VaultLockConfiguration(
            name, backup_vault_name=vault.name, min_retention_days=7, max_retention_days=400, opts=scope.own()
        )
    daily: Any = {
        "rule_name": "daily",
        "target_vault_name": vault.name,
        "schedule": "cron(30 2 * * ? *)",
        "lifecycle": {"delete_after": days},
    }
    plan = aws.backup.Plan(name, rules=[daily], opts=scope.own())
    _select(scope, ground, stores, plan)


def _select(scope: Scope, ground: Ground[AwsFoundation], stores: Stores, plan: aws.backup.Plan) -> None:
    role = access.role(scope, "backup", access.trust("backup.amazonaws.com", ground.foundation.account))
    granted = access.attach(scope, role, "backup", _BACKUP_POLICIES)
    names = stores.objects.names
    buckets = [Output.concat("arn:aws:s3:::", names[n]) for n in ("documents", "models")]
    aws.backup.Selection(
        scope.name("backup"),
        plan_id=plan.id,
        iam_role_arn=role.arn,
        resources=[stores.database.id, *buckets],
        opts=scope.own(depends_on=granted),
    )
