"""AWS: resource type and inputs to meters."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain
from typing import Any

from cost.meter import DAYS_PER_MONTH, HOURS_PER_MONTH, Meter, fixed, per_use
from cost.rules.context import Context, Rule, above, get, gpus, machine, pool, role, tokens
from infra.contract import RUN_GIB
from infra.offline.report import Resource

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
NAT = "aws:ec2/natGateway:NatGateway"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ECR = "aws:ecr/repository:Repository"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a resource type
CLUSTER = "aws:rds/cluster:Cluster"
AUTO_MODE_DISK_GB = 80  # default ephemeralStorage of a NodeClass, docs.aws.amazon.com/eks/latest/userguide
WORKER, WORKER_VCPUS = "m7a.xlarge", 4
GPU = "g6.xlarge"
KEY_ROTATIONS_BILLED = 2


def _scaling_group(resource: Resource, ctx: Context) -> list[Meter]:
    count = get(resource, "desiredCapacity", default=get(resource, "minSize", default=0))
    chosen = get(resource, "mixedInstancesPolicy", "launchTemplate", "overrides", default=[])
    template = ctx.first(LAUNCH_TEMPLATE)
    sizes = [o["instanceType"] for o in chosen] or [get(template, "instanceType") if template else ""]
    shares = get(resource, "mixedInstancesPolicy", "instancesDistribution", default={})
    spot = shares.get("onDemandPercentageAboveBaseCapacity") == 0 and not shares.get("onDemandBaseCapacity")
    priced = [size for size in sizes if f"vm.{size}.spot" in ctx.book] if spot else []
    return machine(ctx, (priced or sizes)[0], count, spot=spot)


def _launch_template(resource: Resource, ctx: Context) -> Iterable[Meter]:
    count = sum(get(group, "desiredCapacity", default=1) for group in ctx.of_type(GROUP))
    for disk in get(resource, "blockDeviceMappings", default=[]):
        kind = disk["ebs"]["volumeType"]
        yield fixed(f"block.ebs_{kind}", f"node disk {kind}", Decimal(disk["ebs"]["volumeSize"]) * count)


def _egress(resource: Resource, ctx: Context) -> list[Meter]:
    price, item = "network.egress_internet", "data out to the internet"
    return [fixed(price, f"{item}, idle", ctx.demand.idle_egress_gb), per_use(price, item, ctx.demand.egress_gb)]


def _instance(resource: Resource, ctx: Context) -> list[Meter]:
    copies = 2 if get(resource, "multiAz") else 1
    size, storage = get(resource, "instanceClass"), get(resource, "allocatedStorage")
    price = f"postgres.rds.storage_{get(resource, 'storageType', default='gp3')}"
    return [
        fixed(f"postgres.rds.{size}.single_az", f"PostgreSQL {size}", HOURS_PER_MONTH * copies),
        fixed(price, "PostgreSQL storage", Decimal(storage) * copies),
        per_use(price, "PostgreSQL storage, growth", above(ctx.demand.database_gb, storage) * copies),
        *_managed_password(resource),
    ]


def _aurora(resource: Resource, ctx: Context) -> list[Meter]:
    idle_h = Decimal(str(_acu_min(resource))) * HOURS_PER_MONTH
    acu = "postgres.aurora_serverless_v2.acu"
    return [
        per_use(acu, "Aurora ACU above the minimum", above(ctx.demand.database_acu_h, idle_h)),
        per_use("postgres.aurora.storage", "Aurora storage", ctx.demand.database_gb),
        per_use("postgres.aurora.io", "Aurora I/O", ctx.demand.database_io),
        *_managed_password(resource),
    ]


def _aurora_instance(resource: Resource, ctx: Context) -> list[Meter]:
    cluster = ctx.first(CLUSTER)
    capacity = Decimal(str(_acu_min(cluster))) if cluster else Decimal(0)
    price = "postgres.aurora_serverless_v2.acu"
    return [fixed(price, "Aurora minimum ACU, one instance each", capacity * HOURS_PER_MONTH)]


def _acu_min(cluster: Resource) -> Any:
    return get(cluster, "serverlessv2ScalingConfiguration", "minCapacity", default=0)


def _managed_password(resource: Resource) -> list[Meter]:
    """`manageMasterUserPassword` makes a secret that no program registers."""
    if not get(resource, "manageMasterUserPassword"):
        return []
    return [fixed("secrets.secrets_manager_secret", "secret with the administrator's password", 1)]


def _nat(resource: Resource, ctx: Context) -> list[Meter]:
    gateways = len(ctx.of_type(NAT))
    return [
        fixed("network.nat_hour", "NAT gateway", HOURS_PER_MONTH),
        fixed("network.nat_data", "NAT gateway, data, idle", ctx.demand.idle_nat_gb / gateways),
        per_use("network.nat_data", "NAT gateway, data", ctx.demand.nat_gb / gateways),
    ]


def _endpoint(resource: Resource, ctx: Context) -> list[Meter]:
    """A gateway endpoint (S3) is free."""
    if get(resource, "vpcEndpointType") != "Interface":
        return []
    zones = len(get(resource, "subnetIds", default=[]))
    meters = [fixed("network.private_endpoint_hour", "interface endpoints, per zone", HOURS_PER_MONTH * zones)]
    if get(resource, "serviceName").endswith(".logs"):
        meters.append(per_use("network.private_endpoint_data", "interface endpoint, logs", ctx.demand.log_gb))
    return meters


def _eks(resource: Resource, ctx: Context) -> list[Meter]:
    size, count = ctx.always_on
    return [
        fixed("k8s.control_plane.standard", "EKS control plane", HOURS_PER_MONTH),
        *machine(ctx, size, count, spot=False, what="Auto Mode node"),
        fixed(f"k8s.auto_mode.{size}", "Auto Mode fee", count * HOURS_PER_MONTH),
        fixed("block.ebs_gp3", "Auto Mode node disk", count * AUTO_MODE_DISK_GB),
        fixed("block.ebs_gp3", "disk of an unfinished training", RUN_GIB),
        *chain.from_iterable(_node_pool(m, ctx) for m in ctx.stack.contract.get("cluster", {}).get("manifests", ())),
    ]


def _node_pool(manifest: dict[str, Any], ctx: Context) -> Iterable[Meter]:
    """The platform layer applies it; its machines are on this stack's bill."""
    needs = manifest["spec"]["template"]["spec"]["requirements"]
    spot = any("spot" in need["values"] for need in needs)
    is_gpu = manifest["metadata"]["name"] == "gpu"
    meters = gpus(ctx, GPU, spot=spot) if is_gpu else pool(ctx, WORKER, spot=spot, vcpus=WORKER_VCPUS)
    fee = f"k8s.auto_mode.{GPU if is_gpu else WORKER}"
    return chain(meters, [Meter(fee, f"Auto Mode fee, {m.item}", m.quantity, m.fixed) for m in meters])


