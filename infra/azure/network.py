"""
A virtual network in four subnets: nodes (out through NAT), data and api (delegated), endpoints.

`small` has no NAT: its one node has an address of its own and a security group that lets HTTP(S) in and nothing else.
"""

from typing import Any

from pulumi import Resource
from pulumi_azure_native import network as net

from infra.azure.foundation import AzureFoundation
from infra.capabilities import Network, Scope

_DATABASES = ("data", "Microsoft.DBforPostgreSQL/flexibleServers")
_API_SERVER = ("api", "Microsoft.ContainerService/managedClusters")
_SERVICES = ("Microsoft.CognitiveServices", "Microsoft.KeyVault", "Microsoft.Storage")


def build(scope: Scope, foundation: AzureFoundation) -> Network:
    if existing := scope.settings.network.existing:
        return Network(
            existing.id,
            existing.node_subnet_ids,
            existing.data_subnet_ids,
            endpoints=existing.endpoint_subnet_id,
            api=existing.api_subnet_id,
        )
    vnet = net.VirtualNetwork(
        scope.name("network"),
        resource_group_name=foundation.group,
        address_space={"address_prefixes": [str(scope.settings.network.cidr)]},
        opts=scope.own(),
    )
    firewall = _firewall(scope, foundation)
    blocks = [str(block) for block in scope.settings.network.cidr.subnets(prefixlen_diff=4)]
    # One after the other: Azure locks the network while it changes a subnet.
    nodes = _nodes(scope, foundation, vnet, firewall, blocks[0])
    data = _delegated(scope, foundation, vnet, _DATABASES, blocks[4], nodes)
    endpoints = _plain(scope, foundation, vnet, blocks[8], data)
    api = _delegated(scope, foundation, vnet, _API_SERVER, blocks[12], endpoints)
    return Network(vnet.id, [nodes.id], [data.id], endpoints=endpoints.id, api=api.id)


def _firewall(scope: Scope, foundation: AzureFoundation) -> net.NetworkSecurityGroup:
    """
    HTTP(S) comes from Front Door, or in `small` from anywhere; all else stays inside (Azure's default rules).

    The service tag is every customer's Front Door: the Gateway's route tells ours by `edge.front_door_id`.
    """
    source = "Internet" if scope.settings.is_small else "AzureFrontDoor.Backend"
    rule: Any = {
        "name": "web",
        "priority": 100,
        "direction": net.SecurityRuleDirection.INBOUND,
        "access": net.SecurityRuleAccess.ALLOW,
        "protocol": net.SecurityRuleProtocol.TCP,
        "source_address_prefix": source,
        "source_port_range": "*",
        "destination_address_prefix": "*",
        "destination_port_ranges": ["80", "443"],
    }
    return net.NetworkSecurityGroup(
        scope.name("nodes"), resource_group_name=foundation.group, security_rules=[rule], opts=scope.own()
    )


def _nodes(
    scope: Scope,
    foundation: AzureFoundation,
    vnet: net.VirtualNetwork,
    firewall: net.NetworkSecurityGroup,
    block: str,
) -> net.Subnet:
    gateway = _nat(scope, foundation) if scope.settings.network.nat != "none" else None
    return net.Subnet(
        scope.name("nodes"),
        resource_group_name=foundation.group,
        virtual_network_name=vnet.name,
        subnet_name="nodes",
        address_prefix=block,
        default_outbound_access=False,
        network_security_group={"id": firewall.id},
        nat_gateway={"id": gateway.id} if gateway else None,
        service_endpoints=[{"service": name} for name in _SERVICES],
        opts=scope.own(),
    )


def _nat(scope: Scope, foundation: AzureFoundation) -> net.NatGateway:
    """One gateway serves every zone of a subnet; Azure keeps it in one zone, which a node outlives by retrying."""
    address = net.PublicIPAddress(
        scope.name("nat"),
        resource_group_name=foundation.group,
        sku={"name": net.PublicIPAddressSkuName.STANDARD},
        public_ip_allocation_method=net.IPAllocationMethod.STATIC,
        opts=scope.own(),
    )
    return net.NatGateway(
        scope.name("nat"),
        resource_group_name=foundation.group,
        sku={"name": net.NatGatewaySkuName.STANDARD},
        idle_timeout_in_minutes=10,
        public_ip_addresses=[{"id": address.id}],
        opts=scope.own(),
    )


def _delegated(
    scope: Scope,
    foundation: AzureFoundation,
    vnet: net.VirtualNetwork,
    purpose: tuple[str, str],
    block: str,
    after: Resource,
) -> net.Subnet:
    """A subnet that belongs to one Azure service; `purpose` is our name for it and that service's."""
    name, service = purpose
    return net.Subnet(
        scope.name(name),
        resource_group_name=foundation.group,
        virtual_network_name=vnet.name,
        subnet_name=name,
        address_prefix=block,
        default_outbound_access=False,
        delegations=[{"name": name, "service_name": service}],
        opts=scope.own(depends_on=[after]),
    )


def _plain(
    scope: Scope, foundation: AzureFoundation, vnet: net.VirtualNetwork, block: str, after: Resource
) -> net.Subnet:
    return net.Subnet(
        scope.name("endpoints"),
        resource_group_name=foundation.group,
        virtual_network_name=vnet.name,
        subnet_name="endpoints",
        address_prefix=block,
        default_outbound_access=False,
        private_endpoint_network_policies=net.VirtualNetworkPrivateEndpointNetworkPolicies.ENABLED,
        opts=scope.own(depends_on=[after]),
    )
