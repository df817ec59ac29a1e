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


def test_every_size_has_a_price_and_a_row(plans: Plans) -> None:
    """A size that the settings offer and the posture or the price book does not know would be silent."""
    from cost.book import load_book
    from infra.aws.database import CLASS
    from infra.azure.database import SKU
    from infra.gcp.database import TIER
    from infra.offline.posture import _SIZES

    names = [*CLASS.values(), *(name for name, _ in SKU.values()), *TIER.values()]
    assert set(names) == set(_SIZES)
    assert all(f"postgres.rds.{name}.single_az" in load_book("aws") for name in CLASS.values())


def test_every_cluster_size_has_its_prices() -> None:
    """`large` could be set and not be priced. On AWS pods choose the machine."""
    from cost.book import load_book
    from infra.azure.cluster import MACHINE as AZURE
    from infra.gcp.cluster import MACHINE as GCP

    for cloud, machines in (("azure", AZURE), ("gcp", GCP)):
        book, names = load_book(cloud), [name.removeprefix("Standard_") for name in machines.values()]
        assert [n for n in names if f"vm.{n}.on_demand" not in book or f"vm.{n}.spot" not in book] == []
