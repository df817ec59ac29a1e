"""The usage model: what tickets ask for, and only what they ask for."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.book import CLOUDS
from cost.usage import Level, awake_share, demand, load_assumptions
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

PROFILES = ("small", "dev", "prod")


def test_no_ticket_asks_only_for_what_is_idle():
    asked = vars(demand(load_assumptions("aws", "prod"), 0))
    kept = {"documents_gb", "models_gb", "images_gb"}
    assert {name for name, value in asked.items() if value} == {n for n in asked if n.startswith("idle_")} | kept


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_tickets_ask_for_no_less_of_anything(one, other):
    assumed = load_assumptions("azure", "prod")
    less, more = (vars(demand(assumed, n)) for n in sorted((one, other)))
    assert all(less[name] <= more[name] for name in less)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("profile", PROFILES)
def test_the_low_end_asks_for_less_and_the_high_end_for_more(cloud, profile):
    assumed = load_assumptions(cloud, profile)
    low, expected, high = (vars(demand(assumed.all_at(level), 5_000)) for level in Level)
    assert all(low[name] <= expected[name] <= high[name] for name in expected)


def test_a_machine_that_sleeps_after_the_last_ticket_is_on_for_the_busy_fraction():
    """100 arrivals in 100 hours, each keeping it awake an hour: 1 - e^-1 of the time."""
    share = awake_share(Decimal(100), Decimal(3600), Decimal(100))
    assert round(share, 6) == Decimal("0.632121")


def test_a_ticket_reads_the_measured_tokens_and_repairs():
    """(731 + 737) tokens x 1.03 tries x 1,000 tickets."""
    assert demand(load_assumptions("aws", "small"), 1_000).triage_input_tokens == Decimal("1512040")


def test_only_azure_thinks_by_default():
    assert load_assumptions("azure", "small")["reasoning_tokens"] == 200
    assert load_assumptions("gcp", "small")["reasoning_tokens"] == 0


def test_a_scenarios_number_wins_over_every_level():
    assumed = load_assumptions("aws", "small", overrides={"images_gb": Decimal(7)})
    assert assumed.all_at(Level.HIGH)["images_gb"] == 7


def test_an_unknown_assumption_is_named():
    with pytest.raises(ConfigurationInvalid, match="'cpu_per_tiket'"):
        load_assumptions("aws", "small", overrides={"cpu_per_tiket": Decimal(1)})


def test_negative_tickets_are_refused():
    with pytest.raises(InputInvalid, match="-1 tickets"):
        demand(load_assumptions("aws", "small"), -1)
