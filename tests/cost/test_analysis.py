"""Curves, drivers, levers, returns and moves: the same engine, asked differently."""

from decimal import Decimal

import pytest

from cost.bill import BAND_USD, TICKETS_MAX, assumptions_of, estimate, is_beyond
from cost.changes import edited, on_demand, with_input, without_nat
from cost.curve import VOLUMES, curve
from cost.levers import savings
from cost.migrate import migrate, steps
from cost.roi import published, returns
from cost.scenario import Roi, Scenario, load_scenario
from cost.sensitivity import swings
from infra.offline.plan import CLOUDS
from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from tests.cost.conftest import TODAY
from tests.cost.stacks import AWS, AZURE, GCP, ROUND
from tests.planned import Plans

LIST = Scenario()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_small_meets_the_promise_at_a_thousand_tickets(plans: Plans, cloud):
    assert estimate(plans[cloud, "small"], 1_000, today=TODAY).usd_per_ticket <= Decimal("0.05")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_prod_meets_the_promise_at_24_000_tickets(plans: Plans, cloud):
    assert estimate(plans[cloud, "prod"], 24_000, today=TODAY).usd_per_ticket <= Decimal("0.05")


@pytest.mark.parametrize("key", [(cloud, profile) for cloud in CLOUDS for profile in ("small", "prod")])
def test_the_volume_from_which_a_price_is_met_is_the_first_one(plans: Plans, key):
    found = curve(plans[key], scenario=LIST, today=TODAY, targets=BAND_USD)
    for target, tickets in found.met_from.items():
        before, at = (estimate(plans[key], n, today=TODAY).usd_per_ticket for n in (tickets - 1, tickets))
        assert before > target >= at
    assert all(point.low_usd <= point.expected_usd <= point.high_usd for point in found.points)
    assert [point.tickets for point in found.points] == list(VOLUMES)


def test_a_price_that_is_never_met_is_said_to_be_so(plans: Plans):
    found = curve(plans["gcp", "small"], scenario=LIST, today=TODAY, targets=[Decimal("0.0001")])
    assert found.met_from == {Decimal("0.0001"): None}


def test_levers_are_sorted_and_each_saves_what_it_says(plans: Plans):
    stack = plans["aws", "prod"]
    before = estimate(stack, 24_000, today=TODAY).monthly_usd
    found = savings(stack, 24_000, scenario=LIST, today=TODAY)
    assert [s.usd_per_month for s in found] == sorted((s.usd_per_month for s in found), reverse=True)
    no_nat = next(s for s in found if s.name.startswith("no NAT"))
    assert no_nat.usd_per_month == before - estimate(without_nat(stack), 24_000, today=TODAY).monthly_usd
    endpoints = 3 * 3 * 730 * Decimal("0.01")  # ec2, eks and sqs in three zones: they went out through NAT
    gateways = 3 * 730 * (Decimal("0.045") + Decimal("0.005"))
    assert gateways - endpoints <= no_nat.usd_per_month <= gateways - endpoints + 5


def test_a_premium_bus_is_the_largest_lever_and_nobody_pays_it_unasked(plans: Plans):
    """`bus.private` turns Standard into Premium: 677 USD a month."""
    plan = plans["azure", "prod"]
    assert not [s for s in savings(plan, 24_000, scenario=LIST, today=TODAY) if "Service Bus" in s.name]
    premium = edited(plan, lambda r: with_input(r, _PREMIUM, "sku") if r.type.endswith("servicebus:Namespace") else r)
    assert savings(premium, 24_000, scenario=LIST, today=TODAY)[0].name.startswith("Service Bus Standard")


_PREMIUM = {"name": "Premium", "tier": "Premium", "capacity": 1}


def test_a_lever_that_saves_nothing_is_not_offered(plans: Plans):
    assert not [s for s in savings(plans["gcp", "small"], 1_000, scenario=LIST, today=TODAY) if "NAT" in s.name]


@pytest.mark.parametrize("plan", [AWS, AZURE, GCP], ids=CLOUDS)
def test_the_widest_driver_comes_first_and_nothing_that_does_not_move_the_bill(plan):
    found = swings(plan, 10_000, scenario=LIST, today=TODAY)
    assert [s.width for s in found] == sorted((s.width for s in found), reverse=True)
    assert all(s.low_usd != s.high_usd for s in found)


def test_losing_spot_is_the_largest_risk_of_small(plans: Plans):
    for cloud in CLOUDS:
        found = swings(plans[cloud, "small"], 1_000, scenario=LIST, today=TODAY)
        assert found[0].name == "spot capacity"
        assert found[0].high_usd == estimate(on_demand(plans[cloud, "small"]), 1_000, today=TODAY).monthly_usd


def test_a_number_of_the_scenario_does_not_swing():
    assert not [s for s in swings(AWS, 10_000, scenario=ROUND, today=TODAY) if s.name == "log"]


