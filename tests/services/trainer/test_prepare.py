"""Splitting: nothing leaks, nothing is lost, bad data is explained."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.kit.errors import InputInvalid
from services.core.models.texts import text_key
from services.trainer.config import Window
from services.trainer.prepare import Example, dataset_sha256, prepare
from tests.services.trainer.bundles import made_up_tickets

START = datetime(2026, 1, 1, tzinfo=UTC)
few_texts = st.lists(
    st.tuples(st.sampled_from([f"text {n}" for n in range(12)]), st.sampled_from("ABC"), st.integers(0, 90)),
    min_size=12,
    max_size=60,
)


@given(few_texts, st.booleans())
def test_no_text_is_on_both_sides(rows, timed):
    """However often a text repeats, in whatever case and spacing, it is either learned or judged."""
    examples = [
        Example(
            f"{text.upper() if day % 2 else text}{' ' * (day % 3)}",
            group,
            START + timedelta(days=day) if timed else None,
        )
        for text, group, day in rows
    ]
    try:
        split = prepare(examples)
    except InputInvalid:
        return  # one group only: explained elsewhere
    train, held_out = ({text_key(row.text) for row in part} for part in (split.train, split.held_out))
    assert not train & held_out
    assert {row.group for row in split.train} == set(split.labels)
    kept = [row for row in examples if row.group not in split.dropped]
    assert Counter(split.train + split.held_out) == Counter(kept)


def test_newest_tickets_are_held_out():
    """With times, the future judges the past."""
    rows = [replace(row, at=START + timedelta(hours=n)) for n, row in enumerate(made_up_tickets(200, rare=0))]
    split = prepare(rows)
    assert split.by_time
    assert max(row.at for row in split.train if row.at) < min(row.at for row in split.held_out if row.at)
    assert len(split.held_out) == 30


def test_without_times_the_choice_is_stable():
    """Adding tickets moves none of the old ones out of the training part, so a champion can be judged fairly."""
    rows = made_up_tickets(200, rare=0)
    before, again = prepare(rows), prepare(rows[::-1])
    assert set(before.held_out) == set(again.held_out)
    assert {row.group for row in before.held_out} == {row.group for row in rows}
    more = prepare(rows + made_up_tickets(20, seed=5, rare=0))
    assert len(set(before.held_out) & set(more.held_out)) >= 0.8 * len(before.held_out)


def test_nearly_the_same_text_is_on_one_side():
    """An alert that comes every hour with another number is either learned or judged."""
    alerts = [
        Example(f"Monitoring: disk usage on server db{n} has reached {n % 100} percent, please look at it", "Network")
        for n in range(60)
    ]
    split = prepare([*made_up_tickets(200, rare=0), *alerts])
    sides = [{"disk usage" in row.text for row in part} for part in (split.train, split.held_out)]
    assert True not in sides[0] & sides[1]
    assert len(split.train) + len(split.held_out) == 260
    short = [Example(f"error {n}", "Network") for n in range(40)]
    assert any("error" in row.text for row in prepare([*made_up_tickets(40, rare=0), *short]).held_out)


def test_old_tickets_are_left_out_unless_their_group_is_small():
    """Ninety days for most, a year for groups with few tickets in these; counted from the newest ticket."""
    daily = [Example(f"ticket {n} of the {n} th kind", "Busy", START + timedelta(hours=n)) for n in range(24 * 400)]
    rare = [Example(f"rare {n} thing {n}", "Rare", START + timedelta(days=n)) for n in range(0, 400, 10)]
    split = prepare([*daily, *rare], window=Window())
    newest = max(row.at for row in daily if row.at)
    ages = {
        group: max((newest - row.at).days for row in (*split.train, *split.held_out) if row.group == group and row.at)
        for group in ("Busy", "Rare")
    }
    assert ages["Busy"] == 90
    assert 350 < ages["Rare"] <= 365
    assert split.outside_window > 24 * 300
    untimed = prepare(made_up_tickets(40, rare=0), window=Window())
    assert untimed.outside_window == 0


def test_rare_groups_are_named():
    """One ticket: left out and counted. A handful: learned, never automatic."""
    rows = [*made_up_tickets(100, rare=4), Example("the only one", "Canteen")]
    split = prepare(rows)
    assert split.dropped == {"Canteen": 1}
    assert split.low_volume == ("Legal",)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no closed tickets"),
        ([Example("", "A"), Example("x", "")], "lack text or group"),
        ([Example(f"text {n}", "A") for n in range(9)], "only 'A'"),
        ([Example("one", "A"), Example("two", "B")], "found none"),
    ],
)
def test_useless_data_is_explained(rows: list[Example], says: str):
    with pytest.raises(InputInvalid, match=says):
        prepare(rows)


def test_dataset_hash_is_about_content():
    """Order does not matter, a changed label does."""
    rows = made_up_tickets(20)
    assert dataset_sha256(rows) == dataset_sha256(rows[::-1])
    assert dataset_sha256(rows) != dataset_sha256([replace(rows[0], group="Other"), *rows[1:]])
