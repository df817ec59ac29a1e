"""Every size that settings offer has a price, and every machine with a price is a choice of the settings."""

import re
from itertools import chain

import pytest

from cost.book import load_book
from cost.rules import aws as aws_rules
from infra.aws import database as aws_database
from infra.aws import node as aws_node
from infra.azure import cluster as azure_cluster
from infra.azure import database as azure_database
from infra.azure import node as azure_node
from infra.gcp import cluster as gcp_cluster
from infra.gcp import database as gcp_database
from infra.gcp import node as gcp_node
from infra.offline.plan import CLOUDS
from infra.offline.posture import _SIZES
from infra.offline.room import AUTO_MODE
from infra.preflight.local import load_settings
from infra.preflight.quotas import quotas
from infra.settings import DatabaseSize

AZURE_DATABASES = [name for name, _ in azure_database.SKU.values()]
NODES = {
    "aws": {gib: names[0] for gib, names in aws_node.MACHINES.items()},
    "azure": {gib: name.removeprefix("Standard_") for gib, name in azure_node.MACHINE.items()},
    "gcp": gcp_node.MACHINE,
}
POOLS = {
    "aws": [*AUTO_MODE.values(), aws_rules.WORKER, aws_rules.GPU],
    "azure": [name.removeprefix("Standard_") for name in (*azure_cluster.MACHINE.values(), azure_cluster.GPU_MACHINE)],
    "gcp": [*gcp_cluster.MACHINE.values(), gcp_cluster.GPU_MACHINE],
}
DATABASES = {
    "aws": [f"rds.{name}.single_az" for name in aws_database.CLASS.values()],
    "azure": [f"flexible.{'B' if tier == 'Burstable' else 'GP'}_{name}" for name, tier in azure_database.SKU.values()],
    "gcp": [f"cloud_sql.{name.replace('-', '_')}" for name in gcp_database.TIER.values() if "custom" not in name],
}
# `m6g` and `t4g` stand in for `m7g` where spot has none of it; the bill goes by the first.
STAND_INS = {"aws": set(chain.from_iterable(aws_node.MACHINES.values())), "azure": set(), "gcp": set()}
FAMILY = {
    "aws": dict.fromkeys((4, 8, 16), "L-1216C47A"),
    "azure": {4: "standardBasv2Family", 8: "standardDSv5Family", 16: "standardDDSv5Family"},
    "gcp": {4: "CPUS", 8: "N2D_CPUS", 16: "N2D_CPUS"},
}


def test_every_database_size_is_in_the_posture() -> None:
    """A size that the settings offer and the posture does not know would be silent."""
    names = [*aws_database.CLASS.values(), *AZURE_DATABASES, *gcp_database.TIER.values()]
    assert set(names) == set(_SIZES)
    for sizes in (aws_database.CLASS, azure_database.SKU, gcp_database.TIER):
        assert set(sizes) == set(DatabaseSize)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_size_has_its_price(cloud: str) -> None:
    """`large` could be set and not be priced."""
    book = load_book(cloud)
    wanted = [f"vm.{name}.on_demand" for name in (*POOLS[cloud], *NODES[cloud].values())]
    wanted += [f"postgres.{name}" for name in DATABASES[cloud]]
    assert [row for row in wanted if row not in book] == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_machine_is_priced_that_no_setting_reaches(cloud: str) -> None:
    """Finance could read the prices of ten machines that nobody could choose."""
    machines = {*POOLS[cloud], *NODES[cloud].values(), *STAND_INS[cloud]}
    rows = [re.match(r"vm\.([\w-]+(?:\.\w+)?)\.(?:on_demand|spot|full_month)$", key) for key in load_book(cloud).prices]
    assert {row[1] for row in rows if row} - machines == set()
    databases = {
        key for key in load_book(cloud).prices if re.match(r"postgres\.(rds\.db|flexible\.\w+_S|cloud_sql\.db)", key)
    }
    assert databases - {f"postgres.{name}" for name in DATABASES[cloud]} == set()


@pytest.mark.parametrize("gib", [4, 8, 16])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_quotas_are_asked_for_the_machine_that_small_takes(cloud: str, gib: int) -> None:
    """Twice as many vCPUs at 16 GiB; the machine of 4 GiB is of another family."""
    sample = load_settings(cloud, "small")
    chosen = sample.cluster.model_copy(update={"memory_gib": gib, "spot": False})
    needed = {quota.code: quota.needed for quota in quotas(sample.model_copy(update={"cluster": chosen}))}
    assert needed[FAMILY[cloud][gib]] == (4 if gib == 16 else 2)
