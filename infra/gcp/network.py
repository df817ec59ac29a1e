"""
A VPC with one regional subnet; managed services are reached by private peering and Google's APIs by a private address.

`small` has no NAT: its one node has an address of its own, and a firewall that lets HTTP(S) in and nothing else.
"""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Resource

from infra.capabilities import Network, Scope
from infra.gcp.foundation import GcpFoundation

PODS, SERVICES = "pods", "services"
EDGE_TAG = "edge"
_IAP = "35.235.240.0/20"  # where Google's identity-aware tunnel comes from: https://cloud.google.com/iap/docs (2026-11)
_GOOGLE_APIS_IP = "10.255.255.254"  # outside every subnet of ours, as a private-service-connect address must be


def build(scope: Scope, foundation: GcpFoundation) -> Network:
    if existing := scope.settings.network.existing:
        return Network(existing.id, existing.node_subnet_ids, existing.data_subnet_ids)
    vpc = gcp.compute.Network(
        scope.name("network"),
        auto_create_subnetworks=False,
        routing_mode="REGIONAL",
        opts=scope.own(),
    )
    nodes = _nodes(scope, vpc)
    ready = [_peering(scope, vpc)]
    if scope.settings.network.nat != "none":
        ready.append(_nat(scope, vpc, nodes))
    if scope.settings.network.private_endpoints:
        _private_google(scope, vpc)
    if scope.settings.is_small:
        _firewall(scope, vpc)
    return Network(vpc.id, [nodes.id], [vpc.id], ready=ready)


def _nodes(scope: Scope, vpc: gcp.compute.Network) -> gcp.compute.Subnetwork:
    blocks = [str(block) for block in scope.settings.network.cidr.subnets(prefixlen_diff=4)]
    flow: Any = {"aggregation_interval": "INTERVAL_10_MIN", "flow_sampling": 0.5, "metadata": "INCLUDE_ALL_METADATA"}
    ranges: Any = [
        {"range_name": PODS, "ip_cidr_range": "100.64.0.0/14"},
        {"range_name": SERVICES, "ip_cidr_range": "100.68.0.0/20"},
    ]
    return gcp.compute.Subnetwork(
        scope.name("nodes"),
        network=vpc.id,
        region=scope.settings.region,
        ip_cidr_range=blocks[0],
        private_ip_google_access=True,
        log_config=flow if scope.settings.network.flow_logs else None,
        secondary_ip_ranges=ranges if not scope.settings.is_small else [],
        opts=scope.own(),
    )


def _nat(scope: Scope, vpc: gcp.compute.Network, nodes: gcp.compute.Subnetwork) -> Resource:
    """One regional gateway: Google spreads it over the zones itself."""
    router = gcp.compute.Router(scope.name("nat"), network=vpc.id, region=scope.settings.region, opts=scope.own())
    return gcp.compute.RouterNat(
        scope.name("nat"),
        router=router.name,
        region=scope.settings.region,
        nat_ip_allocate_option="AUTO_ONLY",
        source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
        subnetworks=[{"name": nodes.id, "source_ip_ranges_to_nats": ["ALL_IP_RANGES"]}],
        log_config={"enable": True, "filter": "ERRORS_ONLY"},
        opts=scope.own(),
    )


def _peering(scope: Scope, vpc: gcp.compute.Network) -> Resource:
    span = gcp.compute.GlobalAddress(
        scope.name("services"),
        purpose="VPC_PEERING",
        address_type="INTERNAL",
        prefix_length=20,
        network=vpc.id,
        opts=scope.own(),
    )
    return gcp.servicenetworking.Connection(
        scope.name("services"),
        network=vpc.id,
        service="servicenetworking.googleapis.com",
        reserved_peering_ranges=[span.name],
        deletion_policy="ABANDON",  # Google keeps the peering busy for days after a database is gone
        opts=scope.own(),
    )


def _private_google(scope: Scope, vpc: gcp.compute.Network) -> None:
    address = gcp.compute.GlobalAddress(
        scope.name("google-apis"),
        purpose="PRIVATE_SERVICE_CONNECT",
        address_type="INTERNAL",
        address=_GOOGLE_APIS_IP,
        network=vpc.id,
        opts=scope.own(),
    )
    gcp.compute.GlobalForwardingRule(
        scope.name("google-apis"),
        name=f"{scope.settings.application[:8]}{scope.settings.environment}apis",  # twenty letters and digits at most
        target="all-apis",
        network=vpc.id,
        ip_address=address.id,
        load_balancing_scheme="",
        opts=scope.own(),
    )
    zone = gcp.dns.ManagedZone(
        scope.name("google-apis"),
        dns_name="googleapis.com.",
        visibility="private",
        private_visibility_config={"networks": [{"network_url": vpc.id}]},
        opts=scope.own(),
    )
    for label, name, kind, value in (
        ("google-apis", "googleapis.com.", "A", _GOOGLE_APIS_IP),
        ("google-apis-all", "*.googleapis.com.", "CNAME", "googleapis.com."),
    ):
        gcp.dns.RecordSet(
            scope.name(label), managed_zone=zone.name, name=name, type=kind, ttl=300, rrdatas=[value], opts=scope.own()
        )


def _firewall(scope: Scope, vpc: gcp.compute.Network) -> None:
    for label, sources, ports in (("edge-web", ["0.0.0.0/0"], ["80", "443"]), ("operators", [_IAP], ["22"])):
        gcp.compute.Firewall(
            scope.name(label),
            network=vpc.id,
            direction="INGRESS",
            source_ranges=sources,
            target_tags=[EDGE_TAG],
            allows=[{"protocol": "tcp", "ports": ports}],
            log_config={"metadata": "EXCLUDE_ALL_METADATA"},
            opts=scope.own(),
        )
