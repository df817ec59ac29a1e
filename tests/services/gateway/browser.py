"""A real browser on a real gateway: Chromium by Playwright, uvicorn on a free port, and a record of what went wrong."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings

# No sandbox: tests may run as root in a container. The rest keeps Chromium from calling its maker.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE_MS = 60_000  # a machine that others share shows a page in seconds; a test goes on as soon as it is there


@dataclass
class Watched:
    """A page with all that its console complained about and every host it asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, or a skipped test that says what to install."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip(
            "no Chromium on this machine: install it (Debian: apt-get install chromium) to test the console in it"
        )
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


def watch(page: Page) -> Watched:
    watched = Watched(page)
    page.on("console", lambda message: watched.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).hostname or request.url[:40]))
    return watched


@contextmanager
def serving(settings: GatewaySettings) -> Iterator[str]:
    """A gateway on a free port of this machine, in a thread; its address."""
    config = uvicorn.Config(build_app(settings), host="127.0.0.1", port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:  # the socket is bound and nobody listens at it yet
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def page_on(browser: Browser, settings: GatewaySettings) -> Iterator[Watched]:
    """A page of 1400 by 900 on a gateway of its own; nobody is logged in."""
    with serving(settings) as url:
        context = browser.new_context(base_url=url, viewport={"width": 1400, "height": 900})
        yield watch(context.new_page())
        context.close()


def log_in(page: Page, key: str, path: str) -> None:
    page.goto(f"/login?next={path}")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
