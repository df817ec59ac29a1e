"""Reports: the same figures in every form, formulas that add up, a page that needs nothing else."""

import csv
import io
import json
import re
import time
from decimal import Decimal
from html.parser import HTMLParser

import openpyxl
import pytest

from cost.bill import DEFAULT_VOLUMES, estimates
from cost.report import charts
from cost.report.content import Content, gather
from cost.report.markdown import as_markdown
from cost.report.page import as_html
from cost.report.plain import as_csv, as_json, line_rows, number, summary_rows
from cost.report.sheet import write_xlsx
from cost.report.tables import tables
from cost.scenario import Scenario
from infra.offline.plan import CLOUDS
from tests.cost.conftest import TODAY
from tests.planned import Plans

BUDGET_S = 2.0


@pytest.fixture(scope="session")
def content(plans: Plans) -> Content:
    stacks = [plans[cloud, profile] for profile in ("small", "prod") for cloud in CLOUDS]
    return gather(stacks, [1_000, 24_000], scenario=Scenario(), today=TODAY)


def test_json_has_the_promised_shape_and_its_lines_sum_to_the_month(content: Content):
    for estimate in json.loads(as_json(content.bills))["estimates"]:
        assert {"cloud", "profile", "tickets_per_month", "monthly_usd", "usd_per_ticket", "lines"} <= set(estimate)
        assert sum(line["amount_usd"] for line in estimate["lines"]) == pytest.approx(estimate["monthly_usd"], abs=1e-6)
        for line in estimate["lines"]:
            assert {
                "capability",
                "item",
                "quantity",
                "unit",
                "unit_usd",
                "amount_usd",
                "fixed",
                "source",
                "as_of",
            } <= set(line)


def test_csv_holds_every_line_of_every_bill(content: Content):
    rows = list(csv.DictReader(io.StringIO(as_csv(content.bills))))
    assert len(rows) == sum(len(bill.lines) for bill in content.bills)
    assert sum(Decimal(row["amount_usd"]) for row in rows) == pytest.approx(
        sum(bill.monthly_usd for bill in content.bills), abs=Decimal("0.0001")
    )


def test_old_and_second_hand_prices_are_marked_in_every_form(content: Content):
    shown = {
        "json": as_json(content.bills),
        "csv": as_csv(content.bills),
        "markdown": as_markdown(content),
        "html": as_html(content),
        "table": str(line_rows(content.bills[0])),
    }
    assert all("stale, secondary" in text for text in shown.values())


def test_the_workbook_computes_what_the_engine_computed(content: Content, tmp_path):
    """Every amount is a formula; worked out here by hand, it gives the engine's total."""
    path = tmp_path / "cost.xlsx"
    write_xlsx(content, path)
    book = openpyxl.load_workbook(path)
    for bill in content.bills:
        sheet = book[f"{bill.cloud} {bill.profile} {bill.tickets_per_month}"]
        rows = range(7, 7 + len(bill.lines))
        assert all(sheet[f"G{row}"].value == f"=ROUND(D{row}*F{row},6)" for row in rows)
        assert sheet["G3"].value == f"=SUM(G7:G{rows[-1]})"
        assert sheet["B4"].value == '=IF(B3=0,"",G3/B3)'
        total = sum(sheet[f"D{row}"].value * sheet[f"F{row}"].value for row in rows)
        assert total == pytest.approx(float(bill.monthly_usd), abs=0.0001)


def test_the_summary_of_the_workbook_refers_to_sheets_that_exist(content: Content, tmp_path):
    path = tmp_path / "cost.xlsx"
    write_xlsx(content, path)
    book = openpyxl.load_workbook(path)
    named = {
        match[1]
        for row in book["Summary"].iter_rows(min_row=5)
        if (match := re.match(r"='(.*)'!G3", str(row[3].value)))
    }
    assert named <= set(book.sheetnames)
    assert len(named) == len(content.bills)


class Links(HTMLParser):
    """Everything that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "srcset") or (tag == "link" and name == "href")
        ]


def test_the_page_needs_nothing_but_itself(content: Content):
    text = as_html(content)
    page = Links()
    page.feed(text)
    assert (page.fetched, page.tags.count("script"), page.tags.count("svg")) == ([], 0, 4)
    assert "url(http" not in text
    assert "@import" not in text


def test_the_page_shows_what_is_not_in_the_totals(content: Content):
    assert "Defender for Containers" in as_html(content)
    assert "Not in the totals" in as_markdown(content)


def test_a_stranger_cannot_write_into_the_page(plans: Plans):
    scenario = Scenario(name="<script>alert(1)</script>")
    text = as_html(gather([plans["gcp", "small"]], [1_000], scenario=scenario, today=TODAY))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_every_table_is_as_wide_as_its_header(content: Content):
    for table in tables(content):
        assert all(len(row) == len(table.header) for row in table.rows), table.title


def test_volumes_stand_side_by_side_with_a_star_beyond_the_profile(content: Content):
    header, rows = summary_rows(content.bills)
    assert header[1:4] == ["aws small", "azure small", "gcp small"]
    assert [row[0] for row in rows] == ["1,000", "24,000"]
    assert "*" not in rows[0][1]
    assert rows[1][1].endswith("*")
    assert not rows[1][4].endswith("*")


def test_charts_are_drawn_alike_twice(content: Content):
    with charts.styled():
        once, twice = (charts.as_svg(charts.by_capability(content)) for _ in range(2))
    assert once == twice


def test_numbers_are_short_and_never_in_exponents():
    assert [number(Decimal(text)) for text in ("0.0000004", "730", "1234567.8", "0.10")] == [
        "0.0000004",
        "730",
        "1234570",
        "0.1",
    ]


def test_three_clouds_and_five_volumes_take_less_than_two_seconds(plans: Plans, tmp_path):
    """The promise after the plan; the workbook is the slowest form without charts."""
    stacks = [plans[cloud, "small"] for cloud in CLOUDS]
    began = time.process_time()
    as_json(estimates(stacks, DEFAULT_VOLUMES, today=TODAY))
    write_xlsx(gather(stacks, DEFAULT_VOLUMES, scenario=Scenario(), today=TODAY), tmp_path / "c.xlsx")
    assert time.process_time() - began < BUDGET_S
