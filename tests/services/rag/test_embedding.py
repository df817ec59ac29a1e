"""The chat on other sites, in a real browser: those on the list show it and may call it, others neither."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from services.core.search.encoder import TextEncoder
from tests.services.gateway.browser import chromium
from tests.services.rag.conftest import Rag, index_pages

SLOW_MS = 120_000


@contextmanager
def site(html: list[str]) -> Iterator[str]:
    """A site of another origin that shows `html`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = html[0].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def pages(database: str, text_encoder: TextEncoder, tmp_path: Path) -> str:
    await index_pages(database, text_encoder, tmp_path)
    return database


def test_only_sites_on_the_list_show_and_call_the_chat(pages: str, objects: Path) -> None:
    """By one script tag; a question is asked and answered inside; a stranger's frame stays empty, its calls blocked."""
    html = [""]
    with site(html) as listed, site(html) as stranger, chromium() as browser:
        rag = Rag(pages, objects, environment={"POINTSMAN_RAG_ORIGINS": f'["{listed}"]'})
        rag.start()
        try:
            html[0] = f'<!doctype html><title>x</title><script src="{rag.url}/static/embed.js" defer></script>'
            page = browser.new_page()
            page.set_default_timeout(SLOW_MS)
            page.goto(listed)
            page.get_by_role("button", name="Help desk").press("Enter")
            chat = page.frame_locator("iframe[title='Help desk']")
            chat.get_by_label("Your message").fill("How do I add a printer in Settings?")
            chat.get_by_label("Your message").press("Enter")
            expect(chat.get_by_role("log")).to_contain_text("choose Printers", timeout=SLOW_MS)
            assert _call(page, rag) == 201

            page.goto(stranger)
            page.get_by_role("button", name="Help desk").press("Enter")
            page.wait_for_timeout(0)
            expect(page.locator("iframe")).to_be_visible(timeout=SLOW_MS)
            assert page.frame_locator("iframe").get_by_label("Your message").count() == 0
            assert _call(page, rag) == "blocked"
        finally:
            rag.kill()


def _call(page: Page, rag: Rag) -> Any:
    script = """async (url) => {
      const headers = { "Content-Type": "application/json" };
      try { return (await fetch(url, { method: "POST", headers, body: "{}" })).status; } catch { return "blocked"; }
    }"""
    return page.evaluate(script, f"{rag.url}/sessions")


def test_nobody_frames_it_unless_listed(rag: Rag) -> None:
    """Without a list the page says so itself."""
    policy = httpx.get(rag.url).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
