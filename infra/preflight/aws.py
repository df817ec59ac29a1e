"""What the AWS account must have: a session, the region, quotas, models, and the role of Auto Scaling."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.checks import Check, NotAsExpected
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
    allowed = client.get_service_quota(ServiceCode=quota.scope, QuotaCode=quota.code)["Quota"]["Value"]
    if allowed < quota.needed:
        wanted = f"--service-code {quota.scope} --quota-code {quota.code} --desired-value {quota.needed:g}"
        fix = f"aws service-quotas request-service-quota-increase {wanted}"
        raise NotAsExpected(f"{quota.name}: {allowed:g}, {quota.needed:g} needed", fix=fix)
    return f"{quota.name}: {allowed:g}, {quota.needed:g} needed"


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
