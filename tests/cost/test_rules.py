"""From resources to meters: every type is known, and what is chosen in infra shows in the bill."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from cost.bill import estimate
from cost.estimate import Estimate
from cost.meter import HOURS_PER_MONTH
from cost.rules import RULES, ResourceUnpriced, by_the_hour, free_types
from cost.rules.context import priced_name
from infra.kinds import Hourly
from infra.offline.plan import CLOUDS
from services.core.kit.errors import InputInvalid
from tests.cost.conftest import TODAY
from tests.cost.stacks import AWS, AZURE, GCP, ROUND, resource, stack
from tests.planned import Plans

LISTS = Path(__file__).parents[1] / "infra" / "golden"


def bill(plan, tickets: int = 10_000) -> Estimate:
    return estimate(plan, tickets, scenario=ROUND, today=TODAY)


def usd(plan, *words: str) -> Decimal:
    """What the lines cost whose item holds one of the words."""
    return sum((line.amount_usd for line in bill(plan).lines if any(word in line.item for word in words)), Decimal(0))


def changed(plan, name: str, **inputs):
    """The plan with some inputs of one resource changed."""
    resources = [
        r.model_copy(update={"inputs": {**r.inputs, **inputs}}) if r.name.endswith(name) else r for r in plan.resources
    ]
    return plan.model_copy(update={"resources": tuple(resources)})


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_resource_type_of_every_stack_has_a_rule_or_a_reason(cloud):
    lists = "\n".join(path.read_text(encoding="utf-8") for path in LISTS.glob(f"{cloud}-*.txt"))
    types = {line.split()[1] for line in lists.splitlines() if line and not line.startswith("#")}
    assert types <= set(RULES[cloud]) | set(free_types(cloud))
    assert all(re.fullmatch(r".{4,90}", reason) for reason in free_types(cloud).values())
    assert not set(RULES[cloud]) & set(free_types(cloud))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_model_of_ones_own_is_on_the_bill_all_month(plans: Plans, cloud: str) -> None:
    """A GPU machine for each replica, beside the training's; triage asks no model of the cloud any more."""
    own = ROUND.model_copy(update={"own_models": 2})
    before = estimate(plans[cloud, "prod"], 10_000, scenario=ROUND, today=TODAY)
    after = estimate(plans[cloud, "prod"], 10_000, scenario=own, today=TODAY)
    (served,) = [line for line in after.lines if line.item.startswith("own model on ")]
    assert (served.quantity, served.fixed) == (2 * HOURS_PER_MONTH, True)
    assert served.amount_usd > 0
    assert any("triage, tokens" in line.item for line in before.lines)
    assert not any("triage, tokens" in line.item for line in after.lines)
    fees = [line for line in after.lines if line.item.startswith("Auto Mode fee, own model")]
    assert len(fees) == (cloud == "aws")
    with pytest.raises(InputInvalid, match=f"{cloud}/small has no GPU machines"):
        estimate(plans[cloud, "small"], 1_000, scenario=own, today=TODAY)


def test_a_type_without_a_rule_is_an_error_that_says_where_to_add_it():
    plan = stack("aws", resource("aws:redshift/cluster:Cluster", "warehouse"))
    with pytest.raises(
        ResourceUnpriced, match=r"aws:redshift/cluster:Cluster.*cost/rules/aws\.py.*infra/kinds/aws\.yaml"
    ):
        bill(plan)


@pytest.mark.parametrize(
    ("times", "inputs", "count"),
    [
        ({}, {"numCacheClusters": 2}, 1),
        ({"numCacheClusters": "n"}, {"numCacheClusters": 2}, 2),
        ({"numCacheClusters": "n"}, {}, 1),
        ({"shardCount": "n", "replicaCount": "n+1"}, {"shardCount": 3, "replicaCount": 1}, 6),
        ({"sku.capacity": "n", "highAvailability": "1"}, {"sku": {"capacity": 2}, "highAvailability": "Enabled"}, 2),
    ],
)
def test_an_hourly_price_is_of_each_machine(times, inputs, count):
    """Two nodes of a cache cost twice what its record says of one."""
    rule = by_the_hour(Hourly(row="cache", item="cache", times=times))
    (meter,) = rule(resource("aws:elasticache/replicationGroup:ReplicationGroup", "cache", **inputs), None)
    assert meter.quantity == HOURS_PER_MONTH * count


def test_the_real_stacks_ask_only_for_rows_that_exist(plans: Plans):
    for plan in plans.values():
        assert estimate(plan, 1_000, today=TODAY).lines


def test_what_has_no_price_is_listed_as_a_gap_in_the_real_stacks(plans: Plans):
    gaps = estimate(plans["azure", "prod"], 1_000, today=TODAY).gaps
    assert any("Defender" in gap for gap in gaps)
    assert any("hardware module" in gap for gap in gaps)


