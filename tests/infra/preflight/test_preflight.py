"""What preflight finds missing, per cloud: AWS on moto's server, Azure and Google Cloud on recorded answers."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.checks import Outcome, Verdict, run_checks
from infra.preflight import aws, azure, gcp, local
from infra.preflight.quotas import quotas
from infra.settings import Settings, parse
from services.core.kit.errors import ConfigurationInvalid
from tests.infra.servers import cloud, says


def settings(cloud_: str, profile: str = "dev", **changed: Any) -> Settings:
    return local.load_settings(cloud_, profile).model_copy(update=changed)


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {o.name: o for o in outcomes}


def test_sample_stacks_are_told_to_use_their_own_values() -> None:
    """Nobody deploys example.com by accident."""
    found = by_name(run_checks(local.checks(settings("aws"))))["placeholders are replaced"]
    assert found.verdict is Verdict.MISSING
    assert "edge.domain" in found.fact


def test_a_tool_that_is_not_there_comes_with_its_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty PATH: each tool of this cloud is missing, those of the others are not asked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = by_name(run_checks(local.checks(settings("azure"))))
    assert found["az is installed"].fix.startswith("https://")
    assert "gcloud is installed" not in found


def test_a_tool_that_is_there_says_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program is really run."""
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho v3.200.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = by_name(run_checks(local.checks(settings("aws", "small"))))
    assert found["pulumi is installed"].fact == "v3.200.0"


def test_an_old_budget_month_is_a_warning() -> None:
    """Azure refuses a budget that starts in the past."""
    stack = settings("azure")
    old = stack.model_copy(update={"budget": stack.budget.model_copy(update={"start_month": "2020-01"})})
    found = by_name(run_checks(local.checks(old)))["the budget starts this month or later"]
    assert found.verdict is Verdict.WARNING


def test_quotas_grow_with_the_stack() -> None:
    """Prod asks for more of everything than dev, and small for next to nothing."""
    for cloud_ in ("aws", "azure", "gcp"):
        dev, prod = ({q.code: q.needed for q in quotas(settings(cloud_, p))} for p in ("dev", "prod"))
        assert all(prod[code] >= needed for code, needed in dev.items())
        assert sum(q.needed for q in quotas(settings(cloud_, "small"))) < sum(dev.values())


def test_aws_counts_what_is_free_and_names_the_command(moto_url: str, aws_credentials: None) -> None:
    """A region allows five VPCs: with five in use none is free, whatever the limit says."""
    ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=moto_url)
    used = len(ec2.describe_vpcs()["Vpcs"])
    client = boto3.client("service-quotas", region_name="us-east-1", endpoint_url=moto_url)
    allowed = client.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")["Quota"]["Value"]
    found = by_name(run_checks(aws.checks(settings("aws", "prod"), endpoint=moto_url)))
    assert found["signed in"].verdict is Verdict.OK
    assert found["the region is on"].fact == "us-east-1"
    assert found["quota L-F678F1CE"].fact == f"VPCs per Region: {allowed - used:g} free, 1 needed"
    made = [ec2.create_vpc(CidrBlock=f"10.{i}.0.0/16")["Vpc"]["VpcId"] for i in range(int(allowed) - used)]
    try:
        full = by_name(run_checks(aws.checks(settings("aws", "prod"), endpoint=moto_url)))["quota L-F678F1CE"]
    finally:
        for vpc in made:
            ec2.delete_vpc(VpcId=vpc)
    assert (full.verdict, full.fact) == (Verdict.MISSING, "VPCs per Region: 0 free, 1 needed")
    assert full.fix.endswith(f"--quota-code L-F678F1CE --desired-value {allowed + 1:g}")


def test_aws_small_needs_the_scaling_role(moto_url: str, aws_credentials: None) -> None:
    """Missing at first; there once it is made."""
    small = settings("aws", "small")
    missing = by_name(run_checks(aws.checks(small, endpoint=moto_url)))["Auto Scaling's own role"]
    assert missing.verdict is Verdict.MISSING
    assert "create-service-linked-role" in missing.fix
    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=moto_url)
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    there = by_name(run_checks(aws.checks(small, endpoint=moto_url)))["Auto Scaling's own role"]
    assert there.verdict is Verdict.OK


