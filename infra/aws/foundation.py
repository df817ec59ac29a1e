"""The account this stack lives in, and one view over everything tagged as ours."""

import json
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import Input, Output, Resource

from infra.capabilities import Scope

# "does not support creating clusters in these zones": docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
REFUSED_BY_EKS = ("use1-az3", "usw1-az2", "cac1-az3")


@dataclass(frozen=True)
class AwsFoundation:
    account: Output[str]
    zones: Output[list[str]]  # ids: the names of zones differ from account to account
    ready: tuple[Resource, ...] = ()


def build(scope: Scope) -> AwsFoundation:
    settings = scope.settings
    tags = [{"Key": key, "Values": [settings.required_tags[key]]} for key in ("application", "environment")]
    query = {"ResourceTypeFilters": ["AWS::AllSupported"], "TagFilters": tags}
    aws.resourcegroups.Group(
        scope.name("all"),
        name=settings.prefix,
        description=f"Everything of {settings.prefix}",
        resource_query={"type": "TAG_FILTERS_1_0", "query": json.dumps(query)},
        opts=scope.own(),
    )
    zones = aws.get_availability_zones_output(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        exclude_zone_ids=REFUSED_BY_EKS,
    )
    return AwsFoundation(account=aws.get_caller_identity_output().account_id, zones=zones.zone_ids)


def account(foundation: AwsFoundation) -> Input[str]:
    """What the contract calls the account."""
    return foundation.account
