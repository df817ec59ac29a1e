"""
AKS: private API server, Entra and Azure RBAC only, workload identity, etcd secrets under our key.

Three pools: system, spot workers, GPU for the trainer; the last two start from nothing. `small` is node.py.
"""

import base64
from typing import Any

import yaml
from pulumi import Input, Output, Resource
from pulumi_azure_native import containerservice as aks
from pulumi_azure_native.managedidentity import UserAssignedIdentity

from infra.azure import access, node
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import collect_metrics, diagnose
from infra.capabilities import Cluster, Ground, Pool, Reach, Scope, Stores
from infra.grants import NAMESPACE, Access
from infra.settings import Profile, Size

# The d in the name is a local disk: it holds the system disk, so nothing of a node outlives it, or needs a key.
MACHINE = {Size.SMALL: "Standard_D2ds_v5", Size.MEDIUM: "Standard_D4ds_v5", Size.LARGE: "Standard_D8ds_v5"}
GPU_MACHINE = "Standard_NC4as_T4_v3"
_SPOT_TAINT = ("kubernetes.azure.com/scalesetpriority", "spot")  # AKS sets this on spot nodes itself
_GPU_TAINT = ("nvidia.com/gpu", "true")


def build(scope: Scope, ground: Ground[AzureFoundation], stores: Stores) -> Cluster:
    if scope.settings.is_small:
        return node.build(scope, ground, stores)
    control = access.identity(scope, ground.foundation, "cluster")
    cluster = _control_plane(scope, ground, control)
    _pool_of_workers(scope, ground, cluster)
    if scope.settings.cluster.gpu:
        _pool_of_gpus(scope, ground, cluster)
    diagnose(scope, "cluster", cluster.id, ground.observability.logs, ("audit",))
    collect_metrics(scope, ground.foundation, ground.observability, cluster.id)
    if stores.registry.id:
        puller = cluster.identity_profile.apply(_kubelet)
        access.assign(scope, ground.foundation, "pull", Role.ACR_PULL, to=puller, at=stores.registry.id)
    return Cluster(
        name=cluster.name,
        kind="aks",
        endpoint=Output.concat("https://", cluster.fqdn if _is_open(scope) else cluster.private_fqdn),
        grant_id=cluster.id,
        issuer=cluster.oidc_issuer_profile.apply(lambda p: p.issuer_url if p else ""),
        ca=_authority(ground, cluster),
        arch="amd64",
        pools=_pools(scope),
        control=control.principal_id,
    )


def words(reach: Reach[AzureFoundation], _: Access) -> list[tuple[Role, Input[str]]]:
    cluster = reach.cluster
    if reach.settings.is_small:
        return []
    namespace = Output.concat(cluster.grant_id, f"/namespaces/{NAMESPACE}")
    return [(Role.AKS_CLUSTER_USER, cluster.grant_id), (Role.AKS_READER, namespace)]


def _authority(ground: Ground[AzureFoundation], cluster: aks.ManagedCluster) -> Output[str]:
    """Stands in the kubeconfig alone; of the rest, which is no secret without Entra either, nothing is kept."""
    given = aks.list_managed_cluster_user_credentials_output(
        resource_group_name=ground.foundation.group, resource_name=cluster.name
    )
    return Output.unsecret(given.kubeconfigs.apply(lambda found: _authority_in(found[0].value)))


def _authority_in(kubeconfig: str) -> str:
    parsed = yaml.safe_load(base64.b64decode(kubeconfig))
    return parsed["clusters"][0]["cluster"]["certificate-authority-data"]


def _pools(scope: Scope) -> dict[str, Pool]:
    choices, label = scope.settings, "kubernetes.azure.com/agentpool"
    pools = {"workers": Pool({label: "workers"}, [_SPOT_TAINT] if choices.cluster.spot else [])}
    if choices.cluster.gpu:
        taints = [_GPU_TAINT, *([_SPOT_TAINT] if choices.training.spot else [])]
        pools["gpu"] = Pool({label: "gpu"}, taints)
    return pools


def _taints(pool: Pool) -> list[str]:
    return [f"{key}={value}:NoSchedule" for key, value in pool.taints]


def _kubelet(profile: Any) -> str:
    """The principal by which the nodes pull images; offline nobody has made it yet."""
    kubelet = (profile or {}).get("kubeletidentity")
    return kubelet.object_id if kubelet else "kubelet"


