"""Changes to a planned stack that one may want to price: each gives a new plan, as another configuration would."""

from collections.abc import Callable
from typing import Any

from infra.aws.endpoints import STEERING
from infra.offline.report import Resource, StackPlan

NATS = ("aws:ec2/natGateway:NatGateway", "azure-native:network:NatGateway", "gcp:compute/routerNat:RouterNat")


def edited(stack: StackPlan, edit: Callable[[Resource], Resource | None]) -> StackPlan:
    """The stack with each resource edited; None takes it out."""
    kept = [changed for resource in stack.resources if (changed := edit(resource)) is not None]
    return stack.model_copy(update={"resources": tuple(kept)})


def with_input(resource: Resource, value: Any, *path: str) -> Resource:
    """The resource with one input set, however deep."""
    return resource.model_copy(update={"inputs": _set(resource.inputs, value, path)})


def without_nat(stack: StackPlan) -> StackPlan:
    """AWS: what went out through NAT needs an interface endpoint each, as the network builds them without one."""
    rest = edited(stack, lambda r: None if r.type in NATS or _is_nat_address(r) else r)
    inside = [r for r in rest.resources if r.inputs.get("vpcEndpointType") == "Interface"]
    more = tuple(inside[0].model_copy(update={"urn": f"{inside[0].urn}-{name}"}) for name in STEERING if inside)
    return rest.model_copy(update={"resources": rest.resources + more})


def with_one_nat(stack: StackPlan) -> StackPlan:
    """The first gateway and its address stay."""
    return edited(stack, lambda r: None if (r.type in NATS or _is_nat_address(r)) and _is_a_further_one(r) else r)


def without_interface_endpoints(stack: StackPlan) -> StackPlan:
    """Gateway endpoints stay: they are free."""

    def edit(resource: Resource) -> Resource | None:
        is_interface = resource.inputs.get("vpcEndpointType") == "Interface"
        return None if is_interface or resource.type == "azure-native:network:PrivateEndpoint" else resource

    return edited(stack, edit)


def with_one_database(stack: StackPlan) -> StackPlan:
    """No standby: an outage of a zone becomes an outage of the platform until the database is restored elsewhere."""

    def edit(resource: Resource) -> Resource | None:
        match resource.type:
            case "aws:rds/clusterInstance:ClusterInstance":
                return None if _is_a_further_one(resource) else resource
            case "aws:rds/instance:Instance":
                return with_input(resource, False, "multiAz")
            case "azure-native:dbforpostgresql:Server":
                return with_input(resource, "Disabled", "highAvailability", "mode")
            case "gcp:sql/databaseInstance:DatabaseInstance":
                return with_input(resource, "ZONAL", "settings", "availabilityType")
        return resource

    return edited(stack, edit)


def on_demand(stack: StackPlan) -> StackPlan:
    """Every machine at the full price: what the bill becomes when there is no spot capacity."""

    def edit(resource: Resource) -> Resource:
        match resource.type:
            case "aws:autoscaling/group:Group":
                path = ("mixedInstancesPolicy", "instancesDistribution", "onDemandPercentageAboveBaseCapacity")
                return with_input(resource, 100, *path)
            case "azure-native:compute:VirtualMachineScaleSet":
                return with_input(resource, "Regular", "virtualMachineProfile", "priority")
            case "azure-native:containerservice:AgentPool":
                return with_input(resource, "Regular", "scaleSetPriority")
            case "gcp:compute/instanceTemplate:InstanceTemplate":
                return with_input(resource, "STANDARD", "scheduling", "provisioningModel")
            case "gcp:container/nodePool:NodePool":
                return with_input(resource, False, "nodeConfig", "spot")
        return resource

    return _pools_without_spot(edited(stack, edit))


def with_standard_bus(stack: StackPlan) -> StackPlan:
    """Service Bus Standard: no private endpoint, no key of one's own."""

    def edit(resource: Resource) -> Resource:
        if resource.type != "azure-native:servicebus:Namespace" or resource.inputs["sku"]["tier"] != "Premium":
            return resource
        return with_input(resource, {"name": "Standard", "tier": "Standard"}, "sku")

    return edited(stack, edit)


def with_30_days_of_logs(stack: StackPlan) -> StackPlan:
    def edit(resource: Resource) -> Resource:
        for name in ("retentionInDays", "retentionDays"):
            if isinstance(resource.inputs.get(name), int) and resource.capability != "database":
                return with_input(resource, min(resource.inputs[name], 30), name)
        return resource

    return edited(stack, edit)


def without_registry(stack: StackPlan) -> StackPlan:
    """Images from a registry that is there already."""
    return edited(stack, lambda r: None if r.capability == "registry" else r)


def without_models(stack: StackPlan) -> StackPlan:
    """The embedded model answers: nothing is asked of the cloud's."""
    if not _has_models(stack):
        return stack
    models = {**stack.contract["models"], "kind": "embedded", "deployments": []}
    return stack.model_copy(update={"contract": {**stack.contract, "models": models}})


def _has_models(stack: StackPlan) -> bool:
    return bool(stack.contract.get("models", {}).get("deployments"))


def _is_nat_address(resource: Resource) -> bool:
    is_address = resource.type in ("aws:ec2/eip:Eip", "azure-native:network:PublicIPAddress")
    return is_address and "-nat" in resource.name


def _is_a_further_one(resource: Resource) -> bool:
    """`...-1`, `...-2`: what there is once per zone or copy, after the first."""
    last = resource.name.rpartition("-")[2]
    return last.isdigit() and last != "0"


def _pools_without_spot(stack: StackPlan) -> StackPlan:
    """AWS: the pools are manifests of the contract."""
    cluster = stack.contract.get("cluster", {})
    manifests = [_without_spot(m) for m in cluster.get("manifests", ())]
    return stack.model_copy(update={"contract": {**stack.contract, "cluster": {**cluster, "manifests": manifests}}})


def _without_spot(manifest: dict[str, Any]) -> dict[str, Any]:
    path = ("spec", "template", "spec", "requirements")
    needs = manifest["spec"]["template"]["spec"]["requirements"]
    return _set(manifest, [{**need, "values": [v for v in need["values"] if v != "spot"]} for need in needs], path)


def _set(inputs: dict[str, Any], value: Any, path: tuple[str, ...]) -> dict[str, Any]:
    head, *rest = path
    return {**inputs, head: _set(inputs.get(head) or {}, value, tuple(rest)) if rest else value}
