"""What the AWS account must have: a session, the region, quotas, models, and the role of Auto Scaling."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.checks import Check, NotAsExpected, Verdict
from infra.preflight.quotas import Quota, quotas
from infra.settings import Settings


@dataclass(frozen=True)
class Account:
    settings: Settings
    session: Any
    endpoint: str | None

    def client(self, service: str) -> Any:
        return self.session.client(service, region_name=self.settings.region, endpoint_url=self.endpoint)


def checks(settings: Settings, *, endpoint: str | None = None) -> Iterator[tuple[str, Check]]:
    """`endpoint` is a server that stands in for AWS."""
    import boto3

    account = Account(settings, boto3.Session(region_name=settings.region), endpoint)
    yield "signed in", lambda: _signed_in(account)
    yield "the region is on", lambda: _region(account)
    for quota in quotas(settings):
        yield f"quota {quota.code}", lambda quota=quota: _quota(account, quota)
    for model in settings.models.names:
        yield f"model {model}", lambda model=model: _model(account, model)
    if settings.is_small:
        yield "Auto Scaling's own role", lambda: _scaling_role(account)


def _signed_in(account: Account) -> str:
    return account.client("sts").get_caller_identity()["Arn"]


def _region(account: Account) -> str:
    name = account.settings.region
    found = account.client("ec2").describe_regions(RegionNames=[name], AllRegions=True)["Regions"][0]
    if found.get("OptInStatus") == "not-opted-in":
        raise NotAsExpected(f"{name} is off", fix=f"aws account enable-region --region-name {name}")
    return name


def _quota(account: Account, quota: Quota) -> str:
    client = account.client("service-quotas")
    found = client.get_service_quota(ServiceCode=quota.scope, QuotaCode=quota.code)["Quota"]
    used = _used(account, quota, found)
    free = found["Value"] - used
    fact = f"{quota.name}: {free:g} free, {quota.needed:g} needed"
    if free < quota.needed:
        wanted = f"--service-code {quota.scope} --quota-code {quota.code} --desired-value {used + quota.needed:g}"
        raise NotAsExpected(fact, fix=f"aws service-quotas request-service-quota-increase {wanted}")
    return fact


def _used(account: Account, quota: Quota, found: dict[str, Any]) -> float:
    """Counted, where AWS keeps no metric of it."""
    if quota.code in _COUNTED:
        return _COUNTED[quota.code](account)
    metric = found.get("UsageMetric")
    if not metric:
        fix = "Look at Service Quotas in the console"
        raise NotAsExpected(f"{quota.name}: AWS does not say what is in use", fix=fix, verdict=Verdict.UNKNOWN)
    return _measured(account, metric)


def _listed(account: Account, service: str, operation: str, key: str) -> list[Any]:
    return [item for page in account.client(service).get_paginator(operation).paginate() for item in page[key]]


def _gateways(account: Account) -> int:
    """The limit is per zone: the fullest zone decides."""
    zones = {s["SubnetId"]: s["AvailabilityZone"] for s in _listed(account, "ec2", "describe_subnets", "Subnets")}
    there = _listed(account, "ec2", "describe_nat_gateways", "NatGateways")
    counts = Counter(zones.get(g["SubnetId"]) for g in there if g["State"] in ("pending", "available"))
    return max(counts.values(), default=0)


_COUNTED: dict[str, Callable[[Account], int]] = {
    "L-0263D0A3": lambda account: len(account.client("ec2").describe_addresses()["Addresses"]),
    "L-F678F1CE": lambda account: len(_listed(account, "ec2", "describe_vpcs", "Vpcs")),
    "L-FE5A380F": _gateways,
    "L-29B6F2EB": lambda _: 0,  # endpoints are counted per VPC, and ours is new
    "L-7B6409FD": lambda account: len(_listed(account, "rds", "describe_db_instances", "DBInstances")),
    "L-1194D53C": lambda account: len(_listed(account, "eks", "list_clusters", "clusters")),
}


def _measured(account: Account, metric: dict[str, Any]) -> float:
    """The most of the last hour; no data means that none is in use."""
    now = datetime.now(UTC)
    dimensions = [{"Name": name, "Value": value} for name, value in metric["MetricDimensions"].items()]
    points = account.client("cloudwatch").get_metric_statistics(
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=dimensions,
        StartTime=now - timedelta(hours=1),
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((p["Maximum"] for p in points), default=0)


def _model(account: Account, model: str) -> str:
    found = account.client("bedrock").get_foundation_model_availability(modelId=model)
    if found.get("authorizationStatus") != "AUTHORIZED" or found.get("entitlementAvailability") != "AVAILABLE":
        fix = "Open Bedrock > Model access in the console of this region and accept the model's terms"
        raise NotAsExpected(f"{model} is not open to this account", fix=fix)
    return f"{model} may be asked"


def _scaling_role(account: Account) -> str:
    """The disk's key is granted to this role, so it must exist before the scaling group."""
    from botocore.exceptions import ClientError

    try:
        account.client("iam").get_role(RoleName="AWSServiceRoleForAutoScaling")
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "NoSuchEntity":
            raise
        fix = "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com"
        raise NotAsExpected("AWSServiceRoleForAutoScaling does not exist yet", fix=fix) from exc
    return "AWSServiceRoleForAutoScaling exists"