def _control_plane(scope: Scope, ground: Ground[AzureFoundation], identity: UserAssignedIdentity) -> aks.ManagedCluster:
    choices, foundation = scope.settings.cluster, ground.foundation
    ready = _cluster_rights(scope, ground, identity.principal_id)
    tier = (
        aks.ManagedClusterSKUTier.STANDARD if scope.settings.profile is Profile.PROD else aks.ManagedClusterSKUTier.FREE
    )
    return aks.ManagedCluster(
        scope.name("cluster"),
        resource_group_name=foundation.group,
        dns_prefix=scope.settings.prefix,
        kubernetes_version=choices.version,
        sku={"name": aks.ManagedClusterSKUName.BASE, "tier": tier},
        identity={
            "type": aks.ResourceIdentityType.USER_ASSIGNED,
            "user_assigned_identities": [identity.id],
        },
        enable_rbac=True,
        disable_local_accounts=True,
        aad_profile={"managed": True, "enable_azure_rbac": True},
        oidc_issuer_profile={"enabled": True},
        security_profile={
            "workload_identity": {"enabled": True},
            "image_cleaner": {"enabled": True, "interval_hours": 168},
            "azure_key_vault_kms": {
                "enabled": True,
                "key_id": ground.keys.version,  # AKS follows no rotation: `pulumi up` hands it the new version
                "key_vault_network_access": "Private",
                "key_vault_resource_id": ground.keys.store,
            },
        },
        api_server_access_profile=_api_access(scope, ground),
        auto_upgrade_profile={"upgrade_channel": "patch", "node_os_upgrade_channel": "NodeImage"},
        azure_monitor_profile={"metrics": {"enabled": True}},
        network_profile={
            "network_plugin": "azure",
            "network_plugin_mode": "overlay",
            "network_dataplane": "cilium",
            "network_policy": "cilium",
            "outbound_type": "userAssignedNATGateway",
            "load_balancer_sku": "standard",
        },
        agent_pool_profiles=[_system_pool(scope, ground)],
        opts=scope.own(protect=True, depends_on=ready),
    )


def _cluster_rights(scope: Scope, ground: Ground[AzureFoundation], to: Input[str]) -> list[Resource]:
    """What the control plane needs: to join subnets, and to reach the key by a private endpoint of its own."""
    wanted = (
        ("cluster-network", Role.NETWORK_CONTRIBUTOR, ground.network.id),
        ("cluster-key", Role.KEY_CRYPTO_USER, ground.keys.store),
        ("cluster-vault", Role.KEY_CONTRIBUTOR, ground.keys.store),
    )
    granted = [access.assign(scope, ground.foundation, label, role, to=to, at=at) for label, role, at in wanted]
    return access.settled(scope, "cluster", granted)


def _api_access(scope: Scope, ground: Ground[AzureFoundation]) -> Any:
    """The API server stands in our network; it must, to use a key in a vault that is closed to the internet."""
    inside = {"enable_vnet_integration": True, "subnet_id": ground.network.api}
    allowed = [str(cidr) for cidr in scope.settings.operators.cidrs]
    if _is_open(scope):
        return {**inside, "enable_private_cluster": False, "authorized_ip_ranges": allowed}
    return {**inside, "enable_private_cluster": True, "private_dns_zone": "system"}


def _is_open(scope: Scope) -> bool:
    """To named networks. Such an API server has no private name, a private one no need of a public one."""
    return bool(scope.settings.operators.cidrs)


def _system_pool(scope: Scope, ground: Ground[AzureFoundation]) -> Any:
    count = max(2, scope.settings.network.zones) if scope.settings.profile is Profile.PROD else 1
    return {
        **_machine(scope, ground, MACHINE[scope.settings.cluster.machine]),
        "name": "system",
        "mode": "System",
        "count": count,
        "min_count": count,
        "max_count": scope.settings.cluster.nodes_max,
        "enable_auto_scaling": True,
    }


def _machine(scope: Scope, ground: Ground[AzureFoundation], size: str) -> Any:
    return {
        "vm_size": size,
        "vnet_subnet_id": ground.network.nodes[0],
        "availability_zones": [str(i + 1) for i in range(scope.settings.network.zones)],
        "enable_encryption_at_host": True,
        "enable_node_public_ip": False,
        "os_type": "Linux",
        "os_sku": "AzureLinux",
        "os_disk_type": "Ephemeral",
        "os_disk_size_gb": 64,  # fits the local disk of the smallest machine (75 GB)
        "upgrade_settings": {"max_surge": "33%"},
    }


def _spot() -> Any:
    return {
        "scale_set_priority": "Spot",
        "scale_set_eviction_policy": "Delete",
        "spot_max_price": -1,  # up to the on-demand price
        "upgrade_settings": None,  # spot pools refuse a surge
    }


def _pool_of_workers(scope: Scope, ground: Ground[AzureFoundation], cluster: aks.ManagedCluster) -> None:
    spot = scope.settings.cluster.spot
    machine: Any = {**_machine(scope, ground, MACHINE[scope.settings.cluster.machine]), **(_spot() if spot else {})}
    aks.AgentPool(
        scope.name("pool-workers"),
        resource_group_name=ground.foundation.group,
        resource_name_=cluster.name,
        agent_pool_name="workers",
        mode="User",
        min_count=0,
        max_count=scope.settings.cluster.nodes_max,
        enable_auto_scaling=True,
        node_taints=_taints(_pools(scope)["workers"]),
        opts=scope.own(),
        **machine,
    )


def _pool_of_gpus(scope: Scope, ground: Ground[AzureFoundation], cluster: aks.ManagedCluster) -> None:
    spot = scope.settings.training.spot
    machine: Any = {**_machine(scope, ground, GPU_MACHINE), "os_sku": "Ubuntu", **(_spot() if spot else {})}
    aks.AgentPool(
        scope.name("pool-gpu"),
        resource_group_name=ground.foundation.group,
        resource_name_=cluster.name,
        agent_pool_name="gpu",
        mode="User",
        min_count=0,
        max_count=1,
        enable_auto_scaling=True,
        node_taints=_taints(_pools(scope)["gpu"]),
        opts=scope.own(),
        **machine,
    )