AZURE = {
    r"GET /subscriptions/s/providers/Microsoft.Features": says({"properties": {"state": "Registered"}}),
    r"GET /subscriptions/s/providers/Microsoft.Compute/locations/eastus/usages": says(
        {
            "value": [
                {"name": {"value": "cores"}, "currentValue": 0, "limit": 100},
                {"name": {"value": "standardDDSv5Family"}, "currentValue": 96, "limit": 100},
                {"name": {"value": "lowPriorityCores"}, "currentValue": 0, "limit": 100},
            ]
        }
    ),
    r"GET /subscriptions/s/providers/Microsoft.CognitiveServices/locations/eastus/models": says(
        {"value": [{"model": {"name": "gpt-5-nano", "version": "2025-08-07"}}]}
    ),
    r"GET /subscriptions/s/providers/Microsoft.Cdn": says({"registrationState": "NotRegistered"}),
    r"GET /subscriptions/s/providers/Microsoft\.\w+\?": says({"registrationState": "Registered"}),
    r"GET /subscriptions/s\?": says({"state": "Enabled", "displayName": "Pointsman"}),
}


def test_azure_names_what_to_register_and_to_raise() -> None:
    """Four of a hundred cores are free; one provider is off; one model is not offered here."""
    with cloud(AZURE) as manager:
        stack = settings("azure", account="s")
        found = by_name(run_checks(azure.checks(stack, arm=manager.url, token=lambda: "any")))
    assert found["signed in"].fact == "Pointsman"
    assert found["provider Microsoft.Cdn"].fix == "az provider register --namespace Microsoft.Cdn"
    assert found["provider Microsoft.Compute"].verdict is Verdict.OK
    assert found["quota standardDDSv5Family"].fact == "Standard DDSv5 Family vCPUs: 4 free, 6 needed"
    assert found["quota cores"].verdict is Verdict.OK
    assert found["model gpt-5-nano@2025-08-07"].verdict is Verdict.OK
    assert "not offered in eastus" in found["model gpt-5-mini@2025-08-07"].fact


def google(billed_to: str = "000000-000000-000000") -> dict[str, Any]:
    quota = [
        {"metric": "N2D_CPUS", "limit": 24.0, "usage": 0.0},
        {"metric": "PREEMPTIBLE_CPUS", "limit": 0.0, "usage": 0.0},
    ]
    return {
        r"GET /cloudresourcemanager/v3/projects/example-dev": says({"state": "ACTIVE", "displayName": "Example"}),
        r"GET /cloudbilling/v1/projects/example-dev/billingInfo": says(
            {"billingEnabled": True, "billingAccountName": f"billingAccounts/{billed_to}"}
        ),
        r"GET /compute/compute/v1/projects/example-dev/regions/us-central1": says({"quotas": quota}),
        r"GET /compute/compute/v1/projects/example-dev$": says(
            {"quotas": [{"metric": "NETWORKS", "limit": 15.0, "usage": 15.0}]}
        ),
        r"GET /aiplatform/v1/publishers/google/models/gemini-3.1-flash-lite": says({"launchStage": "GA"}),
    }


def test_google_counts_what_is_free_not_what_is_allowed() -> None:
    """Fifteen networks of fifteen are in use: none is left."""
    with cloud(google()) as server:
        found = by_name(run_checks(gcp.checks(settings("gcp"), base=server.url + "/{api}", token=lambda: "any")))
    assert found["quota N2D_CPUS"].verdict is Verdict.OK
    assert found["quota NETWORKS"].fact == "VPC networks: 0 free, 1 needed"
    assert found["quota PREEMPTIBLE_CPUS"].verdict is Verdict.MISSING
    assert found["billing is on"].verdict is Verdict.OK
    assert found["model gemini-3.1-flash-lite"].fact == "gemini-3.1-flash-lite is GA"


def test_google_project_billed_elsewhere_is_found() -> None:
    """A budget on the wrong account would watch nothing."""
    with cloud(google("111111-111111-111111")) as server:
        found = by_name(run_checks(gcp.checks(settings("gcp"), base=server.url + "/{api}", token=lambda: "any")))
    assert found["billing is on"].fix == "Set budget.billing_account to 111111-111111-111111"


def test_unknown_stack_is_refused() -> None:
    """A profile without a file is a mistake on the command line."""
    with pytest.raises(ConfigurationInvalid, match="No stack aws/stage"):
        local.load_settings("aws", "stage")


def test_settings_survive_a_round_trip() -> None:
    """What a stack's file says is what the program gets: JSON out, JSON in, the same settings."""
    raw = json.loads(settings("gcp", "prod").model_dump_json(exclude={"cloud", "environment"}))
    assert parse("gcp", "prod", raw) == settings("gcp", "prod")
