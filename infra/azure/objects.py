"""One storage account with a container each for documents, models and the event lake: private, versioned, our key."""

from typing import Any

from pulumi import Input, Output
from pulumi_azure_native import storage

from infra.azure import private
from infra.azure.access import Role
from infra.azure.account import account_with_our_key
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Ground, Objects, Reach, Scope
from infra.grants import Access, bucket_of


def build(scope: Scope, ground: Ground[AzureFoundation]) -> Objects:
    account = account_with_our_key(
        scope,
        ground.foundation,
        ground.keys,
        label="obj",
        public=private.public_access(scope),
        rules=private.closed(
            scope, ground.network, subnet="virtual_network_resource_id", address="i_p_address_or_range"
        ),
    )
    _keep_versions(scope, ground, account)
    wanted = ["documents", "models"]
    wanted += ["lake"] if scope.settings.objects.event_lake else []
    wanted += ["deploy"] if scope.settings.is_small else []
    containers = {name: _container(scope, ground, account, name) for name in wanted}
    private.endpoint(scope, ground.foundation, ground.network, account, label="blob")
    diagnose(scope, "blob", Output.concat(account.id, "/blobServices/default"), ground.observability.logs, ("audit",))
    return Objects(
        names={name: c.id for name, c in containers.items()},
        urls={name: _url(account, c.name) for name, c in containers.items()},
        scope=account.id,
    )


def words(reach: Reach[AzureFoundation], what: Access) -> list[tuple[Role, Input[str]]]:
    container, mode = bucket_of(what)
    role, names = Role.BLOB_READER if mode == "read" else Role.BLOB_CONTRIBUTOR, reach.stores.objects.names
    return [(role, names[container])] if container in names else []


def _keep_versions(scope: Scope, ground: Ground[AzureFoundation], account: storage.StorageAccount) -> None:
    choices, group = scope.settings.objects, ground.foundation.group
    kept: Any = {"enabled": True, "days": choices.noncurrent_days}
    storage.BlobServiceProperties(
        scope.name("objects"),
        resource_group_name=group,
        account_name=account.name,
        blob_services_name="default",
        is_versioning_enabled=True,
        delete_retention_policy=kept,
        container_delete_retention_policy=kept,
        opts=scope.own(),
    )
    storage.ManagementPolicy(
        scope.name("objects"),
        resource_group_name=group,
        account_name=account.name,
        management_policy_name="default",
        policy={"rules": [_tidy(choices.noncurrent_days), _cool(choices.archive_after_days)]},
        opts=scope.own(),
    )


def _tidy(days: int) -> Any:
    old = {"delete": {"days_after_creation_greater_than": days}}
    definition = {"filters": {"blob_types": ["blockBlob"]}, "actions": {"version": old}}
    return {"name": "tidy", "type": "Lifecycle", "enabled": True, "definition": definition}


def _cool(days: int) -> Any:
    cooler = {"tier_to_cool": {"days_after_modification_greater_than": days}}
    filters = {"blob_types": ["blockBlob"], "prefix_match": ["lake/"]}
    return {
        "name": "cool-lake",
        "type": "Lifecycle",
        "enabled": True,
        "definition": {"filters": filters, "actions": {"base_blob": cooler}},
    }


def _container(
    scope: Scope, ground: Ground[AzureFoundation], account: storage.StorageAccount, name: str
) -> storage.BlobContainer:
    return storage.BlobContainer(
        scope.name(name),
        resource_group_name=ground.foundation.group,
        account_name=account.name,
        container_name=name,
        public_access=storage.PublicAccess.NONE,
        opts=scope.own(protect=True),
    )


def _url(account: storage.StorageAccount, container: Input[str]) -> Output[str]:
    return Output.concat("abfss://", container, "@", account.name, ".dfs.core.windows.net")