def test_two_copies_of_the_database_cost_twice_one():
    for plan, name, single in (
        (AWS, "database", {"multiAz": False}),
        (AZURE, "database", {"highAvailability": {"mode": "Disabled"}}),
        (GCP, "database", {"settings": {"tier": "db-custom-2-8192", "availabilityType": "ZONAL", "diskSize": 10}}),
    ):
        both, one = usd(plan, "PostgreSQL"), usd(changed(plan, name, **single), "PostgreSQL")
        assert both == 2 * one


def test_a_node_on_demand_costs_more_than_on_spot():
    policy = {
        "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 100},
        "launchTemplate": {"overrides": [{"instanceType": "m7g.large"}]},
    }
    on_demand = changed(AWS, "small-node", mixedInstancesPolicy=policy, desiredCapacity=2)
    assert usd(on_demand, "node m7g.large") == Decimal("119.136")
    assert usd(AWS, "node m7g.large") == Decimal("39.712")


def test_spot_without_a_known_price_takes_the_dearer_one_and_says_so():
    policy = {
        "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 0},
        "launchTemplate": {"overrides": [{"instanceType": "t4g.large"}]},
    }
    plan = changed(AWS, "small-node", mixedInstancesPolicy=policy, desiredCapacity=1)
    assert usd(plan, "node t4g.large, no spot price known") == 730 * Decimal("0.0672")


def test_the_database_grows_past_what_was_reserved():
    small, large = (estimate(AWS, n, scenario=ROUND, today=TODAY) for n in (100_000, 1_000_000))
    growth = [line for line in large.lines if "growth" in line.item]
    assert not [line for line in small.lines if "growth" in line.item]
    assert growth[0].quantity == 2 * (120 - 20)


def test_logs_stop_at_the_cap_of_the_workspace():
    capped = changed(AZURE, "logs", workspaceCapping={"dailyQuotaGb": 0.2}, retentionInDays=30)
    lines = [line for line in bill(capped, 1_000_000).lines if "logs taken in" in line.item]
    assert abs(sum(line.quantity for line in lines) - Decimal("6.083333")) < Decimal("0.001")


def test_front_door_takes_over_what_leaves():
    with_door = AZURE.model_copy(
        update={"resources": (*AZURE.resources, resource("azure-native:cdn:Profile", "edge", "edge"))}
    )
    assert usd(with_door, "Front Door, data out") == Decimal("0.0825")
    assert not [line for line in bill(with_door).lines if line.item.startswith("data out to the internet")]


def test_a_zonal_control_plane_is_credited_and_a_regional_one_is_not():
    zonal = changed(GCP, "small-cluster", location="us-central1-a")
    assert usd(zonal, "GKE control plane") == 0
    assert usd(GCP, "GKE control plane") == 73


def test_workers_sleep_without_tickets_and_never_exceed_the_month_until_one_is_not_enough(plans: Plans):
    idle, busy = (estimate(plans["gcp", "prod"], n, today=TODAY) for n in (0, 24_000))
    hours = [line.quantity for line in busy.lines if line.item.startswith("workers") and line.unit == "hour"]
    assert not [line for line in idle.lines if line.item.startswith("workers")]
    assert 0 < hours[0] < 730


def test_the_first_model_triages_and_the_last_one_chats(plans: Plans):
    items = {
        line.item for line in estimate(plans["aws", "prod"], 1_000, today=TODAY).lines if line.capability == "models"
    }
    assert {"nova-micro, triage, tokens read", "nova-lite, chat, tokens read"} <= items
    assert "nova-lite, triage, tokens read" not in items


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("amazon.nova-micro-v1:0", "nova-micro"),
        ("us.amazon.nova-2-lite-v1:0", "nova-2-lite"),
        ("gpt-5-nano@2025-08-07", "gpt-5-nano"),
        ("gemini-3.1-flash-lite", "gemini-3.1-flash-lite"),
    ],
)
def test_a_models_price_is_found_by_its_family(model, name):
    assert priced_name(model) == name


@pytest.mark.parametrize(
    ("autoscaling", "nodes"), [({"minNodeCount": 2}, 6), ({"totalMinNodeCount": 2}, 2), ({"minNodeCount": 0}, 0)]
)
def test_nodes_are_counted_per_zone_unless_the_limit_is_of_the_pool(autoscaling, nodes):
    plan = changed(GCP, "pool-system", autoscaling=autoscaling)
    hours = [line.quantity for line in bill(plan).lines if line.item == "node n2d-standard-4"]
    assert sum(hours) == nodes * 730