def _load_balancer(resource: Resource, ctx: Context) -> Iterable[Meter]:
    yield fixed("network.alb_hour", "application load balancer", HOURS_PER_MONTH)
    yield per_use("network.alb_lcu", "load balancer capacity, 1 GB an hour each", ctx.demand.egress_gb)
    if not get(resource, "internal"):
        zones = len(get(resource, "subnets", default=[]))
        yield fixed("network.public_ipv4", "load balancer's public IPv4, per zone", HOURS_PER_MONTH * zones)


def _web_acl(resource: Resource, ctx: Context) -> list[Meter]:
    return [
        fixed("network.waf_acl", "web ACL", 1),
        fixed("network.waf_rule", "web ACL rules", len(get(resource, "rules", default=[]))),
        per_use("network.waf_requests", "requests inspected", ctx.demand.requests),
    ]


def _log_group(resource: Resource, ctx: Context) -> list[Meter]:
    """Idle logs are spread over the groups; what tickets cause goes to the platform's. Stored as long as set."""
    idle = ctx.demand.idle_log_gb / len(ctx.of_type(LOG_GROUP))
    own = ctx.demand.log_gb if role(resource) == "platform" else Decimal(0)
    months = Decimal(get(resource, "retentionInDays", default=30)) / DAYS_PER_MONTH
    ingest, storage = "logs.cloudwatch_ingest", "logs.cloudwatch_storage"
    return [
        fixed(ingest, "logs taken in, idle", idle),
        per_use(ingest, "logs taken in", own),
        fixed(storage, "logs kept, idle", idle * months),
        per_use(storage, "logs kept", own * months),
    ]


