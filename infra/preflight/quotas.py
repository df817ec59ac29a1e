"""
How much of each limited thing a stack takes, under the exact names of each cloud's quota page.

Counted from the settings: nodes at their maximum, and one more of each for a rolling upgrade.
"""

from dataclasses import dataclass

from infra.aws.endpoints import reached_inside
from infra.settings import Cloud, Settings, Size

VCPUS = {Size.SMALL: 2, Size.MEDIUM: 4, Size.LARGE: 8}
NODE_VCPUS = {4: 2, 8: 2, 16: 4}  # by GiB of the one machine
GPU_VCPUS = 4  # g6.xlarge, Standard_NC4as_T4_v3 and g2-standard-4 all have four


@dataclass(frozen=True)
class Quota:
    """
    `code` is what the cloud's interface calls it; `name` what its console shows. `scope` groups the codes, `of` is the
    capability that takes it.
    """

    name: str
    code: str
    needed: float
    scope: str = ""
    of: str = "cluster"


def quotas(settings: Settings) -> list[Quota]:
    return [quota for quota in TABLES[settings.cloud](settings) if quota.needed > 0]


def _vcpus(settings: Settings) -> tuple[int, int]:
    """(on demand, spot) at the maximum."""
    if settings.is_small:
        node = NODE_VCPUS[settings.cluster.node_gib]
        return (0, node) if settings.cluster.spot else (node, 0)
    size = VCPUS[settings.cluster.machine]
    system, workers = (settings.network.zones + 1) * size, (settings.cluster.nodes_max + 1) * size
    return (system, workers) if settings.cluster.spot else (system + workers, 0)


def _gpus(settings: Settings) -> tuple[int, int]:
    """vCPUs of GPU machines (on demand, spot); the upper bound is one machine of each."""
    if settings.is_small or not settings.cluster.gpu:
        return 0, 0
    return (GPU_VCPUS, GPU_VCPUS) if settings.training.spot else (GPU_VCPUS, 0)


def _aws(settings: Settings) -> list[Quota]:
    on_demand, spot = _vcpus(settings)
    gpu, gpu_spot = _gpus(settings)
    nat = {"none": 0, "single": 1, "per-zone": settings.network.zones}[settings.network.nat]
    standard = "Standard (A, C, D, H, I, M, R, T, Z)"
    return [
        Quota(f"Running On-Demand {standard} instances", "L-1216C47A", on_demand, "ec2"),
        Quota(f"All {standard} Spot Instance Requests", "L-34B43A08", spot, "ec2"),
        Quota("Running On-Demand G and VT instances", "L-DB2E81BA", gpu, "ec2"),
        Quota("All G and VT Spot Instance Requests", "L-3819A6DF", gpu_spot, "ec2"),
        Quota("EC2-VPC Elastic IPs", "L-0263D0A3", nat or 1, "ec2", "network"),
        Quota("VPCs per Region", "L-F678F1CE", 1, "vpc", "network"),
        Quota("NAT gateways per Availability Zone", "L-FE5A380F", min(nat, 1), "vpc", "network"),
        Quota(
            "Interface VPC endpoints per VPC",
            "L-29B6F2EB",
            len(reached_inside(settings.network)),
            "vpc",
            "network",
        ),
        Quota("DB instances", "L-7B6409FD", 1, "rds", "database"),
        Quota("Clusters", "L-1194D53C", 0 if settings.is_small else 1, "eks"),
    ]


def _azure(settings: Settings) -> list[Quota]:
    on_demand, spot = _vcpus(settings)
    gpu, gpu_spot = _gpus(settings)
    family = _AZURE_FAMILY[settings.cluster.node_gib] if settings.is_small else "DDSv5"
    return [
        Quota("Total Regional vCPUs", "cores", on_demand + gpu, "compute"),
        Quota(f"Standard {family} Family vCPUs", f"standard{family}Family", on_demand, "compute"),
        Quota("Total Regional Spot vCPUs", "lowPriorityCores", spot + gpu_spot, "compute"),
        Quota("Standard NCASv3_T4 Family vCPUs", "Standard NCASv3_T4 Family", gpu, "compute"),
        Quota("Public IPv4 Addresses - Standard", "IPv4StandardSkuPublicIpAddresses", 2, "network", "network"),
        *(
            Quota(f"Tokens per minute (thousands), {model}", f"OpenAI.GlobalStandard.{model}", tokens, "ai", "models")
            for model, tokens in _azure_models(settings)
        ),
    ]


_AZURE_FAMILY = {4: "Basv2", 8: "DSv5", 16: "DDSv5"}


def _azure_models(settings: Settings) -> list[tuple[str, int]]:
    return [(name.partition("@")[0], settings.models.capacity_ktpm) for name in settings.models.names]


def _gcp(settings: Settings) -> list[Quota]:
    on_demand, spot = _vcpus(settings)
    gpus = 0 if settings.is_small or not settings.cluster.gpu else 1
    disks = 30 if settings.is_small else 50 * (settings.cluster.nodes_max + settings.network.zones + 2)
    spot_gpus = gpus if settings.training.spot else 0
    is_e2 = settings.is_small and settings.cluster.node_gib == 4  # counted with everything that has no family
    cpus = ("CPUs", "CPUS") if is_e2 else ("N2D CPUs", "N2D_CPUS")
    return [
        Quota(*cpus, on_demand, "region"),
        Quota("Preemptible CPUs", "PREEMPTIBLE_CPUS", spot + 4 * spot_gpus, "region"),
        Quota("NVIDIA L4 GPUs", "NVIDIA_L4_GPUS", gpus - spot_gpus, "region"),
        Quota("Preemptible NVIDIA L4 GPUs", "PREEMPTIBLE_NVIDIA_L4_GPUS", spot_gpus, "region"),
        Quota("GPUs (all regions)", "GPUS_ALL_REGIONS", gpus, "project"),
        Quota("Persistent disk SSD (GB)", "SSD_TOTAL_GB", disks, "region"),
        Quota("In-use regional external IPv4 addresses", "IN_USE_ADDRESSES", 1, "region", "network"),
        Quota("VPC networks", "NETWORKS", 1, "project", "network"),
    ]


TABLES = {Cloud.AWS: _aws, Cloud.AZURE: _azure, Cloud.GCP: _gcp}
