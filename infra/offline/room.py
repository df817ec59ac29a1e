"""Machines of a planned stack against what is asked of them."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from infra.contract import Contract
from infra.offline.report import Nodes, Resource, StackPlan
from k8s.room import MACHINES, NOTHING, Room, asked, needed, together, usable
from services.core.kit.errors import ConfigurationInvalid

AUTO_MODE = {True: "m7i-flex.xlarge", False: "m7i-flex.large"}  # of prod, of others: 4 vCPU as the other clouds' pools


def always_on(stack: StackPlan, spare: Room = NOTHING) -> tuple[str, int]:
    """
    Machine and number of what is there before a ticket comes: `pointsman plan` shows it, `pointsman cost` prices it.

    Args:
        spare: what a company runs beside.
    """
    contract = _promised(stack)
    machine, planned = MACHINES_OF[contract.cluster.kind](stack)
    return machine, max(planned, needed(contract, machine, asked(contract) | {"beside": spare}))


def _promised(stack: StackPlan) -> Contract:
    try:
        return Contract.model_validate(stack.contract)
    except ValidationError as exc:
        facts = "; ".join(f"contract.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigurationInvalid(f"No machine can be priced without a contract. {facts}") from exc


def nodes_of(stack: StackPlan) -> list[Nodes]:
    """One row: the machines that are always there, or as many as the requests need where the plan names none."""
    contract = Contract.model_validate(stack.contract)
    is_small = contract.is_small
    wanted = together(asked(contract))
    machine, count = always_on(stack)
    planned = MACHINES_OF[contract.cluster.kind](stack)[1]
    have = usable(machine, is_small=is_small).times(count)
    return [
        Nodes(
            cloud=stack.cloud,
            machine=machine,
            count=count,
            is_planned=planned == count,
            have_cpu_m=have.cpu_m,
            have_mib=have.memory_mib,
            asked_cpu_m=wanted.cpu_m,
            asked_mib=wanted.memory_mib,
            rows={name: room.memory_mib for name, room in asked(contract).items()},
        )
    ]


def _eks(stack: StackPlan) -> tuple[str, int]:
    return AUTO_MODE[stack.profile == "prod"], 0


def _aks(stack: StackPlan) -> tuple[str, int]:
    (cluster,) = _of(stack, "azure-native:containerservice:ManagedCluster")
    (system,) = cluster.inputs["agentPoolProfiles"]
    return system["vmSize"], int(system.get("minCount", system.get("count", 1)))


def _gke(stack: StackPlan) -> tuple[str, int]:
    (cluster,) = _of(stack, "gcp:container/cluster:Cluster")
    (system,) = (r for r in _of(stack, "gcp:container/nodePool:NodePool") if r.inputs["name"] == "system")
    zones = 1 if cluster.inputs["location"].count("-") == 2 else 3  # a region's cluster has three
    return system.inputs["nodeConfig"]["machineType"], zones * int(system.inputs["autoscaling"]["minNodeCount"])


def _k3s(stack: StackPlan) -> tuple[str, int]:
    return _machine_of(stack), 1


def _machine_of(stack: StackPlan) -> str:
    """The first size in the one machine's template; models and vaults have sizes of their own."""
    sizes = [size for r in stack.resources for size in _sizes(r.inputs)]
    found = next((size for size in sizes if size in MACHINES), None)
    if found is None:
        raise ConfigurationInvalid(f"No machine among {sizes} is known. Add its room to MACHINES in k8s/room.py.")
    return found


def _sizes(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value[key] for key in ("instanceType", "machineType") if isinstance(value.get(key), str)]
        sku = value.get("sku")
        own += [sku["name"]] if isinstance(sku, dict) and "capacity" in sku else []
        return own + [size for one in value.values() for size in _sizes(one)]
    return [size for one in value for size in _sizes(one)] if isinstance(value, list) else []


def _of(stack: StackPlan, type_: str) -> list[Resource]:
    return [r for r in stack.resources if r.type == type_]


MACHINES_OF: dict[str, Callable[[StackPlan], tuple[str, int]]] = {"eks": _eks, "aks": _aks, "gke": _gke, "k3s": _k3s}
