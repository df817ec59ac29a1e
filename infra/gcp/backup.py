"""
A second copy of the database in a backup vault of its own, which nobody can empty before its time.

Objects keep their versions and seven days of soft delete. `small` relies on the database's point-in-time recovery
and the buckets' versions; its empty component says so.
"""

from typing import Any

import pulumi_gcp as gcp

from infra.capabilities import Ground, Scope, Stores
from infra.gcp import access
from infra.gcp.foundation import GcpFoundation

_SQL = "sqladmin.googleapis.com/Instance"


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores) -> None:
    if scope.settings.is_small:
        return
    days, region, name = scope.settings.database.backup_days, scope.settings.region, scope.name("backup")
    vault = gcp.backupdisasterrecovery.BackupVault(
        name,
        backup_vault_id=name,
        location=region,
        backup_minimum_enforced_retention_duration="86400s" if scope.settings.may_lose_data else "604800s",
        force_delete=scope.settings.may_lose_data,  # with its backups, where their time is over
        encryption_config={"kms_key_name": ground.keys.data},
        opts=scope.own(protect=True, depends_on=ground.keys.ready),
    )
    # The vault acts under an identity of its own, which may do nothing until it is let.
    may_copy = access.on_project(scope, "backup", "roles/backupdr.cloudSqlOperator", access.of(vault.service_account))
    nightly: Any = {"start_hour_of_day": 2, "end_hour_of_day": 8}
    plan = gcp.backupdisasterrecovery.BackupPlan(
        name,
        backup_plan_id=name,
        location=region,
        resource_type=_SQL,
        backup_vault=vault.id,
        backup_rules=[
            {
                "rule_id": "daily",
                "backup_retention_days": days,
                "standard_schedule": {"recurrence_type": "DAILY", "time_zone": "UTC", "backup_window": nightly},
            }
        ],
        opts=scope.own(),
    )
    gcp.backupdisasterrecovery.BackupPlanAssociation(
        name,
        backup_plan_association_id=name,
        location=region,
        resource=stores.database.id,
        resource_type=_SQL,
        backup_plan=plan.name,
        opts=scope.own(depends_on=[may_copy]),
    )
