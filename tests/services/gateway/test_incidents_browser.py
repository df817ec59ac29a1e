"""The page of incidents in a real browser: read, followed, answered; legible everywhere."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, log_in, page_on
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_console_browser import CUT_OFF
from tests.services.gateway.test_reviews_browser import SHOWN_AS

INCIDENT = "insert into incidents (expected, p, grown_at) values (0.4, 1e-7, now()) returning id"
MEMBER = """
with ticket as (
    insert into tickets (connector, external_id, subject, state) values ('generic', %s, %s, 'triaged') returning id)
insert into incident_tickets (incident_id, ticket_id) select %s, id from ticket
"""


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str, keys: Keys) -> Iterator[Watched]:
    with psycopg.connect(database) as conn:
        for _ in range(2):
            row = conn.execute(INCIDENT).fetchone()
            assert row
            for n in range(7):
                said = f"Cannot connect with VPN since <DATE_TIME_{n}>, office <PERSON_1>"
                conn.execute(MEMBER, (f"I-{row[0]}-{n}", said, row[0]))
    with page_on(browser, settings) as watched:
        log_in(watched.page, keys.agent, "/incidents")
        yield watched


def test_an_incident_is_read_and_answered_once(console: Watched, database: str, tmp_path: Path) -> None:
    """What the tickets have in common, without what was hidden in them; the second answer is refused with why."""
    page = console.page
    expect(
        page.get_by_role("heading", name="7 alike tickets about cannot, connect, office, since, with")
    ).to_have_count(2)
    expect(page.get_by_role("link", name="Cannot connect with VPN")).to_have_count(14)
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 1000})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"incidents-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        assert page.evaluate(CUT_OFF) == [], width
    page.get_by_role("button", name="It is one").first.click()
    expect(page.get_by_role("status").filter(has_text="is confirmed.")).to_be_visible()
    expect(page.get_by_role("button", name="It is one")).to_have_count(1)
    with psycopg.connect(database) as conn:
        assert conn.execute("select count(*) from audit_log where action = 'incident.confirmed'").fetchone() == (1,)
        conn.execute("update incidents set state = 'dismissed' where state = 'suggested'")
    page.get_by_role("button", name="It is none").click()
    expect(page.get_by_role("alert").filter(has_text="somebody was first")).to_be_visible()
    assert console.hosts == {"127.0.0.1"}
