"""Three bills worked out on paper from the price rows, one per cloud, and the real stacks beside them."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost.bill import estimate, estimates
from cost.estimate import Estimate
from cost.scenario import Commitment, Scenario
from infra.offline.plan import CLOUDS
from services.core.kit.errors import InputInvalid
from tests.cost.conftest import TODAY
from tests.cost.stacks import AWS, AZURE, GCP, ROUND
from tests.golden import check_golden
from tests.planned import PROFILES, Plans

CENT = Decimal("0.01")
GOLDEN = Path(__file__).parent / "golden"


def cents(bill: Estimate) -> dict[str, Decimal]:
    return {name: usd.quantize(CENT) for name, usd in bill.by_capability().items()}


def test_a_bill_of_aws_agrees_with_paper():
    """
    10,000 tickets. `vm.m7g.large.spot` 0.0272, `block.ebs_gp3` 0.08, `network.public_ipv4` 0.005, and so on.

    network        1 GB out x 0.09                                                         =   0.09
    keys           1 key x 1.00; one month old, so never rotated                           =   1.00
    observability  (2 idle + 1) GB x 0.50 = 1.50; kept 73 / (730/24) = 2.4 months: 7.2 GB x 0.03 = 0.216
                                                                                           =   1.72
    objects        10,000 x 12 x 10 KB = 1.2 GB x 0.023 = 0.0276                           =   0.03
    database       2 copies x 730 h x 0.016 = 23.36; 2 x 20 GB x 0.115 = 4.60; 1.2 GB used is within 20;
                   the secret that RDS makes 0.40                                          =  28.36
    models         10 M tokens x 0.035 = 0.35; 1 M x 0.14 = 0.14                           =   0.49
    cluster        2 x 730 h x 0.0272 = 39.712; 2 x 30 GB x 0.08 = 4.80; 730 h x 0.005 = 3.65 =  48.16
    total          0.09 + 1.00 + 1.716 + 0.0276 + 28.36 + 0.49 + 48.162                    =  79.85
    """
    bill = estimate(AWS, 10_000, scenario=ROUND, today=TODAY)
    assert cents(bill) == {
        "network": Decimal("0.09"),
        "keys": Decimal("1.00"),
        "observability": Decimal("1.72"),
        "objects": Decimal("0.03"),
        "database": Decimal("28.36"),
        "models": Decimal("0.49"),
        "cluster": Decimal("48.16"),
    }
    assert bill.monthly_usd.quantize(CENT) == Decimal("79.85")


def test_a_bill_of_azure_agrees_with_paper():
    """
    10,000 tickets. `vm.D4ds_v5.on_demand` 0.226, `messaging.service_bus_premium_unit` 0.9275, and so on.

    network        1 GB out, the first 100 are free; absent from no total                  =   0.00
    observability  3 GB, the first 5 are free = 0; kept 104 - 31 = 73 days = 2.4 months: 7.2 GB x 0.10 = 0.72
                                                                                           =   0.72
    database       2 copies x 730 h x 0.017 = 24.82; 2 x 32 GB x 0.115 = 7.36              =  32.18
    objects        (1 GB documents + 1.2 GB lake) x 0.026 = 0.0572                         =   0.06
    bus            730 h x 0.9275                                                          = 677.08
    models         10 M x 0.05 = 0.50; 1 M x 0.40 = 0.40                                   =   0.90
    cluster        730 h x 0.10 = 73.00; 3 x 730 h x 0.226 = 494.94; load balancer 730 h x 0.025 = 18.25 and
                   1 GB x 0.005 = 0.005; a disk of 32 GiB for training 2.40                = 588.60
    total          0 + 0.72 + 32.18 + 0.0572 + 677.075 + 0.90 + 588.595                    = 1299.53
    """
    bill = estimate(AZURE, 10_000, scenario=ROUND, today=TODAY)
    assert cents(bill) == {
        "network": Decimal("0.00"),
        "observability": Decimal("0.72"),
        "database": Decimal("32.18"),
        "objects": Decimal("0.06"),
        "bus": Decimal("677.08"),
        "models": Decimal("0.90"),
        "cluster": Decimal("588.60"),
    }
    assert bill.monthly_usd.quantize(CENT) == Decimal("1299.53")


def test_a_bill_of_google_agrees_with_paper():
    """
    10,000 tickets. `vm.n2d-standard-4.on_demand` 0.168984 less 0.2 sustained use = 0.1351872, and so on.

    network        1 GiB out x 0.12                                                        =   0.12
    keys           a month old, rotated each 15.2 days: 1 + 2 versions x 0.06              =   0.18
    observability  3 GiB, the first 50 are free = 0; kept 103 - 30 = 73 days = 2.4 months: 7.2 x 0.01 = 0.072
                                                                                           =   0.07
    database       2 copies x 730 h x 2 vCPU x 0.0413 = 120.596; 2 x 730 x 8 GiB x 0.007 = 81.76;
                   2 x 10 GiB x 0.17 = 3.40; backups 1.2 x 0.08 = 0.096                    = 205.85
    models         10 M x 0.25 = 2.50; 1 M x 1.50 = 1.50                                   =   4.00
    cluster        730 h x 0.10 = 73.00; one node in each of 3 zones x 730 h x 0.1351872 = 296.059968;
                   3 x 50 GB x 0.10 = 15.00; 8 GB for training x 0.10 = 0.80               = 384.86
    total          0.12 + 0.18 + 0.072 + 205.852 + 4.00 + 384.859968                       = 595.08
    """
    bill = estimate(GCP, 10_000, scenario=ROUND, today=TODAY)
    assert cents(bill) == {
        "network": Decimal("0.12"),
        "keys": Decimal("0.18"),
        "observability": Decimal("0.07"),
        "database": Decimal("205.85"),
        "models": Decimal("4.00"),
        "cluster": Decimal("384.86"),
    }
    assert bill.monthly_usd.quantize(CENT) == Decimal("595.08")


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([(cloud, profile) for cloud in CLOUDS for profile in PROFILES]),
    st.integers(0, 3_000_000),
    st.integers(0, 3_000_000),
)
def test_a_real_stack_never_costs_less_with_more_tickets(plans: Plans, key, one, other):
    less, more = (estimate(plans[key], n, today=TODAY) for n in sorted((one, other)))
    assert less.monthly_usd <= more.monthly_usd
    assert less.fixed_usd == more.fixed_usd


def test_lines_sum_to_the_total_and_no_ticket_costs_the_fixed_lines(plans: Plans):
    for stack in plans.values():
        busy, idle = (estimate(stack, n, today=TODAY) for n in (24_000, 0))
        assert busy.monthly_usd == sum(line.amount_usd for line in busy.lines)
        assert idle.monthly_usd == idle.fixed_usd == busy.fixed_usd
        assert idle.usd_per_ticket is None


def test_every_line_is_quantity_times_unit_price(plans: Plans):
    for stack in plans.values():
        for line in estimate(stack, 5_000, today=TODAY).lines:
            assert abs(line.quantity * line.unit_usd - line.amount_usd) <= Decimal("0.0000005"), line


def test_a_commitment_makes_prod_cheaper_and_says_where_none_is_known(plans: Plans):
    for cloud in CLOUDS:
        plain, one_year = (
            estimate(plans[cloud, "prod"], 1_000, scenario=Scenario(commitment=c), today=TODAY)
            for c in (Commitment.NONE, Commitment.ONE_YEAR)
        )
        if cloud == "aws":
            assert "no price with a source" in one_year.notes[0]
            assert one_year.monthly_usd == plain.monthly_usd
        else:
            assert one_year.monthly_usd < plain.monthly_usd


def test_used_up_allowances_cost_more(plans: Plans):
    kept, used = (
        estimate(plans["gcp", "prod"], 24_000, scenario=Scenario(free_allowances=is_free), today=TODAY)
        for is_free in (True, False)
    )
    assert used.monthly_usd > kept.monthly_usd


def test_small_is_not_promised_beyond_what_it_is_made_for(plans: Plans):
    few, many = estimates([plans["gcp", "small"]], [1_000, 100_000], today=TODAY)
    assert not few.notes
    assert "20,000 tickets" in many.notes[0]


def test_no_volume_is_an_error(plans: Plans):
    with pytest.raises(InputInvalid, match="--tickets"):
        estimates([plans["gcp", "small"]], [], today=TODAY)


def test_golden_bills_of_the_real_stacks(plans: Plans):
    """A change of infrastructure changes this file: the diff is what it costs."""
    rows = []
    for (cloud, profile), stack in sorted(plans.items()):
        bill = estimate(stack, 1_000, today=TODAY)
        rows.append(f"{cloud} {profile}: {bill.monthly_usd:.2f} USD a month at 1,000 tickets")
        rows += [f"  {name:<15}{usd:>10.2f}" for name, usd in bill.by_capability().items()]
    check_golden(GOLDEN / "bills.txt", "\n".join(rows))
