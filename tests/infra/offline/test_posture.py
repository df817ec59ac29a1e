"""The posture says what a stack goes without, even where no rule can see it."""

import datetime as dt

import pytest

from cost.bill import estimate
from cost.meter import HOURS_PER_MONTH
from infra.offline.plan import CLOUDS
from infra.offline.posture import _NATS, QUESTIONS, posture
from infra.preflight.local import load_settings
from tests.planned import Plans


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_disks_under_the_clouds_own_key_are_named(plans: Plans, profile: str) -> None:
    """EKS Auto Mode's default NodeClass is in no plan; whoever reads `encrypted` must hear of its disks."""
    assert (
        posture(plans["aws", profile])["encrypted"] == "yes, but disks of EKS Auto Mode nodes lie under AWS's own key"
    )
    azure = posture(plans["azure", profile])["encrypted"]
    assert (
        azure == "yes, but images lie under Microsoft's key; the bus, which holds ids alone, lies under Microsoft's key"
    )
    assert posture(plans["gcp", profile])["encrypted"] == "yes"


def test_models_that_no_policy_limits_are_named(plans: Plans) -> None:
    """Roles of AWS and Azure name models; Google's cannot, and the policy is a switch."""
    assert "any model of Vertex AI may be asked" in posture(plans["gcp", "prod"])["identity"]
    assert "model" not in posture(plans["aws", "prod"])["identity"] + posture(plans["azure", "prod"])["identity"]


def test_a_machine_of_our_own_lies_under_our_key(plans: Plans) -> None:
    """`small` has no EKS, and its launch template names the key (ENC-001)."""
    assert posture(plans["aws", "small"])["encrypted"] == "yes"


@pytest.mark.parametrize("profile", ["prod"])
def test_the_clouds_are_compared_with_equal_databases(plans: Plans, profile: str) -> None:
    """Two GiB beside sixteen made a comparison of nothing; where a way out is in one zone, the table says so."""
    answers = [posture(plans[cloud, profile]) for cloud in ("aws", "azure", "gcp")]
    assert {a["database"] for a in answers} == {"2 vCPU, 8 GiB, a standby in another zone"}
    assert [a["way out"] for a in answers] == ["NAT in 3 zones", "NAT in 1 zone", "NAT in every zone"]


def test_what_is_compared_is_chosen_alike() -> None:
    """Zones, private endpoints, database and its copies: one choice for all, or settings would be compared."""
    chosen = [load_settings(cloud, "prod") for cloud in CLOUDS]
    assert len({(s.network.zones, s.network.private_endpoints, s.database, s.cluster.nodes_max) for s in chosen}) == 1


@pytest.mark.parametrize(
    ("cloud", "gateways", "item"),
    [("aws", 3, "NAT gateway"), ("azure", 1, "NAT gateway"), ("gcp", 1, "NAT's public IPv4 address")],
)
def test_where_a_cloud_cannot_the_price_follows_what_is_planned(
    plans: Plans, cloud: str, gateways: int, item: str
) -> None:
    """Three gateways on AWS are three lines of the bill, one in one zone (Azure) or in every zone (Google) is one."""
    plan = plans[cloud, "prod"]
    planned = [r for r in plan.resources if r.type in _NATS]
    assert len(planned) == gateways
    hours = [line for line in estimate(plan, 24_000, today=dt.date(2026, 11, 22)).lines if line.item == item]
    assert sum(line.quantity for line in hours) == gateways * HOURS_PER_MONTH


def test_the_posture_of_two_clouds_differs_only_where_it_says_why(plans: Plans) -> None:
    """`yes` is the same `yes`; whatever one cloud has less of stands behind a `but`."""
    answers = [posture(plans[cloud, "prod"]) for cloud in CLOUDS]
    for question in QUESTIONS:
        said = {a[question] for a in answers}
        assert all(word == "yes" or word.startswith("yes, but ") for word in said), said
