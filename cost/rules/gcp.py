"""Google Cloud: resource type and inputs to meters. Google's GB is a GiB; the difference of 7 % is left as reserve."""

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import chain

from cost.book import ZERO
from cost.meter import DAYS_PER_MONTH, HOURS_PER_MONTH, Meter, fixed, per_use
from cost.rules.context import Context, Rule, above, get, gpus, machine, pool, role, tokens
from infra.contract import RUN_GIB
from infra.offline.report import Resource

TEMPLATE = "gcp:compute/instanceTemplate:InstanceTemplate"
GROUP = "gcp:compute/instanceGroupManager:InstanceGroupManager"
CLUSTER = "gcp:container/cluster:Cluster"
NODE_POOL = "gcp:container/nodePool:NodePool"
SERVICE = "gcp:projects/service:Service"
SECRET = "gcp:secretmanager/secret:Secret"  # noqa: S105 - a resource type
ZONES_OF_A_REGION = 3  # GKE spreads a regional pool over three zones unless told otherwise
CUSTOM_TIER = re.compile(r"^db-custom-(\d+)-(\d+)$")
GB_PER_TIB = Decimal(2**40) / 10**9
LOGS_INCLUDED_DAYS = 30
NEARLINE_AFTER_MONTHS = 3
IMAGES_A_MONTH = 20  # five images, a release a week; each new one is scanned once


def _group(resource: Resource, ctx: Context) -> Iterable[Meter]:
    template = ctx.first(TEMPLATE)
    if template is None:
        return
    count = get(resource, "targetSize", default=0)
    spot = get(template, "scheduling", "provisioningModel") == "SPOT"
    yield from machine(ctx, get(template, "machineType"), count, spot=spot)
    for disk in get(template, "disks", default=[]):
        yield fixed(_disk(disk["diskType"]), f"node disk {disk['diskType']}", Decimal(disk["diskSizeGb"]) * count)


def _disk(kind: str) -> str:
    return f"block.{kind.replace('-', '_')}"


def _address(resource: Resource, ctx: Context) -> list[Meter]:
    if get(resource, "addressType") != "EXTERNAL":
        return []
    return [fixed("network.public_ipv4", "public IPv4 address", HOURS_PER_MONTH)]


def _global_address(resource: Resource, ctx: Context) -> list[Meter]:
    """The Gateway makes the load balancer of a public address; up to five forwarding rules cost the same."""
    if get(resource, "addressType") != "EXTERNAL":
        return []
    return [
        fixed("network.lb_forwarding_rule_first_5", "load balancer that the Gateway makes", HOURS_PER_MONTH),
        per_use("network.lb_data", "load balancer, data", ctx.demand.egress_gb),
    ]


def _private_service(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("network.private_service_connect", "private access to Google's interfaces", HOURS_PER_MONTH)]


def _egress(resource: Resource, ctx: Context) -> list[Meter]:
    price, item = "network.egress_internet_premium", "data out to the internet"
    return [fixed(price, f"{item}, idle", ctx.demand.idle_egress_gb), per_use(price, item, ctx.demand.egress_gb)]


def _cluster(resource: Resource, ctx: Context) -> list[Meter]:
    kind = "zonal" if _is_zone(get(resource, "location", default="")) else "standard"
    return [
        fixed(f"k8s.control_plane.{kind}", "GKE control plane", HOURS_PER_MONTH),
        fixed(_disk("pd-balanced"), "disk of an unfinished training", RUN_GIB),
    ]


def _is_zone(location: str) -> bool:
    """`us-central1-a` is a zone, `us-central1` a region."""
    return bool(re.search(r"-[a-z]$", location))


def _node_pool(resource: Resource, ctx: Context) -> Iterable[Meter]:
    size, spot = get(resource, "nodeConfig", "machineType"), bool(get(resource, "nodeConfig", "spot"))
    count = _nodes(resource, ctx)
    yield from machine(ctx, size, count, spot=spot)
    yield from _disks(resource, machine(ctx, size, count, spot=spot))
    if role(resource) == "system":
        return
    come_and_go = gpus(ctx, size, spot=spot) if role(resource) == "gpu" else _workers(ctx, size, spot=spot)
    yield from come_and_go
    yield from _disks(resource, come_and_go)


def _workers(ctx: Context, size: str, *, spot: bool) -> list[Meter]:
    return pool(ctx, size, spot=spot, vcpus=int(size.rpartition("-")[2]))


