"""
Settings of a stack that are valid by themselves and refused: by the cloud, by each other, by the profile.

Each refusal says what to do instead; an operator hears of all of them at once.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings

# ALB and target group names end at 32 characters: ours, `-gateway` and Pulumi's eight of its own (`-1a2b3c4`).
PREFIX_MAX = 32 - len("-gateway") - 8
_ZONE = {
    "aws": (r"Z[A-Z0-9]{5,31}", "the hosted zone's id, such as Z0123456789ABCDEFGHIJ"),
    "azure": (
        r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/dn[sS][zZ]ones/(?P<name>[a-z0-9.-]+)",
        "its resource id, /subscriptions/.../Microsoft.Network/dnsZones/example.com",
    ),
    "gcp": (r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "the managed zone's name in the stack's project"),
}
_PRINCIPAL = {
    "aws": (r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/.+", "arn:aws:iam::123456789012:role/platform"),
    "azure": (r"(user|group|service):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "group:<object id in Entra>"),
    "gcp": (r"(user|group|serviceAccount):[^@\s]+@[^@\s]+|principal(Set)?://.+", "group:platform@example.com"),
}


def refusals(settings: "Settings") -> Iterator[str]:
    for rule in (
        _names,
        _region,
        _people,
        _production,
        _managed,
        _small,
        _network,
        _aws,
        _azure,
        _google,
        _models,
        _edge,
    ):
        yield from rule(settings)


def _names(s: "Settings") -> Iterator[str]:
    if len(s.prefix) > PREFIX_MAX:
        yield (
            f"names begin with {s.prefix!r}, {len(s.prefix)} characters; a load balancer's name leaves room "
            f"for {PREFIX_MAX}: shorten application or the stack's name"
        )


def _region(s: "Settings") -> Iterator[str]:
    if s.allowed_regions and s.region not in s.allowed_regions:
        yield f"region {s.region!r} is not in allowed_regions {list(s.allowed_regions)}"


def _people(s: "Settings") -> Iterator[str]:
    pattern, example = _PRINCIPAL[s.cloud]
    if wrong := [name for name in s.operators.principals if not re.fullmatch(pattern, name)]:
        yield f"operators.principals: {s.cloud} knows nobody called {wrong}; write {example}"


def _production(s: "Settings") -> Iterator[str]:
    if s.profile != "prod":
        return
    wrong = {
        "protect": not s.protect,
        "database.highly_available": not s.database.highly_available,
        "network.zones >= 2": s.network.zones < 2,
        "network.private_endpoints": not s.network.private_endpoints,
        "database.backup_days >= 14": s.database.backup_days < 14,
        "edge.waf": not s.edge.waf,
        "observability.alert_email": not s.observability.alert_email,
    }
    if missing := [name for name, is_wrong in wrong.items() if is_wrong]:
        way_out = ". To take it down set retire: true instead" if not s.protect else ""
        yield f"a prod stack must set {', '.join(missing)}{way_out}"


def _managed(s: "Settings") -> Iterator[str]:
    if s.is_small:
        return
    if s.cluster.memory_gib is not None:
        yield "cluster.memory_gib is the one machine of small; set cluster.size"
    if not s.edge.domain:
        yield "a managed cluster needs edge.domain for its certificate, such as tickets.example.com"


def _small(s: "Settings") -> Iterator[str]:
    if not s.is_small:
        return
    if s.network.nat != "none":
        yield "a small stack must set network.nat: none; else use dev"
    if s.cluster.size is not None:
        yield "cluster.size: a small stack is one machine; set cluster.memory_gib: 4, 8 or 16"
    if s.cloud == "azure" and not s.cluster.ssh_public_key:
        yield "Azure wants cluster.ssh_public_key for a machine: the .pub text of ssh-keygen -t ed25519"
    if s.cloud == "azure" and s.cluster.node_gib == 4 and s.cluster.spot:
        yield "cluster.spot: Azure's machine of 4 GiB is never on spot; set cluster.spot: false, or 8"


def _network(s: "Settings") -> Iterator[str]:
    has_aurora = s.cloud == "aws" and not s.is_small
    if has_aurora and s.network.zones < 2:
        yield "network.zones: EKS, its balancer and its database want two zones or more"
    if s.database.scales and not has_aurora:
        yield "database.scaling_max: only Aurora scales, on AWS outside small; choose database.size"


def _aws(s: "Settings") -> Iterator[str]:
    if s.cloud == "aws" and not s.is_small and s.cluster.size is not None:
        yield "cluster.size: EKS Auto Mode goes by what pods ask; leave it out"


def _azure(s: "Settings") -> Iterator[str]:
    if s.cloud != "azure":
        return
    existing = s.network.existing
    if not s.is_small and s.network.nat == "none" and not existing:
        yield "network.nat: AKS goes out through a NAT gateway; set single or per-zone"
    if s.network.flow_logs and s.observability.log_days > 365:
        yield "observability.log_days: flow logs end at 365 days; set 365, or network.flow_logs: false"
    if s.network.private_endpoints and existing is not None and existing.private_dns_zones is None:
        yield "network.existing.private_dns_zones: a network is linked to one zone of a name; name those it has, or {}"


def _google(s: "Settings") -> Iterator[str]:
    if s.cloud == "gcp" and not (s.account and s.budget.billing_account):
        yield "Google Cloud needs account (project id) and budget.billing_account (XXXXXX-XXXXXX-XXXXXX)"


def _models(s: "Settings") -> Iterator[str]:
    if any(name.startswith("global.") for name in s.models.names):
        yield "models.names: `global.` profiles leave the region's continent; name eu., us. or apac."


def _edge(s: "Settings") -> Iterator[str]:
    zone, domain = s.edge.zone, s.edge.domain
    if s.edge.has_chat and not domain:
        yield "edge.chat is reached at a name under edge.domain: name the domain as well"
    if s.edge.chat_origins and not s.edge.has_chat:
        yield "edge.chat_origins name sites that show a chat which edge.chat keeps inside"
    if zone and not domain:
        yield "edge.zone holds edge.domain: name the domain as well"
    if zone and domain:
        yield from _zone(s.cloud, zone, domain)


def _zone(cloud: str, zone: str, domain: str) -> Iterator[str]:
    pattern, example = _ZONE[cloud]
    if not (found := re.fullmatch(pattern, zone)):
        yield f"edge.zone: {zone!r} is no DNS zone of {cloud}; write {example}"
        return
    name = found.groupdict().get("name")
    if name and domain != name and not domain.endswith(f".{name}"):
        yield f"edge.zone is of {name}, and edge.domain {domain} does not lie in it"
