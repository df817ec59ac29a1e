"""The page of models in a real browser: a threshold is moved, its effect read, saved; legible everywhere."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import Watched, log_in, page_on
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_console_browser import CUT_OFF
from tests.services.gateway.test_models import NETWORK, champion, furnish
from tests.services.gateway.test_review_queue import rows
from tests.services.gateway.test_reviews_browser import SHOWN_AS
from tests.services.gateway.versions_router import VersionsRouter


@pytest.fixture
def console(browser: Browser, settings: GatewaySettings, database: str, keys: Keys) -> Iterator[Watched]:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, furnish(database)).result()
    with (
        VersionsRouter() as router,
        page_on(browser, settings.model_copy(update={"router_url": router.url})) as watched,
    ):
        log_in(watched.page, keys.admin, "/models")
        expect(watched.page.get_by_role("heading", name="Thresholds")).to_be_visible()
        yield watched


def test_a_threshold_is_moved_read_and_saved_and_a_model_promoted(
    console: Watched, database: str, tmp_path: Path
) -> None:
    """The effect is there before anything is saved; then the focus is on what was said. Nothing is cut off."""
    page = console.page
    slider = page.get_by_label(f"Threshold of {NETWORK} in percent")
    slider.fill("60")
    form = page.locator("form.threshold", has=slider)
    expect(form.locator(".effect")).to_contain_text("75.0 % of these right")
    assert rows(database, "select 1 from thresholds") == []
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_focused()
    assert [row["least"] for row in rows(database, "select least from thresholds")] == [0.6]
    page.get_by_role("link", name="m2").click()
    page.get_by_role("button", name="Put into service").click()
    expect(page.get_by_role("status").filter(has_text="m2 is the champion.")).to_be_visible()
    assert champion(database) == "m2"
    assert (console.complaints, console.hosts) == ([], {"127.0.0.1"})
    for width, scheme in SHOWN_AS:
        page.set_viewport_size({"width": width, "height": 1900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=tmp_path / f"models-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        assert page.evaluate(CUT_OFF) == [], width
