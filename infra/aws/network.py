"""
A VPC in three tiers: edge (public), nodes (private, out through NAT), data (no way out at all).

`small` has no NAT: its one node stands in the edge tier with ingress closed but for HTTP(S), and is its own way out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi_aws as aws
from pulumi import Output, Resource

from infra.aws.endpoints import reached_inside
from infra.aws.foundation import AwsFoundation
from infra.capabilities import Network, Scope


@dataclass(frozen=True)
class Routes:
    """Route tables, and what must stand before traffic takes them."""

    tables: list[aws.ec2.RouteTable]
    ways: list[Resource]


_TIER_START = {"nodes": 0, "data": 4, "edge": 8}  # of the sixteen /20 blocks in a /16


def build(scope: Scope, foundation: AwsFoundation) -> Network:
    if existing := scope.settings.network.existing:
        return Network(existing.id, existing.node_subnet_ids, existing.data_subnet_ids, existing.edge_subnet_ids)
    vpc = _vpc(scope)
    zones = scope.settings.network.zones
    tiers = {
        "nodes": _tier(scope, foundation, vpc, "nodes", zones),
        "data": _tier(scope, foundation, vpc, "data", max(zones, 2)),  # a database subnet group spans two zones
        "edge": _tier(scope, foundation, vpc, "edge", zones),
    }
    gateway = aws.ec2.InternetGateway(scope.name("internet"), vpc_id=vpc.id, opts=scope.own())
    edge = _edge_routes(scope, vpc, tiers["edge"], gateway)
    nodes = _node_routes(scope, vpc, tiers, gateway)
    _endpoints(scope, vpc, tiers["nodes"], [*edge.tables, *nodes.tables])
    ids = {name: [s.id for s in subnets] for name, subnets in tiers.items()}
    home = ids["edge"] if scope.settings.is_small else ids["nodes"]
    return Network(vpc.id, home, ids["data"], ids["edge"], ready=[gateway, *edge.ways, *nodes.ways])


def _vpc(scope: Scope) -> aws.ec2.Vpc:
    vpc = aws.ec2.Vpc(
        scope.name("network"),
        cidr_block=str(scope.settings.network.cidr),
        enable_dns_hostnames=True,
        enable_dns_support=True,
        opts=scope.own(),
    )
    # Adopting the default group with no rules closes it: nothing may rely on it by accident.
    aws.ec2.DefaultSecurityGroup(scope.name("closed"), vpc_id=vpc.id, ingress=[], egress=[], opts=scope.own())
    return vpc


def _tier(scope: Scope, foundation: AwsFoundation, vpc: aws.ec2.Vpc, tier: str, zones: int) -> list[aws.ec2.Subnet]:
    blocks = _blocks(scope.settings.network.cidr)
    return [
        aws.ec2.Subnet(
            scope.name(f"{tier}-{i}"),
            vpc_id=vpc.id,
            cidr_block=blocks[_TIER_START[tier] + i],
            availability_zone_id=foundation.zones[i],
            map_public_ip_on_launch=False,
            tags={"tier": tier},
            opts=scope.own(),
        )
        for i in range(zones)
    ]


def _blocks(cidr: IPv4Network) -> list[str]:
    return [str(block) for block in cidr.subnets(prefixlen_diff=4)]


def _edge_routes(
    scope: Scope, vpc: aws.ec2.Vpc, subnets: Sequence[aws.ec2.Subnet], gateway: aws.ec2.InternetGateway
) -> Routes:
    table = aws.ec2.RouteTable(scope.name("edge"), vpc_id=vpc.id, opts=scope.own())
    out = aws.ec2.Route(
        scope.name("edge-out"),
        route_table_id=table.id,
        destination_cidr_block="0.0.0.0/0",
        gateway_id=gateway.id,
        opts=scope.own(),
    )
    return Routes([table], [out, *_associate(scope, "edge", subnets, [table])])


def _node_routes(
    scope: Scope, vpc: aws.ec2.Vpc, tiers: dict[str, list[aws.ec2.Subnet]], gateway: aws.ec2.InternetGateway
) -> Routes:
    count = {"none": 0, "single": 1, "per-zone": len(tiers["nodes"])}[scope.settings.network.nat]
    gateways = [_nat(scope, i, tiers["edge"][i], gateway) for i in range(count)]
    tables: list[aws.ec2.RouteTable] = []
    ways: list[Resource] = []
    for i in range(max(count, 1)):
        table = aws.ec2.RouteTable(scope.name(f"nodes-{i}"), vpc_id=vpc.id, opts=scope.own())
        tables.append(table)
        if gateways:
            ways.append(_out(scope, f"nodes-out-{i}", table, gateways[i]))
    return Routes(tables, [*ways, *_associate(scope, "nodes", tiers["nodes"], tables)])


def _out(scope: Scope, label: str, table: aws.ec2.RouteTable, through: aws.ec2.NatGateway) -> aws.ec2.Route:
    return aws.ec2.Route(
        scope.name(label),
        route_table_id=table.id,
        destination_cidr_block="0.0.0.0/0",
        nat_gateway_id=through.id,
        opts=scope.own(),
    )


def _nat(scope: Scope, i: int, subnet: aws.ec2.Subnet, internet: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
    address = aws.ec2.Eip(scope.name(f"nat-{i}"), domain="vpc", opts=scope.own())
    return aws.ec2.NatGateway(
        scope.name(f"nat-{i}"),
        allocation_id=address.id,
        subnet_id=subnet.id,
        opts=scope.own(depends_on=[internet]),
    )


def _associate(
    scope: Scope, tier: str, subnets: Sequence[aws.ec2.Subnet], tables: Sequence[aws.ec2.RouteTable]
) -> list[Resource]:
    return [
        aws.ec2.RouteTableAssociation(
            scope.name(f"{tier}-{i}"),
            subnet_id=subnet.id,
            route_table_id=tables[i % len(tables)].id,
            opts=scope.own(),
        )
        for i, subnet in enumerate(subnets)
    ]


def _endpoints(
    scope: Scope, vpc: aws.ec2.Vpc, subnets: Sequence[aws.ec2.Subnet], tables: Sequence[aws.ec2.RouteTable]
) -> None:
    service = f"com.amazonaws.{scope.settings.region}"
    aws.ec2.VpcEndpoint(
        scope.name("s3"),
        vpc_id=vpc.id,
        service_name=f"{service}.s3",
        vpc_endpoint_type="Gateway",  # free of charge, so every profile has it
        route_table_ids=[t.id for t in tables],
        opts=scope.own(),
    )
    if not scope.settings.network.private_endpoints:
        return
    group = _endpoint_group(scope, vpc)
    for name in reached_inside(scope.settings.network):
        aws.ec2.VpcEndpoint(
            scope.name(name.replace(".", "-")),
            vpc_id=vpc.id,
            service_name=f"{service}.{name}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[s.id for s in subnets],
            security_group_ids=[group.id],
            opts=scope.own(),
        )


def _endpoint_group(scope: Scope, vpc: aws.ec2.Vpc) -> aws.ec2.SecurityGroup:
    group = aws.ec2.SecurityGroup(
        scope.name("endpoints"), vpc_id=vpc.id, description="TLS from our own network", opts=scope.own()
    )
    aws.vpc.SecurityGroupIngressRule(
        scope.name("endpoints-tls"),
        security_group_id=group.id,
        cidr_ipv4=Output.from_input(vpc.cidr_block),
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        opts=scope.own(),
    )
    return group
