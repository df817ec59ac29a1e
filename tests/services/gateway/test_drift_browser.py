"""The pages of drift in a real browser: readable everywhere, and they lead to the tickets that are meant."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from services.core.contracts.drift import DriftReport, DriftRules, Kind, Moved, ShiftTest
from services.core.drift.judge import NAMES
from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, log_in, page_on
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_console_browser import CUT_OFF
from tests.services.gateway.test_reviews_browser import SHOWN_AS

TOO_WIDE = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.className)"
DAY = date(2026, 11, 20)
TICKET = """
insert into tickets (connector, external_id, subject, state)
values ('generic', 'x', 'Badge <PERSON_1> at gate', 'triaged') returning id
"""


def one(kind: Kind, effect: float | None, *, shifted: bool | None, why: str = "") -> ShiftTest:
    test, name = NAMES[kind]
    least = getattr(DriftRules().least, kind)
    return ShiftTest(
        kind=kind, test=test, effect_name=name, least_effect=least, p_max=DriftRules().p_max, before=1240, now=310,
        effect=effect, p=None if effect is None else 0.00001 if shifted else 0.21, has_shifted=shifted,
        since=DAY - timedelta(days=3) if shifted else None, why=why,
    )  # fmt: skip


def report(day: date, ticket: int) -> DriftReport:
    has_shifted = day > DAY - timedelta(days=4)
    tests = (
        one("labels", 0.19 if has_shifted else 0.04, shifted=has_shifted),
        one("inputs", 0.31 if has_shifted else 0.05, shifted=has_shifted),
        one("confidence", None, shifted=None, why="the model is newer than the days before"),
        one("performance", -0.04, shifted=False),
    )
    moved = (
        Moved(group="Workplace Hardware", before=0.12, now=0.31),
        Moved(group="Network & VPN", before=0.4, now=0.2),
    )
    return DriftReport(
        day=day, now_days=7, before_days=28, tests=tests, moved=moved, unlike=(ticket, 4711) if has_shifted else (),
        model_versions=("20261101-frozen-linear", "20261112-finetuned-4f2a"),
    )  # fmt: skip


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str, keys: Keys) -> Iterator[Watched]:
    with psycopg.connect(database) as conn:
        row = conn.execute(TICKET).fetchone()
        assert row
        for days in range(30):
            found = report(DAY - timedelta(days=days), row[0])
            conn.execute(
                "insert into drift_reports (day, report) values (%s, %s)", (found.day, found.model_dump_json())
            )
    with page_on(browser, settings) as watched:
        log_in(watched.page, keys.viewer, "/drift")
        yield watched


def test_what_has_shifted_is_read_and_followed(console: Watched, tmp_path: Path) -> None:
    """The verdict first; an erased ticket has no title; an earlier day by its link. Nothing is cut off."""
    page = console.page
    expect(page.get_by_text("Something has shifted.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Groups how many")
    expect(row).to_contain_text("since 17 Nov")
    expect(page.get_by_role("row").filter(has_text="Confidence")).to_contain_text("the model is newer")
    expect(page.get_by_role("link", name="Ticket 4711")).to_be_visible()
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 1300})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"drift-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        assert page.evaluate(CUT_OFF) == [], width
        assert page.evaluate(TOO_WIDE) == [], width
    page.get_by_role("link", name="10 Nov").click()
    expect(page.get_by_text("Nothing has shifted.")).to_be_visible()
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_before_the_first_day_the_page_says_so(
    browser: Browser, settings: GatewaySettings, database: str, keys: Keys
) -> None:
    with page_on(browser, settings) as watched:
        log_in(watched.page, keys.viewer, "/drift")
        expect(watched.page.get_by_text("No day has been judged yet.")).to_be_visible()
