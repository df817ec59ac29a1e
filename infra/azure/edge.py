"""
The way in: Front Door with a WAF and a rate limit, its certificate, the DNS zone, the address the Gateway answers on.

The cluster accepts HTTP(S) from Front Door only (network.py), which is everybody's Front Door: the contract names the
id of ours, and the Gateway's route must refuse requests whose X-Azure-FDID is another. In `small` the node is the way
in, without a WAF.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulumi import Input, Output
from pulumi_azure_native import cdn, dns, frontdoor
from pulumi_azure_native import network as net

from infra.azure import access
from infra.azure.access import Role
from infra.azure.foundation import AzureFoundation
from infra.azure.observability import diagnose
from infra.capabilities import Cluster, Edge, Ground, Reach, Scope, Zone
from infra.grants import Access

_NODE = "www"


@dataclass(frozen=True)
class Home:
    """Where the domain's records stand; `below` is what the domain has before the zone's own name."""

    zone: Zone
    group: Input[str]
    name: Input[str]
    below: str

    def relative(self, label: str) -> str:
        return ".".join(part for part in (label, self.below) if part) or "@"


@dataclass(frozen=True)
class Door:
    """A name that Front Door answers to, and whose pods are behind it; the Gateway tells them apart by the name."""

    container: str
    label: str
    name: str  # under the domain
    domain: str


def build(scope: Scope, ground: Ground[AzureFoundation], cluster: Cluster) -> Edge:
    domain = scope.settings.edge.domain
    zone = _home(scope, ground, domain) if domain else None
    if scope.settings.is_small or zone is None or domain is None:  # settings refuse a managed cluster without one
        return _node(scope, ground, cluster, zone)
    address = _gateway_address(scope, ground)
    # The address lies in our group, not in the cluster's: the control plane may attach it to its balancer only so.
    access.assign(scope, ground.foundation, "gateway", Role.NETWORK_CONTRIBUTOR, to=cluster.control, at=address.id)
    profile = _profile(scope, ground)
    endpoint = cdn.AFDEndpoint(
        scope.name("edge"),
        resource_group_name=ground.foundation.group,
        profile_name=profile.name,
        location="Global",
        enabled_state="Enabled",
        opts=scope.own(),
    )
    _record(scope, zone, "origin", "A", "origin", target_resource={"id": address.id})
    doors = [Door("gateway", "", "", domain)]
    if scope.settings.edge.has_chat:
        doors.append(Door("chat", "-chat", "chat", scope.settings.edge.chat_domain))
    customs = [_open(scope, ground, profile, endpoint, zone, door) for door in doors]
    waf = _waf(scope, ground, profile, customs).id if scope.settings.edge.waf else ""
    diagnose(scope, "edge", profile.id, ground.observability.logs, ("audit", "allLogs"))
    return Edge(
        hostname=domain,
        address=endpoint.host_name,
        entry=address.name,
        address_name=address.name,
        origin_host=f"origin.{domain}",
        tls_policy=cdn.AfdMinimumTlsVersion.TLS12.value,
        zone=zone.zone,
        waf=waf,
        name=profile.id,
        front_door_id=profile.front_door_id,
    )


def words(reach: Reach[AzureFoundation], _: Access) -> list[tuple[Role, Input[str]]]:
    return [(Role.DNS_CONTRIBUTOR, reach.edge.zone.id)] if reach.edge.zone else []


def _node(scope: Scope, ground: Ground[AzureFoundation], cluster: Cluster, zone: Home | None) -> Edge:
    if zone:  # an apex name cannot be an alias of a machine's name, so the entry is a name under the zone
        first = {"cname": cluster.hostname}  # from then on the machine's own
        _record(scope, zone, "entry", "CNAME", _NODE, kept=["cnameRecord"], cname_record=first)
    hostname = f"{_NODE}.{scope.settings.edge.domain}" if zone else cluster.hostname
    if zone and scope.settings.edge.has_chat:
        _record(scope, zone, "entry-chat", "CNAME", "chat", cname_record={"cname": hostname})
    return Edge(
        hostname=hostname,
        address=cluster.address,
        entry="node",
        origin_host=hostname,
        zone=zone.zone if zone else None,
    )


def _home(scope: Scope, ground: Ground[AzureFoundation], domain: str) -> Home:
    if existing := scope.settings.edge.zone:
        _, _, _, _, group, *_, name = existing.split("/")
        return Home(Zone(existing), group, name, domain.removesuffix(name).rstrip("."))
    zone = dns.Zone(
        scope.name("zone"),
        resource_group_name=ground.foundation.group,
        zone_name=domain,
        location="Global",
        opts=scope.own(),
    )
    return Home(Zone(zone.id, zone.name_servers), ground.foundation.group, zone.name, "")


def record_of_node(scope: Scope, ground: Ground[AzureFoundation]) -> Output[str]:
    """The id of the record that a machine of `small` claims; its zone is made after it, and the machine tries again."""
    domain, zone = scope.settings.edge.domain, scope.settings.edge.zone
    if not domain:
        return Output.from_input("")
    below = domain.removesuffix((zone or domain).split("/")[-1]).rstrip(".")
    home = Output.concat(ground.foundation.group_id, f"/providers/Microsoft.Network/dnsZones/{domain}")
    return Output.concat(zone or home, "/CNAME/", ".".join(part for part in (_NODE, below) if part))


def _record(scope: Scope, home: Home, label: str, kind: str, name: str, *, kept: Sequence[str] = (), **value) -> None:
    dns.RecordSet(
        scope.name(label),
        resource_group_name=home.group,
        zone_name=home.name,
        record_type=kind,
        relative_record_set_name=home.relative(name),
        ttl=300,
        opts=scope.own(ignore_changes=list(kept)),
        **value,
    )


def _gateway_address(scope: Scope, ground: Ground[AzureFoundation]) -> net.PublicIPAddress:
    """The Gateway's service claims it by name (annotation azure-pip-name)."""
    return net.PublicIPAddress(
        scope.name("gateway"),
        resource_group_name=ground.foundation.group,
        sku={"name": net.PublicIPAddressSkuName.STANDARD},
        public_ip_allocation_method=net.IPAllocationMethod.STATIC,
        zones=[str(i + 1) for i in range(scope.settings.network.zones)],
        opts=scope.own(),
    )


