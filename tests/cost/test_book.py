"""Price books: every fact has a source and a date, computed rows follow their facts, old ones are known as old."""

import datetime as dt
from decimal import Decimal

import pytest

from cost.book import CLOUDS, PriceUnknown, load_book, parse_book
from services.core.kit.errors import ConfigurationInvalid
from tests.cost.conftest import TODAY

SOURCES = {"s": {"url": "https://example.com", "as_of": dt.date(2026, 1, 1)}}


def book_of(**rows):
    return parse_book({"cloud": "aws", "region": "r", "sources": SOURCES, "prices": rows})


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_row_has_a_source_with_an_address_and_a_date(cloud):
    for price in load_book(cloud).prices.values():
        assert price.url.startswith("https://") or price.source == "stance", price.key
        assert dt.date(2024, 1, 1) <= price.as_of <= TODAY, price.key


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_row_without_a_price_says_what_is_missing_and_all_others_cost_something(cloud):
    for price in load_book(cloud).prices.values():
        assert bool(price.gap) == (price.usd == 0), price.key


def test_a_row_computed_from_two_facts_carries_the_older_date_and_the_weaker_mark():
    book = book_of(
        vm={"price": "0.2", "unit": "hour", "source": "s"},
        share={"price": "0.12", "unit": "share", "source": "s", "as_of": dt.date(2025, 5, 5), "secondary": True},
        fee={"of": "vm", "times": "share"},
        spot={"of": "vm", "less": "share"},
    )
    assert book["fee"].usd == Decimal("0.024")
    assert book["spot"].usd == Decimal("0.176")
    assert (book["fee"].as_of, book["fee"].secondary) == (dt.date(2025, 5, 5), True)


def test_a_price_is_stale_on_the_day_after_a_year():
    price = book_of(a={"price": "1", "unit": "x", "source": "s"})["a"]
    assert not price.is_stale(price.as_of + dt.timedelta(days=365))
    assert price.is_stale(price.as_of + dt.timedelta(days=366))


def test_a_used_up_allowance_moves_the_first_paid_tier_to_the_start():
    tiers = [{"from": "0", "price": "0", "free": True}, {"from": "5", "price": "2"}, {"from": "50", "price": "1"}]
    price = book_of(a={"tiers": tiers, "unit": "GB", "source": "s"})["a"].without_allowance()
    assert [(tier.start, tier.usd) for tier in price.tiers] == [(0, 2), (50, 1)]


def test_ones_own_price_replaces_the_list_and_fills_a_gap():
    book = load_book("azure").with_prices({"kms.hsm_key": Decimal(5)}, today=TODAY)
    assert (book["kms.hsm_key"].usd, book["kms.hsm_key"].gap, book["kms.hsm_key"].source) == (5, "", "scenario")


def test_an_unknown_row_names_the_file_it_belongs_in():
    with pytest.raises(PriceUnknown, match=r"'vm\.x9\.on_demand'.*cost/prices/gcp\.yaml"):
        load_book("gcp")["vm.x9.on_demand"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"price": "free", "unit": "x", "source": "s"}, "quoted decimals"),
        ({"unit": "x", "source": "s"}, "quoted decimals"),
        ({"price": "-1", "unit": "x", "source": "s"}, "not negative"),
        ({"tiers": [{"from": "1", "price": "1"}], "unit": "x", "source": "s"}, "start at 0"),
        ({"price": "1", "unit": "x", "source": "nobody"}, "not listed"),
        ({"of": "missing", "times": "missing"}, "missing or computed in a circle"),
        ({"of": "a", "times": "a"}, "circle"),
    ],
)
def test_a_wrong_row_is_named(row, message):
    with pytest.raises(ConfigurationInvalid, match=message):
        book_of(a=row)


def test_an_unknown_cloud_is_told_the_known_ones():
    with pytest.raises(ConfigurationInvalid, match="aws, azure, gcp"):
        load_book("ibm")
