"""
The two node pools of ours in EKS Auto Mode: spot for the workers, GPU for the trainer; both start from nothing.

They are objects in the cluster, whose API is private and was made in the same `up`: this program cannot reach it. The
contract hands them to the platform layer, which applies them before anything that is to run on them.
"""

from typing import Any

from infra.capabilities import Pool
from infra.settings import Settings

ARCH = "amd64"
_SPOT_TAINT, _GPU_TAINT = ("pointsman/spot", "true"), ("nvidia.com/gpu", "true")


def pools(settings: Settings) -> dict[str, Pool]:
    found = {"workers": Pool({"karpenter.sh/nodepool": "workers"}, [_SPOT_TAINT])}
    if settings.cluster.gpu:
        found["gpu"] = Pool({"karpenter.sh/nodepool": "gpu"}, [_GPU_TAINT])
    return found


def manifests(settings: Settings) -> list[dict[str, Any]]:
    wanted = [_object("workers", _workers(settings))]
    return [*wanted, _object("gpu", _gpu(settings))] if settings.cluster.gpu else wanted


def _object(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec}


def _workers(settings: Settings) -> dict[str, Any]:
    kinds = {"eks.amazonaws.com/instance-category": ["c", "m", "r"]}
    return _spec(kinds, spot=settings.cluster.spot, taint=_SPOT_TAINT, cpus_max=settings.cluster.nodes_max * 4)


def _gpu(settings: Settings) -> dict[str, Any]:
    kinds = {"eks.amazonaws.com/instance-family": ["g6", "g5"]}
    return _spec(kinds, spot=settings.training.spot, taint=_GPU_TAINT, cpus_max=8)


def _spec(kinds: dict[str, list[str]], *, spot: bool, taint: tuple[str, str], cpus_max: int) -> dict[str, Any]:
    capacity = ["spot", "on-demand"] if spot else ["on-demand"]
    asked = {"karpenter.sh/capacity-type": capacity, **kinds, "kubernetes.io/arch": [ARCH]}
    key, value = taint
    return {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"},
                "requirements": [{"key": k, "operator": "In", "values": values} for k, values in asked.items()],
                "taints": [{"key": key, "value": value, "effect": "NoSchedule"}],
                "expireAfter": "336h",
            }
        },
        "limits": {"cpu": str(cpus_max)},
        "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "60s"},
    }
