"""The short look before presidio's recognisers never hides a finding from them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.text.recognisers.patterns import PresidioPatterns, as_written, presidio_recognisers

SCORE = 0.4  # what counts without a word before it

VALUES = (
    "jo.doe@example.com", "DE89 3704 0044 0532 0130 00", "gb29nwbk60161331926819", "4111 1111 1111 1111",
    "4111-1111-1111-1111", "5018123456789014", "501812345673", "378282246310005", "10.20.30.40", "::1",
    "::ffff:1.2.3.4",
    "2001:db8::8a2e:370:7334", "fe80:0:0:0:1:2:3:4%eth0", "1:2:3:4:5:6:7:8", "64:ff9b::192.0.2.33",
    "1:2:3:4:5:6:1.2.3.4", "536-22-8841", "53622-8841", "536228841", "536-228841", "536 22 8841",
)  # fmt: skip
PIECES = st.one_of(st.sampled_from(VALUES), st.text("0123456789abAB:.@- \n", max_size=12), st.text(max_size=4))


@pytest.fixture(scope="module")
def both() -> tuple[PresidioPatterns, list[Any]]:
    return PresidioPatterns(), presidio_recognisers()


@pytest.mark.parametrize("value", VALUES)
def test_each_value_is_found(both: tuple[PresidioPatterns, list[Any]], value: str) -> None:
    """As the recognisers find it when each is asked."""
    assert found(both[0], f"SSN: {value} .") == asked(both[1], f"SSN: {value} .") != set()


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, max_size=6))
def test_nothing_is_overlooked(both: tuple[PresidioPatterns, list[Any]], pieces: list[str]) -> None:
    """After "ssn" every score counts, and no word makes an address a version: asked with the look or without, alike."""
    text = "".join(f"\nssn {piece}" for piece in pieces)
    assert found(both[0], text) == asked(both[1], text)


def found(patterns: PresidioPatterns, text: str) -> set[tuple[str, int, int]]:
    return {(span.entity, span.start, span.end) for span in patterns.find(text, "en")}


def asked(recognisers: list[Any], text: str) -> set[tuple[str, int, int]]:
    results = (each.analyze(as_written(text, each), each.supported_entities) for each in recognisers)
    return {
        (one.entity_type, one.start, one.end)
        for some in results
        for one in some
        if one.score >= SCORE or one.entity_type == "US_SSN"
    }
