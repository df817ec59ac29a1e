"""Private endpoints: a service's address inside our network, and the DNS zone that makes its public name mean it."""

from typing import Any

from pulumi import CustomResource, Input
from pulumi_azure_native import network as net
from pulumi_azure_native import privatedns

from infra.azure.foundation import AzureFoundation
from infra.capabilities import Network, Scope
from infra.kinds import kinds
from services.core.kit.errors import ConfigurationInvalid


def endpoint(
    scope: Scope,
    foundation: AzureFoundation,
    network: Network,
    service: CustomResource,
    *,
    label: str,
) -> None:
    """
    Nothing when the profile goes without private endpoints. Part and zone are in the record of the service's type.

    Raises:
        ConfigurationInvalid: the record names none.
    """
    if not scope.settings.network.private_endpoints:
        return
    part, zone = link_of(service.pulumi_resource_type or "")
    existing = scope.settings.network.existing
    theirs = (existing.private_dns_zones or {}).get(zone) if existing else None
    dns: Input[str] = theirs or linked_zone(scope, foundation, network, label=label, zone=zone)[0].id
    name = scope.name(label)
    link: Any = {"name": label, "private_link_service_id": service.id, "group_ids": [part]}
    subnet = network.endpoints or network.data[0]
    private = net.PrivateEndpoint(
        name,
        resource_group_name=foundation.group,
        subnet={"id": subnet},
        private_link_service_connections=[link],
        opts=scope.own(),
    )
    net.PrivateDnsZoneGroup(
        name,
        resource_group_name=foundation.group,
        private_endpoint_name=private.name,
        private_dns_zone_configs=[{"name": label, "private_dns_zone_id": dns}],
        opts=scope.own(),
    )


def link_of(type_: str) -> tuple[str, str]:
    """(part, zone) of a type, by its record."""
    record = kinds("azure").services.get(type_)
    link = record.private.link if record else None
    if link is None or not link.part:
        raise ConfigurationInvalid(
            f"infra/kinds/azure.yaml: {type_}.private says nothing of `link`: which part of it does a private endpoint "
            "lead to, and which zone has its names? learn.microsoft.com/azure/private-link/private-endpoint-dns"
        )
    return link.part, link.zone


def linked_zone(
    scope: Scope, foundation: AzureFoundation, network: Network, *, label: str, zone: str
) -> tuple[privatedns.PrivateZone, privatedns.VirtualNetworkLink]:
    """The zone and its link; who needs names to resolve inside the network waits for the link."""
    dns = privatedns.PrivateZone(
        scope.name(label),
        resource_group_name=foundation.group,
        private_zone_name=zone,
        location="Global",
        opts=scope.own(),
    )
    link = privatedns.VirtualNetworkLink(
        scope.name(label),
        resource_group_name=foundation.group,
        private_zone_name=dns.name,
        location="Global",
        registration_enabled=False,
        virtual_network={"id": network.id},
        opts=scope.own(),
    )
    return dns, link


def closed(scope: Scope, network: Network, *, subnet: str = "id", address: str = "value") -> dict:
    """
    Network rules of a service: the operators' networks; without private endpoints our node subnets; and nobody else.

    Args:
        subnet, address: what the service calls a subnet's id and a range; storage has words of its own.
    """
    near = () if scope.settings.network.private_endpoints else network.nodes
    return {
        "default_action": "Deny",
        "bypass": "AzureServices",
        "virtual_network_rules": [{subnet: id_} for id_ in near],
        "ip_rules": [{address: text} for text in admitted(scope)],
    }


def admitted(scope: Scope) -> list[str]:
    """The operators' networks in words all of Azure takes: storage refuses a range of one address, or two."""
    ranges = scope.settings.operators.cidrs
    return [str(a) for cidr in ranges for a in (cidr if cidr.prefixlen >= 31 else [cidr])]


def public_access(scope: Scope) -> str:
    """Without any way in over the public name it is switched off; with one, `closed` says whose."""
    wanted = scope.settings.operators.cidrs or not scope.settings.network.private_endpoints
    return "Enabled" if wanted else "Disabled"
