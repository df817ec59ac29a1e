"""The console in a real browser: what a person does with keys and mouse, and that nothing but our gateway is asked."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band
from services.core.contracts.ticket import Ticket
from services.core.kit.security import Role, create_key
from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, page_on, watch
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups, decision, take_in, ticket

SHOWN_AS: list[tuple[int, Literal["light", "dark"]]] = [(1400, "light"), (900, "dark")]
CUT_OFF = """
[...document.querySelectorAll(".chip, .priority, button")].filter(shown => {
    const [inner, outer] = [shown, shown.closest("td") ?? shown.parentElement].map(e => e.getBoundingClientRect());
    return inner.width && inner.right > outer.right + 0.5;
}).map(shown => shown.textContent)
"""


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str, keys: Keys) -> Iterator[Watched]:
    """A page on a gateway with four tickets, three of which wait for a review; not logged in."""
    add_groups(database)
    close = (*decision().top3[:1], decision().top3[1].model_copy(update={"probability": 0.6}))
    tickets: list[tuple[Ticket, Decision | None]] = [
        (ticket("A-1", subject="Routed by itself"), decision(band=Band.AUTO_ROUTE, confidence=0.97)),
        (ticket("A-2", subject="Clear margin"), decision()),
        (ticket("A-3", subject="Small margin"), decision(top3=close)),
        (ticket("A-4", subject="Never seen before"), decision(band=Band.ESCALATE, confidence=0.1)),
    ]
    arrive(database, tickets)
    with page_on(browser, settings) as watched:
        yield watched


def arrive(database: str, tickets: list[tuple[Ticket, Decision | None]]) -> None:
    """In a thread: Playwright keeps an event loop in this one, and there can be but one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, take_in(database, tickets)).result()


def log_in(console: Watched, key: str) -> None:
    console.page.goto("/")
    console.page.get_by_label("API key").fill(key)
    console.page.get_by_role("button", name="Log in").click()
    expect(console.page.get_by_role("heading", name="Tickets")).to_be_visible()


def reviews(database: str) -> dict[int, tuple[str, str]]:
    with psycopg.connect(database) as conn:
        rows = conn.execute("select ticket_id, state, \"group\" from reviews where state <> 'open'").fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def test_a_queue_is_worked_off_with_the_keyboard(console: Watched, keys: Keys, database: str) -> None:
    """The most informative first; `a` accepts, the focus goes on, `c` and the select correct; nothing complains."""
    page = console.page
    log_in(console, keys.agent)
    page.get_by_role("link", name="Reviews").click()
    headings = page.locator("[data-review] h2")
    expect(headings).to_have_text(["Never seen before", "Small margin", "Clear margin"])
    expect(page.locator("#review-4")).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator("#review-4")).to_contain_text("Accepted: Network & VPN")
    expect(page.locator("#review-3")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#review-2")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("c")
    choice = page.locator("#review-3").get_by_label("Right group")
    expect(choice).to_be_focused()
    choice.select_option("Workplace Hardware")
    expect(page.locator("#review-3 .about")).to_have_text("Laptops, monitors and printers.")
    page.locator("#review-3").get_by_role("button", name="Correct", exact=True).press("Enter")
    expect(page.locator("#review-3")).to_contain_text("Corrected: Workplace Hardware")
    expect(page.locator("#review-2")).to_be_focused()
    assert reviews(database) == {4: ("accepted", "Network & VPN"), 3: ("corrected", "Workplace Hardware")}
    expect(page.locator("#counts")).to_contain_text("reviews open1")  # the head follows by itself
    page.keyboard.press("a")
    expect(page.locator("#more")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_the_list_follows_without_losing_place_or_focus(console: Watched, keys: Keys, database: str) -> None:
    """A new ticket appears on top; the focused row stays the focused row, and the filter stays."""
    page = console.page
    log_in(console, keys.viewer)
    page.locator("#open-2").focus()
    arrive(database, [(ticket("A-5", subject="Just came in"), decision())])
    expect(page.get_by_text("Just came in")).to_be_visible()
    expect(page.locator("#open-2")).to_be_focused()
    page.get_by_label("Band").select_option("ESCALATE")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(page.url.split("?")[0] + "?band=ESCALATE")
    arrive(database, [(ticket("A-6", subject="Another one"), decision(band=Band.ESCALATE))])
    expect(page.locator("tbody tr")).to_have_count(2)  # still filtered after refreshing itself
    page.reload()
    expect(page.get_by_label("Band")).to_have_value("ESCALATE")
    page.get_by_label("Ticket id").fill("a-6")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Ticket id")).to_be_focused()
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_a_review_is_answered_on_the_tickets_page(console: Watched, keys: Keys, database: str) -> None:
    """The answer is said, the history tells it, and a second answer from an old page is told in words."""
    page = console.page
    log_in(console, keys.agent)
    page.get_by_role("link", name="Clear margin").click()
    other = watch(page.context.new_page())
    other.page.goto(page.url)
    page.get_by_role("button", name="Accept Network & VPN").click()
    expect(page.locator("#answer")).to_have_text("Accepted: Network & VPN")
    expect(page.locator("#answer")).to_be_focused()
    expect(page.locator("#history")).to_contain_text("Review: accepted by agent")
    expect(other.page.locator("#history")).to_contain_text("Review: accepted by agent")  # follows by itself
    other.page.get_by_role("button", name="Accept Network & VPN").click()
    expect(other.page.get_by_role("alert").filter(has_text="not waiting for a review")).to_be_visible()
    assert (console.complaints, console.hosts | other.hosts) == ([], {"127.0.0.1"})


def test_a_revoked_key_ends_at_the_login_and_comes_back(console: Watched, keys: Keys, database: str) -> None:
    """A page that refreshes itself notices, and the login leads back to it."""
    page = console.page
    log_in(console, keys.viewer)
    page.get_by_role("link", name="Clear margin").click()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update api_keys set revoked_at = now() where name = 'viewer'")
        fresh = create_key(conn, name="fresh", role=Role.VIEWER)
    page.wait_for_url("**/login?next=%2Ftickets%2F2")
    page.get_by_label("API key").fill(fresh)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Clear margin")).to_be_visible()
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)


def test_the_api_documentation_needs_nothing_from_outside(console: Watched) -> None:
    """Swagger UI draws the operations from our files under our security policy."""
    console.page.goto("/docs")
    expect(console.page.get_by_text("/hooks/{connector}")).to_be_visible()
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_pages_fit_narrow_and_wide_light_and_dark(console: Watched, keys: Keys, database: str, tmp_path: Path) -> None:
    """No page is wider than the window, no chip is cut off; a screenshot of each is kept with the test's files."""
    log_in(console, keys.agent)
    words = "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 4
    arrive(database, [(ticket("L" * 100, subject=words, body=words), decision(priority="urgent"))])
    page = console.page
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        for name, path in (("tickets", "/"), ("reviews", "/reviews"), ("ticket", "/tickets/5")):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, width)
            assert page.evaluate(CUT_OFF) == [], (path, width)
            page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png")
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})
