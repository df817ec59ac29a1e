"""Capacity against figures worked out on paper, and the limits that end one database."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cost.capacity import DATABASE_TB_MAX, NEW_TICKET_MS, size
from cost.usage import Assumptions, load_assumptions
from services.cli.__main__ import app
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

LANDED = Path(__file__).parents[1] / "bench" / "landed.json"


def assumed(**chosen: str) -> Assumptions:
    return load_assumptions("aws", "prod", overrides={name: Decimal(value) for name, value in chosen.items()})


def test_a_month_on_paper():
    """1.8 million tickets in 500 hours are one a second, four at the peak; each counts 2.5 times, at half load."""
    found = size(assumed(arrival_hours="500", utilisation="0.5", retained_months="1"), 1_800_000)
    assert found.peak_per_s == 4
    assert found.vcpus["postgres"] == 4 * NEW_TICKET_MS["postgres"] * Decimal("2.5") / 1_000 / Decimal("0.5")
    assert found.database_tb == Decimal("0.045")  # 25 KB each
    assert (found.platforms, found.ends) == (1, ())


def test_what_ends_one_database_is_named_and_divided():
    disk = size(assumed(retained_months="12"), 300_000_000)
    assert disk.ends == (f"{DATABASE_TB_MAX:.0f} TB of disk",)
    assert disk.platforms == 3  # 90 TB on disks of 35
    busy = size(assumed(retained_months="1", database_kb_per_ticket="1"), 10_000_000_000)
    assert busy.ends == ("the audit chain", "96 vCPU")
    assert busy.platforms == 28  # 277,778 entries a second, 10,000 each


def test_a_part_costs_what_the_bench_measured():
    """The figures of the last landing: who measures anew changes both."""
    figures = json.loads(LANDED.read_text())["end to end"]["figures"]
    for part, ms in NEW_TICKET_MS.items():
        assert float(ms) == pytest.approx(figures[f"processor time: {part}"], abs=0.05), part


def test_no_ticket_is_no_platform():
    with pytest.raises(InputInvalid, match="1 or more"):
        size(assumed(), 0)


def test_the_command_shows_it():
    found = CliRunner().invoke(app, ["cost", "capacity", "--tickets", "1000000000", "--format", "json"])
    (one,) = json.loads(found.stdout)
    assert one["platforms"] == 9
    assert one["ends"] == ["35 TB of disk", "the audit chain"]
    refused = CliRunner().invoke(app, ["cost", "capacity", "--format", "png"])
    assert "table or json" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["capacity", "--tickets", "24,000"], "without a comma inside"),
        (["capacity", "--tickets", "1,500"], "is a comma one of thousands"),
        (["capacity", "--tickets", "0"], "from 1 to"),
        (["--cloud", "aws", "capacity"], "--cloud stands before `capacity`"),
        (["--format", "json", "capacity"], "--format stands before `capacity`"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(arguments: list[str], why: str):
    refused = CliRunner().invoke(app, ["cost", *arguments])
    assert refused.exit_code != 0
    assert why in str(refused.exception)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arrival_hours", "0"),
        ("arrival_hours", "8000"),
        ("utilisation", "0"),
        ("utilisation", "2"),
        ("images_gb", "-1"),
    ],
)
def test_an_assumption_that_cannot_be_is_refused(name: str, value: str):
    """A divisor of nothing was a traceback, and a month of 8,000 hours a table."""
    with pytest.raises(ConfigurationInvalid, match=f"Assumption '{name}' is {value} "):
        assumed(**{name: value})
