"""The posture says what a stack goes without, even where no rule can see it."""

import pytest

from infra.offline.posture import posture
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
    assert {a["database"] for a in answers} == {"4 vCPU, 16 GiB, a standby in another zone"}
    assert [a["way out"] for a in answers] == ["NAT in 3 zones", "NAT in 1 zone", "NAT in every zone"]