def _disks(resource: Resource, machines: list[Meter]) -> list[Meter]:
    """A node's disk exists as long as the node."""
    kind, gb = get(resource, "nodeConfig", "diskType"), Decimal(get(resource, "nodeConfig", "diskSizeGb", default=100))
    return [Meter(_disk(kind), f"node disk {kind}", m.quantity / HOURS_PER_MONTH * gb, m.fixed) for m in machines]


def _nodes(resource: Resource, ctx: Context) -> int:
    """Nodes that are always there."""
    planned = _planned(resource, ctx)
    return ctx.kept(get(resource, "nodeConfig", "machineType"), planned) if role(resource) == "system" else planned


def _planned(resource: Resource, ctx: Context) -> int:
    """`total` limits are of the pool, the others of each of its zones."""
    total = get(resource, "autoscaling", "totalMinNodeCount")
    if total is not None:
        return total
    each = get(resource, "autoscaling", "minNodeCount", default=get(resource, "nodeCount"))
    return (get(resource, "initialNodeCount", default=0) if each is None else each) * _zones(resource, ctx)


def _zones(resource: Resource, ctx: Context) -> int:
    cluster = ctx.first(CLUSTER)
    chosen = get(resource, "nodeLocations") or (get(cluster, "nodeLocations") if cluster else None)
    location = get(cluster, "location", default="") if cluster else ""
    return len(chosen) if chosen else 1 if _is_zone(location) else ZONES_OF_A_REGION


def _database(resource: Resource, ctx: Context) -> list[Meter]:
    tier, storage = get(resource, "settings", "tier"), get(resource, "settings", "diskSize")
    copies = 2 if get(resource, "settings", "availabilityType") == "REGIONAL" else 1
    ssd, grown = "postgres.cloud_sql.storage_ssd", above(ctx.demand.database_gb, storage)
    return [
        *_compute(tier, HOURS_PER_MONTH * copies),
        fixed(ssd, "PostgreSQL storage", Decimal(storage) * copies),
        per_use(ssd, "PostgreSQL storage, growth", grown * copies),
        per_use("postgres.cloud_sql.backup", "database backups, one full copy", ctx.demand.database_gb),
    ]


def _compute(tier: str, hours: Decimal) -> list[Meter]:
    custom = CUSTOM_TIER.match(tier)
    if not custom:
        name = tier.removeprefix("db-").replace("-", "_")
        return [fixed(f"postgres.cloud_sql.db_{name}", f"PostgreSQL {tier}", hours)]
    vcpus, mib = custom.groups()
    return [
        fixed("postgres.cloud_sql.enterprise_vcpu", f"PostgreSQL {tier}, vCPU", int(vcpus) * hours),
        fixed("postgres.cloud_sql.enterprise_memory", f"PostgreSQL {tier}, memory", Decimal(mib) / 1024 * hours),
    ]


def _nat(resource: Resource, ctx: Context) -> list[Meter]:
    nodes = sum(_nodes(pool_, ctx) for pool_ in ctx.of_type(NODE_POOL))
    return [
        fixed("network.nat_vm_hour", "NAT, per node", HOURS_PER_MONTH * nodes),
        fixed("network.public_ipv4", "NAT's public IPv4 address", HOURS_PER_MONTH),
        fixed("network.nat_data", "NAT, data, idle", ctx.demand.idle_nat_gb),
        per_use("network.nat_data", "NAT, data", ctx.demand.nat_gb),
    ]


def _firewall(resource: Resource, ctx: Context) -> list[Meter]:
    return [
        fixed("network.cloud_armor_policy", "Cloud Armor policy", 1),
        fixed("network.cloud_armor_rule", "Cloud Armor rules", len(get(resource, "rules", default=[]))),
        per_use("network.cloud_armor_requests", "requests inspected", ctx.demand.requests),
    ]


def _zone(resource: Resource, ctx: Context) -> list[Meter]:
    queries = ZERO if get(resource, "visibility") == "private" else ctx.demand.requests
    return [fixed("network.dns_zone", "DNS zones", 1), per_use("network.dns_queries", "DNS queries", queries)]


def _bucket(resource: Resource, ctx: Context) -> list[Meter]:
    """Deploy holds megabytes. The lake moves to Nearline after 90 days when its rules say so."""
    asked, standard = ctx.demand, "object_storage.gcs_standard"
    rules = get(resource, "lifecycleRules", default=[])
    cools = any(rule["action"].get("storageClass") == "NEARLINE" for rule in rules)
    warm = min(Decimal(1), NEARLINE_AFTER_MONTHS / ctx.assumptions["retained_months"]) if cools else Decimal(1)
    return {
        "lake": [
            per_use(standard, "event lake", asked.lake_gb * warm),
            per_use("object_storage.gcs_nearline", "event lake, after 90 days", asked.lake_gb * (1 - warm)),
            per_use("object_storage.gcs_class_a", "objects written", asked.object_writes),
        ],
        "documents": [
            fixed(standard, "documents", asked.documents_gb),
            per_use("object_storage.gcs_class_b", "objects read", asked.object_reads),
        ],
        "models": [fixed(standard, "models", asked.models_gb)],
    }.get(role(resource), [])


