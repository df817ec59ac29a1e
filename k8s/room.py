"""What pods ask for, what machines have for them, and what is left: how many machines a stack needs at least."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from infra.contract import Contract
from k8s.platform.charts import charts
from k8s.platform.objects import ENVOY_MEMORY_MIB
from k8s.workloads.containers import SERVING, Container
from k8s.workloads.objects import REPLICAS

# vCPUs and GiB, as the vendors' pages of machine types have them (2026-11-22).
MACHINES: dict[str, tuple[int, int]] = {
    "t4g.medium": (2, 4),
    "m7g.large": (2, 8),
    "m7g.xlarge": (4, 16),
    "m7i-flex.large": (2, 8),
    "m7i-flex.xlarge": (4, 16),
    "Standard_B2als_v2": (2, 4),
    "Standard_D2s_v5": (2, 8),
    "Standard_D2ds_v5": (2, 8),
    "Standard_D4ds_v5": (4, 16),
    "Standard_D8ds_v5": (8, 32),
    "e2-medium": (2, 4),
    "n2d-standard-2": (2, 8),
    "n2d-standard-4": (4, 16),
    "n2d-standard-8": (8, 32),
}
CHART_CPU_M = 10  # of each chart that names no processor of its own
K3S_MIB = 800  # its server beside a workload: docs.k3s.io/reference/resource-profiling, without the tested workload
K3S_RESERVED_MIB = 406  # infra/node/boot.sh: the system's, and where eviction begins


@dataclass(frozen=True)
class Room:
    cpu_m: int
    memory_mib: int

    def __add__(self, other: "Room") -> "Room":
        return Room(self.cpu_m + other.cpu_m, self.memory_mib + other.memory_mib)

    def times(self, count: int) -> "Room":
        return Room(self.cpu_m * count, self.memory_mib * count)

    def less(self, other: "Room") -> "Room":
        return Room(self.cpu_m - other.cpu_m, self.memory_mib - other.memory_mib)


NOTHING = Room(0, 0)


def asked(contract: Contract, serving: Sequence[Container] = SERVING) -> dict[str, Room]:
    """Requests of all that runs when no ticket comes, a row per container and chart; jobs come and go."""
    is_small = contract.is_small
    rows: dict[str, Room] = {}
    for one in serving:
        count = 1 if is_small else REPLICAS[one.name][0]
        rows[one.name if count == 1 else f"{one.name} x{count}"] = Room(one.needs.cpu_m, one.needs.memory_mib).times(
            count
        )
    rows |= {chart.name: Room(CHART_CPU_M, chart.memory_mib) for chart in charts(contract) if chart.memory_mib}
    if "envoy" in rows:
        rows["envoy's proxy"] = Room(50, ENVOY_MEMORY_MIB).times(1 if is_small else 2)
    return rows


def together(rows: Mapping[str, Room]) -> Room:
    return sum(rows.values(), NOTHING)


def usable(machine: str, *, is_small: bool) -> Room:
    """
    What pods of ours may ask of one machine.

    Source: GKE keeps a quarter of the first 4 GiB, a fifth of the next 4, a tenth of the next 8, 6 % above and 100 MiB
    (cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes, 2026-11-22); EKS and AKS keep less.
    """
    cpus, memory_gib = MACHINES[machine]
    if is_small:
        return Room(cpus * 1000, memory_gib * 1024 - K3S_RESERVED_MIB - K3S_MIB)
    steps = ((4, 0.25), (4, 0.2), (8, 0.1), (112, 0.06))
    kept, rest = 0.0, float(memory_gib)
    for size, share in steps:
        kept, rest = kept + min(rest, size) * share, max(rest - size, 0.0)
    return Room(cpus * 940, int((memory_gib - kept) * 1024) - 100)


def nodes(wanted: Room, machine: str, *, is_small: bool) -> int:
    """Machines that hold `wanted`; pods are small against a machine, so their edges cost little."""
    one = usable(machine, is_small=is_small)
    return max(1, ceil(wanted.memory_mib / one.memory_mib), ceil(wanted.cpu_m / one.cpu_m))


def needed(contract: Contract, machine: str, rows: Mapping[str, Room] | None = None) -> int:
    """
    Machines for what always runs: as many as hold it; on EKS as the copies of one container stand apart on, too.

    Karpenter, which Auto Mode runs, keeps a preferred spread as long as it can get machines
    (karpenter.sh/docs/concepts/scheduling, 2026-11-22); the autoscalers of AKS and GKE start none for a preference.
    `small` is one machine, whether it fits or not.
    """
    if contract.is_small:
        return 1
    apart = max(least for least, _ in REPLICAS.values()) if contract.cluster.kind == "eks" else 1
    return max(apart, nodes(together(rows or asked(contract)), machine, is_small=False))
