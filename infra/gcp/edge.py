"""
The way in: a global address, a certificate map, a TLS policy and Cloud Armor, which the Gateway names; the DNS zone.

In `small` the node is the way in, without Cloud Armor.
"""

from typing import Any

import pulumi_gcp as gcp
from pulumi import Input

from infra.capabilities import OWN_WORDS, Cluster, Edge, Ground, Reach, Scope, Zone
from infra.gcp.foundation import GcpFoundation
from infra.grants import Access


def build(scope: Scope, ground: Ground[GcpFoundation], cluster: Cluster) -> Edge:
    domain = scope.settings.edge.domain
    zone = _zone(scope, domain) if domain else None
    if scope.settings.is_small or zone is None or domain is None:  # settings refuse a managed cluster without one
        return _node(scope, cluster, zone)
    address = gcp.compute.GlobalAddress(scope.name("edge"), address_type="EXTERNAL", opts=scope.own())
    certificates = _certificates(scope)
    names = {"": domain} | ({"-chat": scope.settings.edge.chat_domain} if scope.settings.edge.has_chat else {})
    for label, name in names.items():
        _record(scope, zone, f"entry{label}", f"{name}.", "A", address.address)
        _certificate(scope, zone, certificates, label, name)
    tls = gcp.compute.SSLPolicy(
        scope.name("edge"),
        name=scope.name("edge"),
        min_tls_version="TLS_1_2",
        profile="MODERN",
        opts=scope.own(),
    )
    waf = _waf(scope).name if scope.settings.edge.waf else ""
    return Edge(
        hostname=domain,
        address=address.address,
        entry=certificates.name,
        address_name=address.name,
        origin_host=domain,
        tls_policy=tls.name,
        zone=zone,
        waf=waf,
        name=address.name,
    )


def words(scope: Scope, reach: Reach[GcpFoundation], label: str, member: Input[str], _: Access) -> None:
    """Google's own role for records may delete the zone as well; ours may change what is in it."""
    if reach.edge.zone is None:
        return
    role = gcp.projects.IAMCustomRole(
        scope.name("prove-names"),
        role_id=f"{scope.settings.application}_{scope.settings.environment}_prove_names",
        title="Prove names by records",
        permissions=_RECORDS,
        opts=scope.own(),
    )
    gcp.dns.DnsManagedZoneIamMember(
        scope.name(label), managed_zone=reach.edge.zone.id, role=role.name, member=member, opts=scope.own()
    )


_RECORDS = [
    *(f"dns.changes.{verb}" for verb in ("create", "get", "list")),
    *(f"dns.resourceRecordSets.{verb}" for verb in ("create", "delete", "get", "list", "update")),
    "dns.managedZones.get",
]


def _node(scope: Scope, cluster: Cluster, zone: Zone | None) -> Edge:
    if zone:
        _record(scope, zone, "entry", f"{scope.settings.edge.domain}.", "A", cluster.address)
    if zone and (chat := scope.settings.edge.chat_domain):
        _record(scope, zone, "entry-chat", f"{chat}.", "CNAME", f"{scope.settings.edge.domain}.")
    hostname = scope.settings.edge.domain or cluster.address
    return Edge(
        hostname=hostname,
        address=cluster.address,
        entry="node",
        origin_host=hostname,
        zone=zone,
    )


def _zone(scope: Scope, domain: str) -> Zone:
    if existing := scope.settings.edge.zone:
        return Zone(existing)
    zone = gcp.dns.ManagedZone(
        scope.name("zone"),
        dns_name=f"{domain}.",
        dnssec_config={"state": "on"},
        opts=scope.own(),
    )
    return Zone(zone.name, zone.name_servers)


def _record(scope: Scope, zone: Zone, label: str, name, kind, value) -> None:
    gcp.dns.RecordSet(
        scope.name(label), managed_zone=zone.id, name=name, type=kind, ttl=300, rrdatas=[value], opts=scope.own()
    )


def _certificates(scope: Scope) -> gcp.certificatemanager.CertificateMap:
    return gcp.certificatemanager.CertificateMap(scope.name("edge"), name=scope.name("edge"), opts=scope.own())


def _certificate(
    scope: Scope, zone: Zone, certificates: gcp.certificatemanager.CertificateMap, label: str, domain: str
) -> None:
    name = scope.name(f"edge{label}")
    proof = gcp.certificatemanager.DnsAuthorization(name, domain=domain, opts=scope.own())
    check = proof.dns_resource_records[0]
    _record(scope, zone, f"certificate{label}", check.name, check.type, check.data)
    certificate = gcp.certificatemanager.Certificate(
        name,
        managed={"domains": [domain], "dns_authorizations": [proof.id]},
        opts=scope.own(),
    )
    gcp.certificatemanager.CertificateMapEntry(
        name,
        map=certificates.name,
        hostname=domain,
        certificates=[certificate.id],
        opts=scope.own(),
    )


def _waf(scope: Scope) -> gcp.compute.SecurityPolicy:
    anyone = {"versioned_expr": "SRC_IPS_V1", "config": {"src_ip_ranges": ["*"]}}
    limit: Any = {
        "priority": 1000,
        "action": "throttle",
        "match": anyone,
        "rate_limit_options": {
            "conform_action": "allow",
            "exceed_action": "deny(429)",
            "enforce_on_key": "IP",
            "rate_limit_threshold": {"count": scope.settings.edge.requests_per_5min_per_ip, "interval_sec": 300},
        },
    }
    rules: Any = [_known_attack(100 + i, name) for i, name in enumerate(("sqli-v33-stable", "xss-v33-stable"))]
    default: Any = {"priority": 2147483647, "action": "allow", "match": anyone, "description": "default"}
    return gcp.compute.SecurityPolicy(
        scope.name("edge"),
        name=scope.name("edge"),
        type="CLOUD_ARMOR",
        rules=[*rules, limit, default],
        opts=scope.own(),
    )


def _known_attack(priority: int, name: str) -> dict:
    """Lowest sensitivity, and not asked about what people write: it quotes SQL, and a refused ticket is lost."""
    hook = "|".join(path.strip("/") for path in OWN_WORDS)
    expression = f"!request.path.matches('^/({hook})/') && evaluatePreconfiguredWaf('{name}', {{'sensitivity': 1}})"
    return {"priority": priority, "action": "deny(403)", "match": {"expr": {"expression": expression}}}
