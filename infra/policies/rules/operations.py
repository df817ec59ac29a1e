"""OPS: what a stack owes the people who run and pay for it."""

from collections.abc import Iterator
from typing import Any

from infra.kinds import kinds
from infra.offline.report import Resource
from infra.policies.rules.base import Breach, Stack, absent, at_least, dig, is_set, must, rule
from infra.policies.rules.network import AZURE_ITS_OWN

_BUDGETS = {
    "aws:budgets/budget:Budget": ("notifications", "threshold", 100),
    "azure-native:consumption:Budget": ("notifications", "threshold", 100),
    "gcp:billing/budget:Budget": ("thresholdRules", "thresholdPercent", 1),
}


@rule("OPS-001", "everything that costs carries the required tags")
def tagged(stack: Stack) -> Iterator[Breach]:
    for type_, service in kinds(stack.cloud).services.items():
        for r in stack.of(type_) if service.tags.at else []:
            missing = sorted(set(stack.company.required_tags) - set(dig(r.inputs, service.tags.at) or {}))
            if missing:
                yield r.urn, f"Tags are missing: {', '.join(missing)}"


@rule("OPS-002", "a budget speaks up before and when it is spent")
def budget(stack: Stack) -> Iterator[Breach]:
    budgets = stack.of(*_BUDGETS)
    if not budgets:
        yield absent(stack, "There is no budget")
    for r in budgets:
        field, share, full = _BUDGETS[r.type]
        rules = r.inputs.get(field) or []
        shares = [rule.get(share) for rule in (rules.values() if isinstance(rules, dict) else rules)]
        if full not in shares:
            yield r.urn, f"The budget says nothing at 100 % (it does at {shares})"


@rule("OPS-003", "logs have a stated end")
def log_retention(stack: Stack) -> Iterator[Breach]:
    message = "Logs would be kept forever, or by default"
    yield from must(stack.of("aws:cloudwatch/logGroup:LogGroup"), "retentionInDays", at_least(1), message)
    workspaces = stack.of("azure-native:operationalinsights:Workspace")
    yield from must(workspaces, "retentionInDays", at_least(30), message)
    yield from must(
        stack.of("gcp:logging/projectBucketConfig:ProjectBucketConfig"), "retentionDays", at_least(1), message
    )


@rule("OPS-004", "in prod Pulumi refuses to delete what holds data", profiles=("prod",))
def protected(stack: Stack) -> Iterator[Breach]:
    stateful = [type_ for type_, service in kinds(stack.cloud).services.items() if service.stateful]
    yield from ((r.urn, "Not protected; `pulumi destroy` would take it") for r in stack.of(*stateful) if not r.protect)


_EMPTIED = {
    "aws:backup/vault:Vault": "forceDestroy",
    "aws:ecr/repository:Repository": "forceDelete",
    "aws:s3/bucket:Bucket": "forceDestroy",
    "gcp:storage/bucket:Bucket": "forceDestroy",
}


@rule("OPS-006", "dev goes away with what is in it, and nothing else does", clouds=("aws", "gcp"))
def destroyed_when_full(stack: Stack) -> Iterator[Breach]:
    """A bucket that holds an object stops `pulumi destroy` halfway. Azure takes an account with its contents."""
    wanted = stack.profile == "dev"
    for type_, path in _EMPTIED.items():
        for r in stack.of(type_):
            if bool(r.inputs.get(path)) is not wanted:
                yield r.urn, f"{path} must be {wanted} in {stack.profile}"


@rule("OPS-007", "who opened what holds our data is written down", clouds=("azure", "gcp"))
def opened_is_logged(stack: Stack) -> Iterator[Breach]:
    """AWS's trail takes the calls to every service; here each is asked for."""
    told = {urn for r in stack.of(_DIAGNOSTIC) if r.inputs.get("logs") for urn in r.depends_on}
    audited = {str(r.inputs.get("service")) for r in stack.of("gcp:projects/iAMAuditConfig:IAMAuditConfig")}
    for type_, record in kinds(stack.cloud).services.items():
        asked = (record.login.at if stack.cloud == "azure" else record.stateful) and not (
            {"*", stack.profile} & set(record.unlogged)
        )
        api = f"{record.audit or kinds(stack.cloud).api_of(type_)}.googleapis.com"
        for r in stack.of(type_) if asked else ():
            if stack.cloud == "azure" and r.urn not in told and not r.name.endswith(AZURE_ITS_OWN):
                yield r.urn, "Nobody writes down who opened it: `diagnose` it, or say in `unlogged` of its record why"
            if stack.cloud == "gcp" and api not in audited:
                yield r.urn, f"Reads of {api} are not in the audit log: call `audit`, or say in `unlogged` why not"


_DIAGNOSTIC = "azure-native:monitor:DiagnosticSetting"


@rule("OPS-005", "everything stands in an allowed region, and in the stack's own")
def regions(stack: Stack) -> Iterator[Breach]:
    region, allowed = str(stack.contract.get("region") or ""), stack.company.allowed_regions
    if allowed and region and region not in allowed:
        yield absent(stack, f"Region {region} is not allowed; choose from {', '.join(allowed)}")
    yield from must(
        stack.of("azure-native:resources:ResourceGroup"), "location", is_set, "Everything stands where it does"
    )
    for r in stack.resources:
        place = _place(r)
        if region and place and not _is_in(place, region):
            yield r.urn, f"Stands in {place}, the stack in {region}"


def _is_in(place: str, region: str) -> bool:
    """The region, a zone of it, or everywhere; `eastus2` is not in `eastus`."""
    return place in (region, "global", "<computed>") or place.startswith(f"{region}-")


def _place(resource: Resource) -> str:
    value: Any = resource.inputs.get("location") or resource.inputs.get("region")
    return value.lower() if isinstance(value, str) else ""
