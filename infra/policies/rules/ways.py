"""NET-009: a private way in is three things (an address in our network, a service, a name), and half of one is none."""

from collections.abc import Callable, Iterator

from infra.kinds import Link, kinds
from infra.offline.report import Resource
from infra.policies.rules.base import Breach, Stack, dig, is_set, is_true, must, rule

_ENDPOINT, _NAMES = "azure-native:network:PrivateEndpoint", "azure-native:network:PrivateDnsZoneGroup"
_ZONE, _LINK = "azure-native:privatedns:PrivateZone", "azure-native:privatedns:VirtualNetworkLink"
_SUBNET = "azure-native:network:Subnet"
_GOOGLE_ZONE, _RECORD = "gcp:dns/managedZone:ManagedZone", "gcp:dns/recordSet:RecordSet"


@rule("NET-009", "a private way in has an address in our network, a service and a name")
def ways_lead_somewhere(stack: Stack) -> Iterator[Breach]:
    yield from _WAYS[stack.cloud](stack)


def _aws(stack: Stack) -> Iterator[Breach]:
    endpoints = stack.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    inside = [r for r in endpoints if r.inputs.get("vpcEndpointType") == "Interface"]
    yield from must(inside, "privateDnsEnabled", is_true, "Its name would still mean the public address")
    yield from must(inside, "subnetIds", is_set, "Stands in no subnet")
    yield from must([r for r in endpoints if r not in inside], "routeTableIds", is_set, "No route leads there")


def _azure(stack: Stack) -> Iterator[Breach]:
    endpoints, connection = stack.of(_ENDPOINT), "privateLinkServiceConnections.0"
    yield from must(endpoints, "subnet.id", is_set, "Stands in no subnet")
    yield from must(endpoints, f"{connection}.privateLinkServiceId", is_set, "Leads to no service")
    yield from must(endpoints, f"{connection}.groupIds", is_set, "Leads to no part of the service")
    yield from _without(stack, endpoints, _NAMES, "privateDnsZoneConfigs.0.privateDnsZoneId", "has no name inside")
    yield from must(stack.of(_ZONE), "privateZoneName", is_set, "A zone of a made-up name means no service")
    yield from _without(stack, stack.of(_ZONE), _LINK, "virtualNetwork.id", "is known to no network of ours")
    yield from _subnets(stack)
    for type_, record in kinds("azure").services.items():
        if link := record.private.link:
            for service in stack.of(type_):
                yield from _named_otherwise(stack, service, link)


# Whose servers stand in a subnet of their own, if in one at all.
_GUESTS = ("azure-native:containerservice:ManagedCluster", "azure-native:dbforpostgresql:Server")


def _subnets(stack: Stack) -> Iterator[Breach]:
    """One that is lent to a service takes nobody else's, and a service with servers in our network needs one."""
    lent = {r.urn: str(dig(r.inputs, "delegations.0.serviceName") or "") for r in stack.of(_SUBNET)}
    for door in stack.of(_ENDPOINT):
        if any(lent.get(urn) for urn in door.depends_on):
            yield door.urn, "Stands in a subnet that is lent to another service; Azure refuses it"
    for r in stack.of(*_GUESTS) if lent else ():
        provider = kinds("azure").api_of(r.type)
        if not any(lent.get(urn, "").startswith(f"{provider}/") for urn in r.depends_on):
            yield r.urn, f"None of its subnets is lent to {provider} (delegations): Azure refuses it"


def _named_otherwise(stack: Stack, service: Resource, link: Link) -> Iterator[Breach]:
    """In a zone of another service its name would go on to mean its public address, which is shut."""
    doors = [r for r in stack.of(_ENDPOINT) if service.urn in r.depends_on]
    for door in doors if link.part else ():
        parts = dig(door.inputs, "privateLinkServiceConnections.0.groupIds")
        if parts and link.part not in parts:
            yield door.urn, f"Leads to {parts}; {link.part} is what infra/kinds/azure.yaml says of {service.type}"
    naming = [r for r in stack.of(_NAMES) for door in doors if door.urn in r.depends_on]
    for zone in (zone for r in (service, *naming) for zone in _zones(stack, r)):
        if not f".{zone}".endswith(f".{link.zone}"):
            yield service.urn, f"Its private name lies in {zone}; {link.zone} is its zone (infra/kinds/azure.yaml)"


def _zones(stack: Stack, resource: Resource) -> list[str]:
    """Ours, or the company's by the last word of its id."""
    ours = [r.inputs.get("privateZoneName") for r in stack.of(_ZONE) if r.urn in resource.depends_on]
    theirs = str(dig(resource.inputs, "privateDnsZoneConfigs.0.privateDnsZoneId") or "")
    return [str(name) for name in ours if name] or [theirs.rpartition("/")[2]] * ("/privateDnsZones/" in theirs)


def _gcp(stack: Stack) -> Iterator[Breach]:
    zones = [r for r in stack.of(_GOOGLE_ZONE) if r.inputs.get("visibility") == "private"]
    nobody = "is known to no network of ours"
    yield from must(zones, "privateVisibilityConfig.networks.0.networkUrl", is_set, f"The zone {nobody}")
    yield from _without(stack, zones, _RECORD, "rrdatas", "names nothing")
    ways = stack.of("gcp:compute/globalForwardingRule:GlobalForwardingRule")
    for path in ("network", "ipAddress"):
        yield from must(ways, path, is_set, "Leads from nowhere")


def _without(stack: Stack, those: list[Resource], beside: str, path: str, what: str) -> Iterator[Breach]:
    """Each of `those` that no `beside` with something at `path` belongs to."""
    said = {urn for r in stack.of(beside) if dig(r.inputs, path) for urn in r.depends_on}
    yield from (
        (r.urn, f"It {what}: no {beside.split(':')[-1]} with {path} belongs to it") for r in those if r.urn not in said
    )


_WAYS: dict[str, Callable[[Stack], Iterator[Breach]]] = {"aws": _aws, "azure": _azure, "gcp": _gcp}