def _prometheus(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("metrics.prometheus_ingest", "metric samples", ctx.demand.idle_samples)]


def _alarm(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("metrics.cloudwatch_alarm", "alarms", 1)]


def _images(resource: Resource, ctx: Context) -> list[Meter]:
    return [fixed("registry.ecr_storage", "container images", ctx.demand.images_gb / len(ctx.of_type(ECR)))]


def _bucket(resource: Resource, ctx: Context) -> list[Meter]:
    """Audit and deploy buckets hold megabytes: nothing that shows."""
    asked, standard = ctx.demand, "object_storage.s3_standard"
    return {
        "lake": [
            per_use(standard, "event lake", asked.lake_gb),
            per_use("object_storage.s3_put", "objects written", asked.object_writes),
        ],
        "documents": [
            fixed(standard, "documents", asked.documents_gb),
            per_use("object_storage.s3_get", "objects read", asked.object_reads),
        ],
        "models": [fixed(standard, "models", asked.models_gb)],
    }.get(role(resource), [])


def _key(resource: Resource, ctx: Context) -> list[Meter]:
    meters = [
        fixed("kms.key", "encryption key", 1),
        per_use("kms.requests", "encryption key, calls", ctx.demand.key_calls),
    ]
    if get(resource, "enableKeyRotation"):
        period = Decimal(get(resource, "rotationPeriodInDays", default=365))
        rotations = int(ctx.assumptions["key_age_months"] * DAYS_PER_MONTH / period)
        meters.append(fixed("kms.key_rotation", "encryption key, rotated", min(rotations, KEY_ROTATIONS_BILLED)))
    return meters


def _secret(resource: Resource, ctx: Context) -> list[Meter]:
    reads = ctx.demand.idle_secret_reads / len(ctx.of_type(SECRET))
    return [
        fixed("secrets.secrets_manager_secret", "secrets", 1),
        fixed("secrets.secrets_manager_api", "secrets, calls", reads),
    ]


def _topic(resource: Resource, ctx: Context) -> list[Meter]:
    return (
        [per_use("messaging.sns_publish", "events published", ctx.demand.events)] if role(resource) == "events" else []
    )


def _queue(resource: Resource, ctx: Context) -> list[Meter]:
    """Send, receive, delete."""
    if role(resource) != "events":
        return []
    return [per_use("messaging.sqs_standard", "events queued, three calls each", ctx.demand.events * 3)]


def _zone(resource: Resource, ctx: Context) -> list[Meter]:
    return [
        fixed("network.dns_zone", "DNS zone", 1),
        per_use("network.dns_queries", "DNS queries", ctx.demand.requests),
    ]


def _backup(resource: Resource, ctx: Context) -> list[Meter]:
    copied = ctx.demand.documents_gb + ctx.demand.models_gb
    price = "postgres.aurora.backup" if ctx.first(CLUSTER) else "postgres.rds.backup"
    return [
        per_use(price, "database backups, one full copy", ctx.demand.database_gb),
        fixed("backup.s3_storage", "copies of objects", copied),
    ]


def _profile(resource: Resource, ctx: Context) -> list[Meter]:
    source = get(resource, "modelSource", "copyFrom", default="")
    return list(chain.from_iterable(tokens(ctx, model) for model in ctx.models if model in source))


RULES: dict[str, Rule] = {
    GROUP: _scaling_group,
    LAUNCH_TEMPLATE: _launch_template,
    "aws:ec2/internetGateway:InternetGateway": _egress,
    "aws:rds/instance:Instance": _instance,
    CLUSTER: _aurora,
    "aws:rds/clusterInstance:ClusterInstance": _aurora_instance,
    NAT: _nat,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:eks/cluster:Cluster": _eks,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:wafv2/webAcl:WebAcl": _web_acl,
    LOG_GROUP: _log_group,
    "aws:amp/workspace:Workspace": _prometheus,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    ECR: _images,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:kms/key:Key": _key,
    SECRET: _secret,
    "aws:sns/topic:Topic": _topic,
    "aws:sqs/queue:Queue": _queue,
    "aws:route53/zone:Zone": _zone,
    "aws:backup/plan:Plan": _backup,
    "aws:bedrock/inferenceProfile:InferenceProfile": _profile,
}
