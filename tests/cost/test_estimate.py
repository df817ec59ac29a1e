"""The engine: quantity x price = amount, exactly, at and around every edge of every tier."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.book import CLOUDS, Price, load_book
from cost.estimate import amount, brackets, lines_of
from cost.meter import fixed, per_use
from tests.cost.conftest import TODAY

ONE_MORE = Decimal("0.001")
TIERED = [price for cloud in CLOUDS for price in load_book(cloud).prices.values() if len(price.tiers) > 1]
PRICED = [price for cloud in CLOUDS for price in load_book(cloud).prices.values()]
quantities = st.decimals(0, 10**9, places=3)


@pytest.mark.parametrize("price", TIERED, ids=lambda price: f"{price.source}-{price.key}")
def test_a_unit_is_charged_by_the_tier_it_falls_in(price: Price):
    for before, tier in pairwise(price.tiers):
        up_to, beyond = amount(price, tier.start), amount(price, tier.start + ONE_MORE)
        last = up_to - amount(price, tier.start - ONE_MORE)
        assert abs(last - before.usd * ONE_MORE) <= Decimal("0.000002")
        assert abs(beyond - up_to - tier.usd * ONE_MORE) <= Decimal("0.000002")


def test_egress_of_azure_is_free_to_the_hundredth_gigabyte():
    egress = load_book("azure")["network.egress_internet"]
    assert amount(egress, Decimal(100)) == 0
    assert amount(egress, Decimal(101)) == Decimal("0.087")
    assert amount(egress, Decimal(10_336)) == Decimal("890.445") + Decimal("0.083")


@given(st.sampled_from(PRICED), quantities, quantities)
def test_cost_never_falls_as_use_rises(price, one, other):
    less, more = sorted((one, other))
    assert amount(price, less) <= amount(price, more)


@given(st.sampled_from(TIERED), quantities, quantities)
def test_brackets_cover_a_range_without_gap_or_overlap(price, one, other):
    start, end = sorted((one, other))
    assert sum(units for units, _ in brackets(price, start, end)) == end - start


@given(st.sampled_from(TIERED), quantities, quantities)
def test_two_meters_of_one_price_cost_what_their_sum_costs(price, one, other):
    book = next(book for book in map(load_book, CLOUDS) if book.prices.get(price.key) == price)
    pair = [("a", fixed(price.key, "x", one)), ("b", per_use(price.key, "y", other))]
    together = lines_of([("a", fixed(price.key, "x", one + other))], book, today=TODAY)
    apart = lines_of(pair, book, today=TODAY)
    difference = sum(line.amount_usd for line in apart) - sum(line.amount_usd for line in together)
    assert abs(difference) <= Decimal("0.000003")


def test_like_meters_become_one_line_and_nothing_becomes_none():
    book = load_book("aws")
    meters = [
        ("logs", fixed("kms.key", "key", 1)),
        ("logs", fixed("kms.key", "key", 2)),
        ("logs", fixed("kms.key", "no", 0)),
    ]
    (line,) = lines_of(meters, book, today=TODAY)
    assert (line.item, line.quantity, line.amount_usd) == ("key", 3, 3)


def test_fixed_lines_take_the_allowance_first_so_that_use_never_changes_them():
    book = load_book("gcp")
    use = per_use("logs.cloud_logging_ingest", "use", Decimal(60))
    idle = fixed("logs.cloud_logging_ingest", "idle", Decimal(20))
    lines = lines_of([("o", use), ("o", idle)], book, today=TODAY)
    assert [(line.item, line.quantity, line.amount_usd) for line in lines] == [
        ("idle, free allowance", 20, 0),
        ("use, free allowance", 30, 0),
        ("use", 30, 15),
    ]


def test_a_commitment_touches_only_machines_that_run_on_demand_all_month():
    book = load_book("gcp")
    meters = [
        ("c", fixed("vm.e2-medium.on_demand", "base", 730, committable=True)),
        ("c", fixed("vm.e2-medium.spot", "spot", 730)),
    ]
    plain, spot = lines_of(meters, book, today=TODAY)
    committed, same = lines_of(meters, book, today=TODAY, commitment="discount.commitment_3y")
    assert committed.amount_usd == (plain.amount_usd * Decimal("0.45")).quantize(Decimal("0.000001"))
    assert same == spot


def test_marks_tell_what_is_old_second_hand_or_missing():
    book = load_book("aws")
    meters = [
        ("n", fixed("network.egress_internet", "a", 1)),
        ("n", fixed("vm.t4g.large.on_demand", "b", 1)),
        ("n", fixed("backup.s3_storage", "c", 1)),
    ]
    assert [line.marks for line in lines_of(meters, book, today=TODAY)] == [
        "stale, secondary",
        "",
        "secondary, no price",
    ]