def _topic(resource: Resource, ctx: Context) -> list[Meter]:
    """Billed when published and again when delivered."""
    if role(resource) != "events":
        return []
    return [
        per_use("messaging.pubsub_throughput", "events published and delivered", ctx.demand.event_gb * 2 / GB_PER_TIB)
    ]


def _key(resource: Resource, ctx: Context) -> list[Meter]:
    """Every rotation leaves a version that stays active."""
    period = get(resource, "rotationPeriod", default="")
    days = Decimal(period.removesuffix("s")) / 86_400 if period else None
    versions = 1 + (int(ctx.assumptions["key_age_months"] * DAYS_PER_MONTH / days) if days else 0)
    return [
        fixed("kms.key_version", "encryption key, versions", versions),
        per_use("kms.operations", "encryption key, calls", ctx.demand.key_calls),
    ]


def _images(resource: Resource, ctx: Context) -> Iterable[Meter]:
    yield fixed("registry.artifact_registry", "container images", ctx.demand.images_gb)
    wanted = get(resource, "vulnerabilityScanningConfig", "enablementConfig")
    if wanted == "INHERITED" and any(role(service) == "containerscanning" for service in ctx.of_type(SERVICE)):
        yield fixed("registry.scanning", "images scanned", IMAGES_A_MONTH)


def _secret(resource: Resource, ctx: Context) -> list[Meter]:
    reads = ctx.demand.idle_secret_reads / len(ctx.of_type(SECRET))
    return [
        fixed("secrets.secret_manager_version", "secrets", 1),
        fixed("secrets.secret_manager_access", "secrets, calls", reads),
    ]


def _logs(resource: Resource, ctx: Context) -> list[Meter]:
    idle, own = ctx.demand.idle_log_gb, ctx.demand.log_gb
    days = Decimal(get(resource, "retentionDays", default=LOGS_INCLUDED_DAYS))
    months = above(days, LOGS_INCLUDED_DAYS) / DAYS_PER_MONTH
    return [
        fixed("logs.cloud_logging_ingest", "logs taken in, idle", idle),
        per_use("logs.cloud_logging_ingest", "logs taken in", own),
        fixed("logs.cloud_logging_retention", "logs kept past 30 days, idle", idle * months),
        per_use("logs.cloud_logging_retention", "logs kept past 30 days", own * months),
    ]


def _service(resource: Resource, ctx: Context) -> list[Meter]:
    """A service that is switched on is free; two of them bill what is sent to them."""
    if role(resource) == "monitoring":
        samples = fixed("metrics.prometheus_ingest", "metric samples", ctx.demand.idle_samples)
        return [replace(samples, capability="observability")]
    if role(resource) == "aiplatform":
        asked = chain.from_iterable(tokens(ctx, model) for model in dict.fromkeys(ctx.models))
        return [replace(meter, capability="models") for meter in asked]
    return []


def _backup(resource: Resource, ctx: Context) -> list[Meter]:
    return [per_use("backup.vault_storage", "backup vault, one full copy", ctx.demand.database_gb)]


RULES: dict[str, Rule] = {
    GROUP: _group,
    "gcp:compute/address:Address": _address,
    "gcp:compute/globalAddress:GlobalAddress": _global_address,
    "gcp:compute/globalForwardingRule:GlobalForwardingRule": _private_service,
    "gcp:compute/network:Network": _egress,
    CLUSTER: _cluster,
    NODE_POOL: _node_pool,
    "gcp:sql/databaseInstance:DatabaseInstance": _database,
    "gcp:compute/routerNat:RouterNat": _nat,
    "gcp:compute/securityPolicy:SecurityPolicy": _firewall,
    "gcp:dns/managedZone:ManagedZone": _zone,
    "gcp:storage/bucket:Bucket": _bucket,
    "gcp:pubsub/topic:Topic": _topic,
    "gcp:kms/cryptoKey:CryptoKey": _key,
    "gcp:artifactregistry/repository:Repository": _images,
    SECRET: _secret,
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": _logs,
    SERVICE: _service,
    "gcp:backupdisasterrecovery/backupPlanAssociation:BackupPlanAssociation": _backup,
}
