"""
A second copy of database and blobs in a backup vault of its own, immutable in prod.

Immutability is `Unlocked`: an administrator of the vault can switch it off. Locking it cannot be undone, so a person
does that when the stack is known to be right. On AWS the vault's lock is of the same kind.

`small` relies on the database's point-in-time recovery and the blobs' versions; its empty component says so.
"""

from typing import Any

from pulumi import Input, Output
from pulumi_azure_native import dataprotection as dp

from infra.azure import access
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Ground, Scope, Stores
from infra.settings import Profile

_POSTGRES = "Microsoft.DBforPostgreSQL/flexibleServers"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
# Weekly is what flexible-server vaulted backup offers; the server itself keeps every second of `backup_days`.
_WEEKLY = "R/2026-01-04T02:30:00+00:00/P1W"


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores) -> None:
    if scope.settings.is_small:
        return
    vault = _vault(scope, ground)
    to = vault.identity.apply(lambda i: i.principal_id if i else "")
    group, account, server = ground.foundation, stores.objects.scope, stores.database.id
    granted = [
        access.assign(scope, group, "backup-postgres", Role.POSTGRES_BACKUP, to=to, at=server),
        access.assign(scope, group, "backup-reader", Role.READER, to=to, at=group.group_id),
        access.assign(scope, group, "backup-blobs", Role.STORAGE_BACKUP, to=to, at=account),
    ]
    ready = access.settled(scope, "backup", granted)
    for label, kind, resource in (("postgres", _POSTGRES, server), ("blobs", _BLOBS, account)):
        policy: Any = {"policy_id": _policy(scope, ground, vault, label, kind).id}
        if kind == _BLOBS:
            policy["policy_parameters"] = {"backup_datasource_parameters_list": [_containers(stores)]}
        _instance(scope, ground, vault, policy, label, kind, resource, ready)


def _containers(stores: Stores) -> dp.BlobBackupDatasourceParametersArgs:
    """A vault copies the containers it is told to, and refuses an account without any."""
    ids = [Output.from_input(stores.objects.names[name]) for name in ("documents", "models")]
    return dp.BlobBackupDatasourceParametersArgs(
        object_type="BlobBackupDatasourceParameters",
        containers_list=[id_.apply(lambda text: text.rsplit("/", 1)[-1]) for id_ in ids],
    )


def _vault(scope: Scope, ground: Ground[AzureFoundation]) -> dp.BackupVault:
    prod = scope.settings.profile is Profile.PROD
    kept = "Off" if scope.settings.may_lose_data else "On"  # dev: what is deleted would hold the vault for a month
    zones = "ZoneRedundant" if scope.settings.network.zones > 1 else "LocallyRedundant"
    return dp.BackupVault(
        scope.name("backup"),
        resource_group_name=ground.foundation.group,
        identity={"type": "SystemAssigned"},
        properties={
            "storage_settings": [{"datastore_type": "VaultStore", "type": zones}],
            "security_settings": {
                "soft_delete_settings": {"state": kept, "retention_duration_in_days": 30},
                "immutability_settings": {"state": "Unlocked" if prod else "Disabled"},
            },
        },
        opts=scope.own(protect=True),
    )


def _policy(
    scope: Scope, ground: Ground[AzureFoundation], vault: dp.BackupVault, label: str, kind: str
) -> dp.BackupPolicy:
    store = {"data_store_type": "VaultStore", "object_type": "DataStoreInfoBase"}
    days = f"P{scope.settings.database.backup_days}D"
    keep: Any = {
        "name": "Default",
        "object_type": "AzureRetentionRule",
        "is_default": True,
        "lifecycles": [
            {
                "delete_after": {"duration": days, "object_type": "AbsoluteDeleteOption"},
                "source_data_store": store,
                "target_data_store_copy_settings": [],
            }
        ],
    }
    when = {
        "object_type": "ScheduleBasedTriggerContext",
        "schedule": {"repeating_time_intervals": [_WEEKLY], "time_zone": "UTC"},
        "tagging_criteria": [{"is_default": True, "tagging_priority": 99, "tag_info": {"tag_name": "Default"}}],
    }
    take: Any = {
        "name": "Weekly",
        "object_type": "AzureBackupRule",
        "data_store": store,
        "backup_parameters": {
            "object_type": "AzureBackupParams",
            "backup_type": "Full" if kind == _POSTGRES else "Discrete",
        },
        "trigger": when,
    }
    return dp.BackupPolicy(
        scope.name(f"backup-{label}"),
        resource_group_name=ground.foundation.group,
        vault_name=vault.name,
        properties={"object_type": "BackupPolicy", "datasource_types": [kind], "policy_rules": [keep, take]},
        opts=scope.own(),
    )


def _instance(
    scope: Scope,
    ground: Ground[AzureFoundation],
    vault: dp.BackupVault,
    policy: Any,
    label: str,
    kind: str,
    resource: Input[str],
    ready: list,
) -> None:
    source: Any = {
        "object_type": "Datasource",
        "datasource_type": kind,
        "resource_id": resource,
        "resource_type": kind.removesuffix("/blobServices"),
        "resource_location": scope.settings.region,
        "resource_uri": resource,
        "resource_name": label,
    }
    dp.BackupInstance(
        scope.name(f"backup-{label}"),
        resource_group_name=ground.foundation.group,
        vault_name=vault.name,
        properties={
            "object_type": "BackupInstance",
            "friendly_name": label,
            "data_source_info": source,
            "policy_info": policy,
        },
        opts=scope.own(depends_on=ready),
    )
