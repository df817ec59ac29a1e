"""The page of teams in a real browser: edited with the keyboard, exported, imported, audited."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg
import pytest
import yaml
from playwright.sync_api import Browser, expect

from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, log_in, page_on
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups
from tests.services.gateway.test_teams import catalogue

SHOWN_AS: list[tuple[int, Literal["light", "dark"]]] = [(1400, "light"), (700, "dark")]


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str) -> Iterator[Watched]:
    add_groups(database)
    with page_on(browser, settings) as watched:
        yield watched


def open_page(console: Watched, key: str) -> None:
    log_in(console.page, key, "/teams")
    expect(console.page.get_by_role("heading", name="Teams")).to_be_visible()
    console.page.wait_for_load_state()  # keys work once the scripts have run


def changes(database: str) -> list[tuple[str, dict]]:
    with psycopg.connect(database) as conn:
        found = conn.execute("select actor, detail from audit_log where action = 'catalogue.changed' order by at")
        return found.fetchall()


def test_a_team_is_changed_and_one_added_with_the_keyboard(console: Watched, keys: Keys, database: str) -> None:
    """j and Enter open, Tab goes through the fields, Enter saves, n adds; all in the audit log with who did it."""
    page = console.page
    open_page(console, keys.admin)
    page.keyboard.press("j")
    expect(page.locator("#team-1")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#team-2")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Infrastructure")
    page.keyboard.press("Tab")
    page.keyboard.type("Zendesk")
    page.keyboard.press("Tab")
    page.keyboard.type("high")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # the support level stays
    page.keyboard.press("Control+A")
    page.keyboard.type("VPN, WLAN & <firewalls>")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_have_text("Saved: Network & VPN")
    expect(page.locator("#answer")).to_be_focused()
    page.keyboard.press("n")
    page.keyboard.type("Printing")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_have_text("Saved: Printing")
    stored = catalogue(database)
    assert stored["Network & VPN"] == {
        "description": "VPN, WLAN & <firewalls>",
        "department": "Infrastructure",
        "system": "Zendesk",
        "priority_threshold": "high",
        "active": True,
    }
    assert [*stored][-1] == "Printing"
    assert [(actor, [*detail]) for actor, detail in changes(database)] == [
        ("user/admin", ["Network & VPN"]),
        ("user/admin", ["Printing"]),
    ]
    expect(page.get_by_text("VPN, WLAN & <firewalls>").first).to_be_visible()
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})


def test_a_file_goes_out_and_comes_back(console: Watched, keys: Keys, database: str, tmp_path: Path) -> None:
    """Exported, edited, chosen as a file, imported: what it does not name is switched off, and shown so."""
    page = console.page
    open_page(console, keys.admin)
    page.get_by_text("Export and import").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="catalogue.yaml").click()
    exported = yaml.safe_load(Path(download.value.path()).read_text("utf-8"))
    assert [team["name"] for team in exported["teams"]] == [*catalogue(database)]
    exported["teams"] = exported["teams"][:2]
    exported["teams"][0]["description"] = "Konten, Kennwörter und Rollen"
    file = tmp_path / "edited.yaml"
    file.write_text(yaml.safe_dump(exported, allow_unicode=True), "utf-8")
    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_label("YAML", exact=True)).to_have_value(file.read_text("utf-8"))
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#answer")).to_have_text("Imported: 2 active teams, 3 in all")
    expect(page.locator(".team.off")).to_contain_text("Workplace Hardware")
    assert catalogue(database)["Identity & Access"]["description"] == "Konten, Kennwörter und Rollen"
    page.get_by_text("Export and import").click()
    page.get_by_label("YAML", exact=True).fill("teams: [{name: A, colour: red}]")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("alert").filter(has_text="teams.0.colour")).to_be_visible()
    expect(page.get_by_label("YAML", exact=True)).to_have_value("teams: [{name: A, colour: red}]")  # not lost
    assert "A" not in catalogue(database)
    assert console.hosts == {"127.0.0.1"}


def test_the_page_fits_narrow_and_wide(console: Watched, keys: Keys, tmp_path: Path) -> None:
    """Opened forms included; a screenshot of each is kept with the test's files."""
    open_page(console, keys.admin)
    page = console.page
    page.locator("#team-1").click()
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        page.screenshot(path=tmp_path / f"teams-{width}-{scheme}.png", full_page=True)
    assert console.complaints == []
