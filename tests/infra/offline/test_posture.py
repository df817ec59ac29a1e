"""The posture says what a stack goes without, even where no rule can see it."""

import pytest

from infra.offline.posture import posture
from tests.infra.conftest import Plans


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_disks_under_the_clouds_own_key_are_named(plans: Plans, profile: str) -> None:
    """EKS Auto Mode's default NodeClass is in no plan; whoever reads `encrypted` must hear of its disks."""
    assert (
        posture(plans["aws", profile])["encrypted"] == "yes, but disks of EKS Auto Mode nodes lie under AWS's own key"
    )
    assert posture(plans["azure", profile])["encrypted"] == "yes, but images lie under Microsoft's key"
    assert posture(plans["gcp", profile])["encrypted"] == "yes"


def test_models_that_no_policy_limits_are_named(plans: Plans) -> None:
    """Roles of AWS and Azure name models; Google's cannot, and the policy is a switch."""
    assert "any model of Vertex AI may be asked" in posture(plans["gcp", "prod"])["identity"]
    assert "model" not in posture(plans["aws", "prod"])["identity"] + posture(plans["azure", "prod"])["identity"]


def test_a_machine_of_our_own_lies_under_our_key(plans: Plans) -> None:
    """`small` has no EKS, and its launch template names the key (ENC-001)."""
    assert posture(plans["aws", "small"])["encrypted"] == "yes"
