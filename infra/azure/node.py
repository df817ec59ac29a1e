"""
The cluster of `small`: one machine with k3s in a scale set of one, on spot; Azure restores it after an eviction.

Its state is the database and the containers of the storage account. Ingress: 80 and 443; operators use run-command.
"""

import base64
from collections.abc import Sequence
from typing import Any

from pulumi import Input, Output, Resource
from pulumi_azure_native import compute

from infra.azure import access, edge
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Cluster, Ground, Scope, Stores
from infra.node import boot_script

# by GiB; the one of 8 costs 22 USD a month on spot in eastus2 (design/adr/0051), burstable ones are never on spot
MACHINE = {4: "Standard_B2als_v2", 8: "Standard_D2s_v5", 16: "Standard_D4ds_v5"}
DISK_GB = 32
_FIRST = "vm0"  # a new set's machine; with a domain the name there follows whichever machine is up (azure.sh)
_IMAGE = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores) -> Cluster:
    foundation = ground.foundation
    identity = access.identity(scope, foundation, "node")
    deploy = stores.objects.names["deploy"]
    to = identity.principal_id
    # It reads manifests and keeps its certificates there; Azure's roles know no single blob.
    granted = [access.assign(scope, foundation, "node-deploy", Role.BLOB_CONTRIBUTOR, to=to, at=deploy)]
    if stores.registry.id:
        granted.append(access.assign(scope, foundation, "node-pull", Role.ACR_PULL, to=to, at=stores.registry.id))
    label = foundation.unique(scope.settings.prefix)
    ready = access.settled(scope, "node", granted)
    host = Output.concat(label, f".{scope.settings.region}.cloudapp.azure.com")
    boot = _boot(stores, host, edge.record_of_node(scope, ground))
    machine = _scale_set(scope, ground, identity.id, boot, label, ready)
    hostname = Output.concat(_FIRST, ".", host)
    return Cluster(
        name=machine.name,
        kind="k3s",
        arch="amd64",
        endpoint=Output.concat("https://", hostname, ":6443"),
        node=identity.principal_id,
        node_name=identity.name,
        node_client=identity.client_id,
        address=hostname,
        hostname=hostname,
        deploy=stores.objects.urls["deploy"],
    )


def _boot(stores: Stores, host: Input[str], record: Input[str]) -> Output[str]:
    """`host` is what stands behind a machine's number, `record` the name under our domain that it claims, if any."""
    values = Output.all(deploy=stores.objects.urls["deploy"], registry=stores.registry.url, host=host, record=record)
    return values.apply(_script)


def _script(values: dict[str, str]) -> str:
    own = {"registry": values["registry"], "host": values["host"], "record": values["record"]}
    return base64.b64encode(boot_script("azure", {"deploy_url": _https(values["deploy"]), **own}).encode()).decode()


def _https(url: str) -> str:
    """abfss://container@account.dfs.core.windows.net as curl knows it."""
    container, account = url.removeprefix("abfss://").split("@")
    return f"https://{account.replace('.dfs.', '.blob.')}/{container}"


def _scale_set(
    scope: Scope,
    ground: Ground[AzureFoundation],
    identity: Output[str],
    custom_data: Output[str],
    label: Output[str],
    ready: Sequence[Resource],
) -> compute.VirtualMachineScaleSet:
    spot = scope.settings.cluster.spot
    on_spot: Any = {
        "priority": compute.VirtualMachinePriorityTypes.SPOT,
        "eviction_policy": compute.VirtualMachineEvictionPolicyTypes.DEALLOCATE,
        "billing_profile": {"max_price": -1},
    }
    return compute.VirtualMachineScaleSet(
        scope.name("node"),
        resource_group_name=ground.foundation.group,
        sku={"name": MACHINE[scope.settings.cluster.node_gib], "capacity": 1},
        orchestration_mode=compute.OrchestrationMode.UNIFORM,
        overprovision=False,
        single_placement_group=True,
        upgrade_policy={"mode": compute.UpgradeMode.MANUAL},
        spot_restore_policy={"enabled": True, "restore_timeout": "PT1H"} if spot else None,
        identity={
            "type": compute.ResourceIdentityType.USER_ASSIGNED,
            "user_assigned_identities": [identity],
        },
        virtual_machine_profile={
            "os_profile": _login(scope, custom_data),
            "storage_profile": _disk(scope, ground),
            "network_profile": {"network_interface_configurations": [_interface(ground, label)]},
            "security_profile": {
                "encryption_at_host": True,
                "security_type": compute.SecurityTypes.TRUSTED_LAUNCH,
                "uefi_settings": {"secure_boot_enabled": True, "v_tpm_enabled": True},
            },
            **(on_spot if spot else {}),
        },
        opts=scope.own(depends_on=ready),
    )


def _login(scope: Scope, custom_data: Output[str]) -> Any:
    """Azure wants a way to log in; a public key is the one that is not a secret, and port 22 is closed."""
    key = {"path": "/home/pointsman/.ssh/authorized_keys", "key_data": scope.settings.cluster.ssh_public_key}
    return {
        "computer_name_prefix": "node",
        "admin_username": "pointsman",  # Ubuntu has a group called operator, and would refuse the user
        "custom_data": custom_data,
        "linux_configuration": {"disable_password_authentication": True, "ssh": {"public_keys": [key]}},
    }


def _disk(scope: Scope, ground: Ground[AzureFoundation]) -> Any:
    encryption = compute.DiskEncryptionSet(
        scope.name("node"),
        resource_group_name=ground.foundation.group,
        encryption_type=compute.DiskEncryptionSetType.ENCRYPTION_AT_REST_WITH_CUSTOMER_KEY,
        rotation_to_latest_key_version_enabled=True,
        active_key={"key_url": ground.keys.data},
        identity={"type": "UserAssigned", "user_assigned_identities": [ground.keys.holder]},
        opts=scope.own(depends_on=ground.keys.ready),
    )
    managed = {"storage_account_type": "StandardSSD_LRS", "disk_encryption_set": {"id": encryption.id}}
    return {
        "image_reference": _IMAGE,
        "os_disk": {"create_option": "FromImage", "disk_size_gb": DISK_GB, "managed_disk": managed},
    }


def _interface(ground: Ground[AzureFoundation], label: Output[str]) -> Any:
    address = {
        "name": "public",
        "sku": {"name": "Standard", "tier": "Regional"},
        "dns_settings": {"domain_name_label": label},
    }
    ip = {
        "name": "node",
        "primary": True,
        "subnet": {"id": ground.network.nodes[0]},
        "public_ip_address_configuration": address,
    }
    return {"name": "node", "primary": True, "ip_configurations": [ip]}
