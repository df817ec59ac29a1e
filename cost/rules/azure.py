"""Azure: resource type and inputs to meters."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain

from cost.book import ZERO
from cost.meter import DAYS_PER_MONTH, HOURS_PER_MONTH, Meter, fixed, per_use
from cost.rules.context import Context, Rule, above, get, gpus, machine, pool, role, tokens
from infra.contract import RUN_GIB
from infra.offline.report import Resource

SCALE_SET = "azure-native:compute:VirtualMachineScaleSet"
CLUSTER = "azure-native:containerservice:ManagedCluster"
FRONT_DOOR = "azure-native:cdn:Profile"
NAT = "azure-native:network:NatGateway"
VAULT = "azure-native:keyvault:Vault"
STANDARD_SSD = ((32, "E4"), (64, "E6"))  # GiB a size holds; a disk is billed as the next size up
LOGS_INCLUDED_DAYS = 31
WEEKS_PER_MONTH = DAYS_PER_MONTH / 7


def _scale_set(resource: Resource, ctx: Context) -> Iterable[Meter]:
    count, profile = get(resource, "sku", "capacity", default=0), get(resource, "virtualMachineProfile", default={})
    size = _size(get(resource, "sku", "name"))
    yield from machine(ctx, size, count, spot=profile.get("priority") == "Spot")
    disk = get(resource, "virtualMachineProfile", "storageProfile", "osDisk", default={})
    yield fixed(_disk_price(disk), "node disk", count)
    cards = get(resource, "virtualMachineProfile", "networkProfile", "networkInterfaceConfigurations", default=[])
    public = [ip for card in cards for ip in card["ipConfigurations"] if "publicIPAddressConfiguration" in ip]
    yield fixed("network.public_ipv4", "public IPv4 address", HOURS_PER_MONTH * len(public) * count)


def _disk_price(disk: dict) -> str:
    size_gib, kind = disk.get("diskSizeGB", 32), disk["managedDisk"]["storageAccountType"]
    name = _disk_size(size_gib)
    return f"block.standard_ssd_{name}" if kind == "StandardSSD_LRS" else f"block.{kind}_{name}"


def _disk_size(gib: int) -> str:
    return next((name for limit, name in STANDARD_SSD if gib <= limit), f"{gib}GiB")


def _cluster(resource: Resource, ctx: Context) -> Iterable[Meter]:
    if get(resource, "sku", "tier", default="Free") != "Free":
        yield fixed("k8s.control_plane.standard", "AKS control plane", HOURS_PER_MONTH)
    yield fixed("network.lb_first_5_rules", "load balancer that the Gateway makes", HOURS_PER_MONTH)
    yield per_use("network.lb_data", "load balancer, data", ctx.demand.egress_gb)
    yield fixed(f"block.standard_ssd_{_disk_size(RUN_GIB)}", "disk of an unfinished training", 1)
    for nodes in get(resource, "agentPoolProfiles", default=[]):
        yield from machine(ctx, _size(nodes["vmSize"]), _kept(nodes, ctx), spot=False)


def _kept(nodes: dict, ctx: Context) -> int:
    return ctx.kept(nodes["vmSize"], nodes.get("minCount", nodes.get("count", 0)))


def _agent_pool(resource: Resource, ctx: Context) -> list[Meter]:
    size, spot = _size(get(resource, "vmSize")), get(resource, "scaleSetPriority") == "Spot"
    kept = machine(ctx, size, get(resource, "minCount", default=0), spot=spot)
    if role(resource) == "gpu":
        return kept + gpus(ctx, size, spot=spot)
    return kept + pool(ctx, size, spot=spot, vcpus=_vcpus(size))


def _size(name: str) -> str:
    return name.removeprefix("Standard_")


def _vcpus(size: str) -> int:
    """`D4ds_v5` -> 4: the first number of a size is its vCPU count."""
    return int("".join(char for char in size.partition("_")[0] if char.isdigit()))


def _server(resource: Resource, ctx: Context) -> list[Meter]:
    tier, size = get(resource, "sku", "tier"), get(resource, "sku", "name")
    copies = 1 if get(resource, "highAvailability", "mode", default="Disabled") == "Disabled" else 2
    storage = get(resource, "storage", "storageSizeGB")
    family = {"Burstable": "B", "GeneralPurpose": "GP", "MemoryOptimized": "MO"}[tier]
    return [
        fixed(f"postgres.flexible.{family}_{size}", f"PostgreSQL {size}", HOURS_PER_MONTH * copies),
        fixed("postgres.flexible.storage", "PostgreSQL storage", Decimal(storage) * copies),
        per_use(
            "postgres.flexible.storage", "PostgreSQL storage, growth", above(ctx.demand.database_gb, storage) * copies
        ),
    ]


def _bus(resource: Resource, ctx: Context) -> list[Meter]:
    """Publish and deliver are one operation each."""
    tier, operations = get(resource, "sku", "tier"), ctx.demand.events * 2
    if tier == "Premium":
        units = get(resource, "sku", "capacity", default=1)
        return [
            fixed("messaging.service_bus_premium_unit", "Service Bus Premium, messaging unit", HOURS_PER_MONTH * units)
        ]
    moved = per_use(f"messaging.service_bus_{tier.lower()}_operations", "events published and delivered", operations)
    if tier == "Basic":
        return [moved]
    return [fixed("messaging.service_bus_standard_base", "Service Bus Standard, base", HOURS_PER_MONTH), moved]


def _nat(resource: Resource, ctx: Context) -> list[Meter]:
    gateways = len(ctx.of_type(NAT))
    return [
        fixed("network.nat_hour", "NAT gateway", HOURS_PER_MONTH),
        fixed("network.nat_data", "NAT gateway, data, idle", ctx.demand.idle_nat_gb / gateways),
        per_use("network.nat_data", "NAT gateway, data", ctx.demand.nat_gb / gateways),
    ]


def _egress(resource: Resource, ctx: Context) -> list[Meter]:
    """With Front Door, answers leave through it and are billed there."""
    through = ZERO if ctx.first(FRONT_DOOR) else ctx.demand.egress_gb
    price, item = "network.egress_internet", "data out to the internet"
    return [fixed(price, f"{item}, idle", ctx.demand.idle_egress_gb), per_use(price, item, through)]


def _endpoint(resource: Resource, ctx: Context) -> list[Meter]:
    hour = fixed("network.private_endpoint_hour", "private endpoints", HOURS_PER_MONTH)
    if role(resource) != "blob":
        return [hour]
    return [hour, per_use("network.private_endpoint_data", "private endpoint, objects", ctx.demand.lake_gb)]


def _registry(resource: Resource, ctx: Context) -> list[Meter]:
    """Our images fit into what a tier includes (10 GB on Basic)."""
    tier = get(resource, "sku", "name")
    return [fixed(f"registry.acr_{tier.lower()}", f"container registry, {tier}", DAYS_PER_MONTH)]


def _storage(resource: Resource, ctx: Context) -> list[Meter]:
    """The audit account holds megabytes."""
    if not resource.name.endswith("obj"):
        return []
    asked = ctx.demand
    price = f"object_storage.blob_hot_{get(resource, 'sku', 'name').rpartition('_')[2].lower()}"
    return [
        fixed(price, "documents", asked.documents_gb),
        fixed(price, "models", asked.models_gb),
        per_use(price, "event lake", asked.lake_gb),
        per_use("object_storage.blob_write", "objects written", asked.object_writes),
        per_use("object_storage.blob_read", "objects read", asked.object_reads),
    ]


def _logs(resource: Resource, ctx: Context) -> list[Meter]:
    """The workspace stops at its daily cap, and so does the bill."""
    quota = get(resource, "workspaceCapping", "dailyQuotaGb", default=-1)
    cap = Decimal(str(quota)) * DAYS_PER_MONTH if quota > 0 else ctx.demand.idle_log_gb + ctx.demand.log_gb
    idle = min(ctx.demand.idle_log_gb, cap)
    own = min(ctx.demand.log_gb, cap - idle)
    days = get(resource, "retentionInDays", default=LOGS_INCLUDED_DAYS)
    months = above(Decimal(days), LOGS_INCLUDED_DAYS) / DAYS_PER_MONTH
    ingest, kept = "logs.log_analytics_ingest", "logs.log_analytics_retention"
    return [
        fixed(ingest, "logs taken in, idle", idle),
        per_use(ingest, "logs taken in", own),
        fixed(kept, "logs kept past 31 days, idle", idle * months),
        per_use(kept, "logs kept past 31 days", own * months),
    ]


def _flow_log(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("network.flow_logs", "flow logs collected", 1)]


def _prometheus(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("metrics.prometheus_ingest", "metric samples", ctx.demand.idle_samples)]


def _alert(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("metrics.metric_alert", "metric alerts", 1)]


def _key(resource: Resource, ctx: Context) -> list[Meter]:
    """An old version costs nothing; each rotation does."""
    actions = get(resource, "properties", "rotationPolicy", "lifetimeActions", default=[])
    periods = [a["trigger"].get("timeAfterCreate", "") for a in actions if a["action"]["type"].lower() == "rotate"]
    meters = [
        fixed("kms.key_rotation", "encryption key, rotations", DAYS_PER_MONTH / _days(period))
        for period in periods
        if period
    ]
    if get(resource, "properties", "kty", default="").endswith("HSM"):
        meters.append(fixed("kms.hsm_key", "key in a hardware module", 1))
    return [*meters, per_use("secrets.key_vault_operations", "encryption key, calls", ctx.demand.key_calls)]


def _days(period: str) -> Decimal:
    """`P90D` -> 90, `P18M` -> 547.5, `P2Y` -> 730."""
    return Decimal(period[1:-1]) * {"D": Decimal(1), "M": DAYS_PER_MONTH, "Y": DAYS_PER_MONTH * 12}[period[-1]]


def _vault(resource: Resource, ctx: Context) -> list[Meter]:
    if role(resource) != "secrets":
        return []
    return [fixed("secrets.key_vault_operations", "secrets, calls", ctx.demand.idle_secret_reads)]


def _front_door(resource: Resource, ctx: Context) -> list[Meter]:
    return [
        fixed("network.front_door_standard_base", "Front Door Standard, base", 1),
        per_use("network.front_door_requests", "Front Door, requests", ctx.demand.requests),
        per_use("network.front_door_data", "Front Door, data out", ctx.demand.egress_gb),
    ]


def _firewall(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("network.front_door_waf", "firewall policy on Front Door Standard", 1)]


def _zone(resource: Resource, ctx: Context) -> list[Meter]:
    return [
        fixed("network.dns_zone", "DNS zone", 1),
        per_use("network.dns_queries", "DNS queries", ctx.demand.requests),
    ]


def _private_zone(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("network.private_dns_zone", "private DNS zones", 1)]


def _deployment(resource: Resource, ctx: Context) -> list[Meter]:
    """Pay as you go: a standard deployment reserves nothing."""
    name = get(resource, "properties", "model", "name")
    return list(chain.from_iterable(tokens(ctx, model) for model in ctx.models if model.partition("@")[0] == name))


def _backup(resource: Resource, ctx: Context) -> list[Meter]:
    """One protected instance each; weekly copies."""
    return [fixed("backup.vault_storage", f"backup of {role(resource)}", WEEKS_PER_MONTH)]


def _defender(resource: Resource, ctx: Context) -> list[Meter]:
    if get(resource, "pricingTier") != "Standard":
        return []
    clusters = ctx.of_type(CLUSTER)
    pools = [nodes for cluster in clusters for nodes in get(cluster, "agentPoolProfiles", default=[])]
    vcpus = sum(_vcpus(_size(nodes["vmSize"])) * _kept(nodes, ctx) for nodes in pools)
    return [fixed("security.defender_containers", "Defender for Containers, vCPU", vcpus)]


RULES: dict[str, Rule] = {
    SCALE_SET: _scale_set,
    CLUSTER: _cluster,
    "azure-native:containerservice:AgentPool": _agent_pool,
    "azure-native:dbforpostgresql:Server": _server,
    "azure-native:servicebus:Namespace": _bus,
    NAT: _nat,
    "azure-native:network:VirtualNetwork": _egress,
    "azure-native:network:PrivateEndpoint": _endpoint,
    "azure-native:network:FlowLog": _flow_log,
    "azure-native:containerregistry:Registry": _registry,
    "azure-native:storage:StorageAccount": _storage,
    "azure-native:operationalinsights:Workspace": _logs,
    "azure-native:monitor:AzureMonitorWorkspace": _prometheus,
    "azure-native:monitor:MetricAlert": _alert,
    "azure-native:keyvault:Key": _key,
    VAULT: _vault,
    FRONT_DOOR: _front_door,
    "azure-native:frontdoor:Policy": _firewall,
    "azure-native:dns:Zone": _zone,
    "azure-native:privatedns:PrivateZone": _private_zone,
    "azure-native:cognitiveservices:Deployment": _deployment,
    "azure-native:dataprotection:BackupInstance": _backup,
    "azure-native:security:Pricing": _defender,
}
