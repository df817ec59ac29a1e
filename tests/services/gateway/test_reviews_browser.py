"""The review queue in a real browser: every answer by its key, taken back, alike ones at once, legible everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, log_in, page_on
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups, decision, ticket
from tests.services.gateway.test_console_browser import CUT_OFF, arrive
from tests.services.gateway.test_review_queue import explained

SHOWN_AS: list[tuple[int, Literal["light", "dark"]]] = [(1400, "light"), (900, "dark"), (390, "dark")]
BODY = "Since <DATE_TIME_1> the VPN drops every hour; colleagues in the office are fine.\nRegards, <PERSON_1>"


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str, keys: Keys) -> Iterator[Watched]:
    """The queue with six tickets, logged in as an agent; the first three read alike."""
    add_groups(database)
    subjects = ("VPN drops daily", "VPN drops hourly", "VPN drops weekly", "Badge lost", "Congratulations!", "What?")
    arrive(database, [(ticket(f"A-{n}", subject=s, body=BODY), decision()) for n, s in enumerate(subjects, 1)])
    for number in range(1, 7):
        explained(database, number, [1.0, 0.01 * number] if number < 4 else [0.0, float(number)], place=number)
    with page_on(browser, settings) as watched:
        log_in(watched.page, keys.agent, "/reviews")
        expect(watched.page.locator("#review-1")).to_be_focused()
        yield watched


def closed(database: str) -> dict[int, tuple[str, str | None]]:
    with psycopg.connect(database) as conn:
        rows = conn.execute("select ticket_id, state, \"group\" from reviews where state <> 'open'").fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def test_every_answer_has_a_key_and_can_be_taken_back(console: Watched, database: str) -> None:
    """a, 2, n, x and u; after each the focus is where the next key is wanted."""
    page = console.page
    expect(page.locator("#review-1 mark").first).to_have_text("VPN")
    expect(page.locator("#review-1 .near").first).to_contain_text("VPN gone again")
    page.keyboard.press("2")
    expect(page.locator("#review-1")).to_contain_text("Corrected: Identity & Access")
    expect(page.locator("#review-2")).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator("#review-1")).to_be_focused()
    expect(page.locator("#review-1").get_by_role("button", name="Accept Network & VPN")).to_be_visible()
    assert closed(database) == {}
    page.keyboard.press("a")
    expect(page.locator("#review-2")).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#review-2")).to_contain_text("None of the groups")
    expect(page.locator("#review-3")).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#review-3")).to_contain_text("Not a ticket")
    expect(page.locator("#review-4")).to_be_focused()
    assert closed(database) == {1: ("accepted", "Network & VPN"), 2: ("no_group", None), 3: ("not_a_ticket", None)}
    page.keyboard.press("u")
    expect(page.locator("#review-3")).to_be_focused()
    assert set(closed(database)) == {1, 2}
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_alike_tickets_are_accepted_together_from_the_keyboard(console: Watched, database: str) -> None:
    """l opens them, each can be unticked, and all that were answered are taken back with one key."""
    page = console.page
    page.keyboard.press("l")
    ticked = page.locator("#alike-1 input[type=checkbox]")
    expect(ticked).to_have_count(3)
    ticked.nth(2).uncheck()
    page.locator("#alike-1").get_by_role("button").press("Enter")
    expect(page.get_by_role("status").filter(has_text="2 answered")).to_be_visible()
    expect(page.locator("#review-3")).to_be_focused()
    assert set(closed(database)) == {1, 2}
    page.keyboard.press("u")
    expect(page.locator("#review-1")).to_be_focused()
    assert closed(database) == {}
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_a_reader_hears_what_each_control_does(console: Watched) -> None:
    """Names and keys are told by the controls themselves, and the order is a choice that is marked."""
    card = console.page.locator("#review-1")
    for name, key in (("Accept Network & VPN", "a 1"), ("Correct to Identity & Access", "2"), ("Not a ticket", "x")):
        button = card.get_by_role("button", name=name)
        expect(button).to_have_attribute("aria-keyshortcuts", key)
    expect(card).to_have_accessible_name("VPN drops daily")
    console.page.get_by_role("link", name="longest waiting first").click()
    expect(console.page.get_by_role("link", name="longest waiting first")).to_have_attribute("aria-current", "true")


def test_the_queue_fits_everywhere(console: Watched, tmp_path: Path) -> None:
    """Nothing is wider than the window or cut off; pictures are kept with the test's files."""
    page = console.page
    page.keyboard.press("l")
    expect(page.locator("#alike-1 input[type=checkbox]")).to_have_count(3)
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"reviews-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        assert page.evaluate(CUT_OFF) == [], width