def _profile(scope: Scope, ground: Ground[AzureFoundation]) -> cdn.Profile:
    return cdn.Profile(
        scope.name("edge"),
        resource_group_name=ground.foundation.group,
        location="Global",
        sku={"name": cdn.SkuName.STANDARD_AZURE_FRONT_DOOR},
        origin_response_timeout_seconds=60,
        opts=scope.own(),
    )


def _open(
    scope: Scope,
    ground: Ground[AzureFoundation],
    profile: cdn.Profile,
    endpoint: cdn.AFDEndpoint,
    zone: Home,
    door: Door,
) -> cdn.AFDCustomDomain:
    custom = _custom_domain(scope, ground, profile, zone.zone, door)
    token = custom.validation_properties.validation_token
    proof = ".".join(part for part in ("_dnsauth", door.name) if part)
    _record(scope, zone, f"entry{door.label}", "A", door.name, target_resource={"id": endpoint.id})
    _record(scope, zone, f"certificate{door.label}", "TXT", proof, txt_records=[{"value": [token]}])
    _route(scope, ground, profile, endpoint, custom, door)
    return custom


def _custom_domain(
    scope: Scope, ground: Ground[AzureFoundation], profile: cdn.Profile, zone: Zone, door: Door
) -> cdn.AFDCustomDomain:
    return cdn.AFDCustomDomain(
        scope.name(f"edge{door.label}"),
        resource_group_name=ground.foundation.group,
        profile_name=profile.name,
        host_name=door.domain,
        azure_dns_zone={"id": zone.id},
        tls_settings={
            "certificate_type": cdn.AfdCertificateType.MANAGED_CERTIFICATE,
            "minimum_tls_version": cdn.AfdMinimumTlsVersion.TLS12,
        },
        opts=scope.own(),
    )


def _route(
    scope: Scope,
    ground: Ground[AzureFoundation],
    profile: cdn.Profile,
    endpoint: cdn.AFDEndpoint,
    custom: cdn.AFDCustomDomain,
    door: Door,
) -> None:
    group = ground.foundation.group
    origins = cdn.AFDOriginGroup(
        scope.name(door.container),
        resource_group_name=group,
        profile_name=profile.name,
        load_balancing_settings={"sample_size": 4, "successful_samples_required": 3},
        health_probe_settings={
            "probe_path": "/health",
            "probe_protocol": cdn.ProbeProtocol.HTTPS,
            "probe_request_type": cdn.HealthProbeRequestType.GET,
            "probe_interval_in_seconds": 30,
        },
        opts=scope.own(),
    )
    origin = cdn.AFDOrigin(
        scope.name(door.container),
        resource_group_name=group,
        profile_name=profile.name,
        origin_group_name=origins.name,
        host_name=f"origin.{scope.settings.edge.domain}",  # cert-manager gives the Gateway a certificate for this name
        origin_host_header=door.domain,
        enforce_certificate_name_check=True,
        https_port=443,
        enabled_state="Enabled",
        opts=scope.own(),
    )
    cdn.Route(
        scope.name(door.container),
        resource_group_name=group,
        profile_name=profile.name,
        endpoint_name=endpoint.name,
        origin_group={"id": origins.id},
        custom_domains=[{"id": custom.id}],
        patterns_to_match=["/*"],
        supported_protocols=["Http", "Https"],
        https_redirect="Enabled",
        forwarding_protocol="HttpsOnly",
        link_to_default_domain="Disabled",
        enabled_state="Enabled",
        opts=scope.own(depends_on=[origin]),
    )


def _waf(
    scope: Scope, ground: Ground[AzureFoundation], profile: cdn.Profile, customs: Sequence[cdn.AFDCustomDomain]
) -> frontdoor.Policy:
    limit: Any = {
        "name": "rate",
        "priority": 1,
        "rule_type": "RateLimitRule",
        "action": "Block",
        "rate_limit_duration_in_minutes": 5,
        "rate_limit_threshold": scope.settings.edge.requests_per_5min_per_ip,
        "match_conditions": [
            {"match_variable": "SocketAddr", "operator": "IPMatch", "match_value": ["0.0.0.0/0", "::/0"]},
        ],
    }
    policy = frontdoor.Policy(
        scope.name("edge"),
        resource_group_name=ground.foundation.group,
        policy_name=f"{scope.settings.application}{scope.settings.environment}",  # letters and digits only
        location="Global",
        sku={"name": "Standard_AzureFrontDoor"},
        policy_settings={"enabled_state": "Enabled", "mode": "Prevention", "request_body_check": "Enabled"},
        custom_rules={"rules": [limit]},
        opts=scope.own(),
    )
    association: Any = {"domains": [{"id": custom.id} for custom in customs], "patterns_to_match": ["/*"]}
    cdn.SecurityPolicy(
        scope.name("edge"),
        resource_group_name=ground.foundation.group,
        profile_name=profile.name,
        parameters={"type": "WebApplicationFirewall", "waf_policy": {"id": policy.id}, "associations": [association]},
        opts=scope.own(),
    )
    return policy