def test_a_return_is_worked_out_on_paper():
    """
    1,000 tickets: 600 decided, 552 right x 3 min = 1,656; 48 wrong x 4 min = 192. (1,656 - 192) / 60 = 24.4 h x
    35 USD = 854 USD. Running it takes 8 h x 80 USD = 640 USD. Half of 200 chats deflected: 100 x 12 min, 44.4 h.
    """
    bill = estimate(AWS, 1_000, today=TODAY)
    found = returns(bill, assumptions_of(AWS, LIST), Roi())
    assert (found.hours_saved, found.saved_usd, found.labour_usd) == (Decimal("24.4"), 854, 640)
    assert found.net_usd == 854 - 640 - bill.monthly_usd
    with_chats = returns(bill, assumptions_of(AWS, LIST), Roi(deflection_share=Decimal("0.5")))
    assert (with_chats.hours_saved, with_chats.resolutions) == (Decimal("44.4"), 100)
    assert with_chats.usd_per_resolution == (bill.monthly_usd + 640) / 100


def test_chats_that_do_not_exist_save_nothing():
    """Nobody has counted a deflected chat yet: the default claims none."""
    found = returns(estimate(AWS, 1_000, today=TODAY), assumptions_of(AWS, LIST), Roi())
    assert (found.resolutions, found.usd_per_resolution) == (0, None)


def test_prices_beyond_what_a_profile_was_sized_for_are_marked():
    """The thousandfold is arithmetic, in every profile."""
    for profile, most in TICKETS_MAX.items():
        assert not is_beyond(profile, most)
        assert is_beyond(profile, most + 1)
    assert set(TICKETS_MAX) == {"small", "dev", "prod"}


def test_no_chat_is_no_resolution():
    assert (
        returns(estimate(AWS, 1_000, scenario=ROUND, today=TODAY), assumptions_of(AWS, ROUND), Roi()).usd_per_resolution
        is None
    )


def test_published_figures_say_where_they_stand():
    for item in published():
        assert item.source.startswith("https://")
        assert item.per in ("ticket", "resolution", "month")
        assert 0 < item.low_usd <= item.high_usd


def test_a_move_is_worked_out_on_paper():
    """
    AWS to Google, 500 GB, 4 weeks. Out: 500 x 1.1 = 550 GB x 0.09 = 49.50. Beside: 28 days / (730/24) months x bill.
    """
    move = migrate(AWS, GCP, Decimal(500), tickets=10_000, weeks=Decimal(4), scenario=ROUND, today=TODAY)
    egress, dual, training = move.once
    assert (egress.quantity, egress.amount_usd) == (550, Decimal("49.5"))
    assert dual.amount_usd == (Decimal(28) * 24 / 730 * Decimal("595.083968")).quantize(Decimal("0.000001"))
    assert training.amount_usd > 0
    assert move.once_usd == egress.amount_usd + dual.amount_usd + training.amount_usd
    assert move.months_to_pay_back is None


def test_a_move_to_a_cheaper_cloud_pays_back():
    move = migrate(GCP, AWS, Decimal(500), tickets=10_000, weeks=Decimal(4), scenario=ROUND, today=TODAY)
    assert move.labour_usd == 16 * 8 * 80
    saved = move.source_monthly_usd - move.target_monthly_usd
    assert move.months_to_pay_back == (move.once_usd + move.labour_usd) / saved


def test_more_data_and_more_weeks_cost_more():
    costs = [
        migrate(AZURE, AWS, Decimal(gb), tickets=1_000, weeks=Decimal(weeks), scenario=LIST, today=TODAY).once_usd
        for gb, weeks in ((0, 1), (500, 1), (5_000, 1), (5_000, 8))
    ]
    assert costs == sorted(set(costs))


def test_every_step_of_a_move_has_a_way_back_but_the_last():
    assert [step.order for step in steps()] == list(range(1, len(steps()) + 1))
    assert all(step.risk and step.undo and step.days > 0 for step in steps())
    assert steps()[-1].undo.startswith("none")


@pytest.mark.parametrize(("gb", "weeks"), [("-1", "4"), ("1", "0")])
def test_impossible_moves_are_refused(gb, weeks):
    with pytest.raises(InputInvalid, match="--gb"):
        migrate(AWS, GCP, Decimal(gb), tickets=1, weeks=Decimal(weeks), scenario=LIST, today=TODAY)


def test_a_cloud_is_not_moved_to_itself():
    with pytest.raises(InputInvalid, match="both aws"):
        migrate(AWS, AWS, Decimal(1), tickets=1, weeks=Decimal(1), scenario=LIST, today=TODAY)


def test_a_scenario_file_is_read_and_a_wrong_one_is_named(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("level: high\ncommitment: 3y\nassumptions: {images_gb: 2}\nprices: {aws: {kms.key: '0.5'}}\n")
    bad.write_text("level: extreme\n")
    scenario = load_scenario(good)
    assert estimate(AWS, 0, scenario=scenario, today=TODAY).by_capability()["keys"] < Decimal(4)
    with pytest.raises(ConfigurationInvalid, match=r"bad\.yaml: level"):
        load_scenario(bad)
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        load_scenario(tmp_path / "none.yaml")
