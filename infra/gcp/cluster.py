"""
GKE: private nodes and control plane, workload identity, Dataplane V2, secrets under our key.

Three pools: system, spot workers, GPU for the trainer; the last two start from nothing. `small` is node.py.
"""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Input, Output

from infra.capabilities import Cluster, Ground, Pool, Reach, Scope, Stores
from infra.gcp import access, node
from infra.gcp.foundation import GcpFoundation
from infra.gcp.network import PODS, SERVICES
from infra.grants import Access
from infra.settings import Profile, Size

MACHINE = {Size.SMALL: "n2d-standard-2", Size.MEDIUM: "n2d-standard-4", Size.LARGE: "n2d-standard-8"}
GPU_MACHINE, GPU = "g2-standard-4", "nvidia-l4"
_LOGS = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]


def build(scope: Scope, ground: Ground[GcpFoundation], stores: Stores) -> Cluster:
    if scope.settings.is_small:
        return node.build(scope, ground, stores)
    nodes = _node_account(scope, stores)
    cluster = _control_plane(scope, ground, nodes)
    prod = scope.settings.profile is Profile.PROD
    zones = scope.settings.network.zones if prod else 1  # Google counts nodes in each zone of the cluster
    _pool(scope, ground, cluster, nodes, "system", low=1, high=2 if prod else 3)
    _pool(scope, ground, cluster, nodes, "workers", low=0, high=-(-scope.settings.cluster.nodes_max // zones))
    if scope.settings.cluster.gpu:
        _pool(scope, ground, cluster, nodes, "gpu", low=0, high=1)
    return Cluster(
        name=cluster.name,
        kind="gke",
        endpoint=Output.concat("https://", cluster.endpoint),
        grant_id=cluster.id,
        # Google makes the pool with the project's first cluster, so who names it must wait for ours.
        issuer=cluster.workload_identity_config.apply(lambda _: f"{ground.foundation.project}.svc.id.goog"),
        ca=Output.unsecret(cluster.master_auth.cluster_ca_certificate),  # the provider hides it with a client's key
        arch="amd64",
        pools=_pools(scope),
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], _: Access) -> None:
    if not reach.settings.is_small:
        only = access.only_cluster(reach.cluster)
        access.on_project(scope, label, "roles/container.viewer", member, only=only)


def _pools(scope: Scope) -> dict[str, Pool]:
    choices, label = scope.settings.cluster, "cloud.google.com/gke-nodepool"
    pools = {"workers": Pool({label: "workers"}, [_SPOT_TAINT] if choices.spot else [])}
    if choices.gpu:
        pools["gpu"] = Pool({label: "gpu"}, [_GPU_TAINT])
    return pools


def _node_account(scope: Scope, stores: Stores) -> gcp.serviceaccount.Account:
    """The machines may write logs and metrics and pull images; what pods may do is in identity.py."""
    account = access.account(scope, "nodes", "Cluster machines")
    access.on_project(scope, "nodes-default", "roles/container.defaultNodeServiceAccount", access.of(account.email))
    if stores.registry.id:
        gcp.artifactregistry.RepositoryIamMember(
            scope.name("nodes-pull"),
            repository=stores.registry.id,
            location=scope.settings.region,
            role="roles/artifactregistry.reader",
            member=access.of(account.email),
            opts=scope.own(),
        )
    return account


def _control_plane(
    scope: Scope, ground: Ground[GcpFoundation], nodes: gcp.serviceaccount.Account
) -> gcp.container.Cluster:
    choices, region = scope.settings.cluster, scope.settings.region
    allowed: Any = [
        {"cidr_block": str(cidr), "display_name": f"operators-{i}"}
        for i, cidr in enumerate(scope.settings.operators.cidrs)
    ]
    existing = scope.settings.network.existing
    return gcp.container.Cluster(
        scope.name("cluster"),
        # One zone in dev: Google's monthly credit pays the control plane of a zonal cluster.
        location=region if scope.settings.profile is Profile.PROD else f"{region}-b",
        min_master_version=choices.version,
        release_channel={"channel": "REGULAR"},
        network=ground.network.id,
        subnetwork=ground.network.nodes[0],
        networking_mode="VPC_NATIVE",
        datapath_provider="ADVANCED_DATAPATH",
        ip_allocation_policy={
            "cluster_secondary_range_name": existing.pod_range if existing else PODS,
            "services_secondary_range_name": existing.service_range if existing else SERVICES,
        },
        private_cluster_config={
            "enable_private_nodes": True,
            "enable_private_endpoint": not allowed,
            "master_ipv4_cidr_block": "172.16.0.0/28",
        },
        master_authorized_networks_config={"cidr_blocks": allowed},
        master_auth={"client_certificate_config": {"issue_client_certificate": False}},
        workload_identity_config={"workload_pool": f"{ground.foundation.project}.svc.id.goog"},
        database_encryption={"state": "ENCRYPTED", "key_name": ground.keys.data},
        enable_shielded_nodes=True,
        logging_config={"enable_components": _LOGS},
        monitoring_config={
            "enable_components": ["SYSTEM_COMPONENTS"],
            "managed_prometheus": {"enabled": True},
        },
        gateway_api_config={"channel": "CHANNEL_STANDARD"},
        cost_management_config={"enabled": True},
        security_posture_config={"mode": "BASIC", "vulnerability_mode": "VULNERABILITY_DISABLED"},
        # Google makes a first pool whatever one says; it is taken away again at once.
        remove_default_node_pool=True,
        initial_node_count=1,
        node_config={"service_account": nodes.email, "shielded_instance_config": _SHIELD},
        deletion_protection=scope.settings.is_protected,
        opts=scope.own(
            protect=True, depends_on=[*ground.keys.ready, *ground.network.ready], ignore_changes=["nodeConfig"]
        ),
    )


_SHIELD: Any = {"enable_secure_boot": True, "enable_integrity_monitoring": True}
_SPOT_TAINT, _GPU_TAINT = ("pointsman/spot", "true"), ("nvidia.com/gpu", "true")


def _pool(
    scope: Scope,
    ground: Ground[GcpFoundation],
    cluster: gcp.container.Cluster,
    nodes: gcp.serviceaccount.Account,
    label: str,
    *,
    low: int,
    high: int,
) -> None:
    gcp.container.NodePool(
        scope.name(f"pool-{label}"),
        name=label,
        cluster=cluster.id,
        initial_node_count=low,
        autoscaling={"min_node_count": low, "max_node_count": high, "location_policy": "ANY"},
        management={"auto_repair": True, "auto_upgrade": True},
        node_config={
            "service_account": nodes.email,
            "oauth_scopes": ["https://www.googleapis.com/auth/cloud-platform"],  # IAM decides, not scopes
            "disk_type": "pd-balanced",
            "disk_size_gb": 50,
            "boot_disk_kms_key": ground.keys.data,
            "shielded_instance_config": _SHIELD,
            "workload_metadata_config": {"mode": "GKE_METADATA"},
            "metadata": {"disable-legacy-endpoints": "true"},
            "resource_labels": scope.settings.required_tags,
            **_machine(scope, label),
        },
        opts=scope.own(ignore_changes=["initialNodeCount"]),
    )


def _machine(scope: Scope, label: str) -> Any:
    if label == "gpu":
        drivers = {"gpu_driver_version": "DEFAULT"}
        return {
            "machine_type": GPU_MACHINE,
            "spot": scope.settings.training.spot,
            "guest_accelerators": [{"type": GPU, "count": 1, "gpu_driver_installation_config": drivers}],
            "taints": [_no_schedule(_GPU_TAINT)],
        }
    spot = label == "workers" and scope.settings.cluster.spot
    return {
        "machine_type": MACHINE[scope.settings.cluster.machine],
        "spot": spot,
        "taints": [_no_schedule(_SPOT_TAINT)] if spot else [],
    }


def _no_schedule(taint: tuple[str, str]) -> Any:
    return {"key": taint[0], "value": taint[1], "effect": "NO_SCHEDULE"}
