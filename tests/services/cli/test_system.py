"""`pointsman up --system rt`: a person types a ticket into the real Request Tracker, and it comes back triaged."""

import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.local.home import Home
from services.local.platform import claim, prepare
from services.local.systems import request_tracker
from services.local.systems.program import require
from tests.platform import build_home, promote, user_environment
from tests.services.trainer.bundles import small_bundle

TIMEOUT_S = 300.0
LOOK_S = 0.3
COMMAND = [sys.executable, "-m", "services.cli", "up", "--mock", "0", "--no-browser", "--system", "rt"]


@pytest.fixture
def home(open_folder: Path) -> Iterator[Home]:
    """With a small model in service, so that nothing is trained."""
    try:
        require(request_tracker.SERVER, name=request_tracker.NAME, packages=request_tracker.PACKAGES)
    except ConfigurationInvalid as exc:
        pytest.skip(exc.message)
    home = build_home(open_folder / "with-rt")
    claim(home, print)
    prepare(home)
    promote(home, small_bundle())
    home.running_file.unlink(missing_ok=True)
    yield home
    home.postgres.stop()
    shutil.rmtree(home.folder, ignore_errors=True)


def test_a_ticket_typed_into_the_real_system_comes_back_triaged(home: Home) -> None:
    """Log in, fill in RT's form as its page has it, submit: queue, priority and a private note that says why."""
    up = subprocess.Popen(
        COMMAND, env=user_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert up.stdout is not None
    said = []
    try:
        for line in up.stdout:
            said.append(line)
            if "Ctrl-C stops" in line:
                break
        found = re.search(r"Request Tracker serves at (http://\S+) \(log in as (\w+) / (\w+)\)", "".join(said))
        assert found, "".join(said)
        url, user, password = found.groups()
        with httpx.Client(base_url=url, timeout=60, follow_redirects=True, headers={"Referer": url}) as browser:
            browser.post("/NoAuth/Login.html", data={"user": user, "pass": password}).raise_for_status()
            typed = {"Requestors": "jo@example.com", "Subject": "vpn and wifi problem", "Status": "new"}
            form = browser.get("/Ticket/Create.html", params={"Queue": "1"}).raise_for_status().text
            token = re.search(r'name="Token" value="(\w+)"', form)
            assert token
            html = {"Content": "<p>Please help with dns&nbsp;and <b>router</b></p>", "ContentType": "text/html"}
            ours = {"id": "new", "Token": token[1], "Queue": "1", "SubmitTicket": "Create"}
            sent = {**ours, **typed, **html}  # as RT's own editor posts it
            page = browser.post("/Ticket/Create.html", data=sent).raise_for_status()
            number = re.search(r"Ticket (\d+) created", page.text)
            assert number, page.url
            ticket = f"/REST/2.0/ticket/{number[1]}"
            deadline = time.monotonic() + TIMEOUT_S
            while not (notes := comments(browser, number[1])):
                assert time.monotonic() < deadline
                time.sleep(LOOK_S)
            now = browser.get(ticket, params={"fields[Queue]": "Name"}).json()
        assert now["Queue"]["Name"] == "Network"
        with psycopg.connect(home.postgres.url) as conn:
            body = conn.execute("select body from tickets where connector = 'request_tracker'").fetchall()
        assert body == [("Please help with dns and router",)]
        assert int(now["Priority"]) > 0
        assert len(notes) == 1
        assert "Pointsman routed this ticket to Network" in notes[0]
    finally:
        up.send_signal(signal.SIGTERM)
        rest, _ = up.communicate()
    assert up.returncode == 0, rest
    assert [p for p in psutil.process_iter(["cmdline"]) if str(home.folder) in " ".join(p.info["cmdline"] or ())] == []


def comments(browser: httpx.Client, number: str) -> list[str]:
    """What RT shows only to its staff."""
    history = browser.get(f"/REST/2.0/ticket/{number}/history", params={"fields": "Type"}).json()["items"]
    private = {str(row["id"]) for row in history if row["Type"] == "Comment"}
    parts = browser.get(f"/REST/2.0/ticket/{number}/attachments", params={"fields": "TransactionId"}).json()["items"]
    ours = [part["id"] for part in parts if str(part["TransactionId"]) in private]
    found = [browser.get(f"/REST/2.0/attachment/{part}").json() for part in ours]
    return [b64decode(part["Content"]).decode() for part in found]


def test_without_its_packages_the_error_names_them(tmp_path: Path) -> None:
    """Said before anything is started or trained."""
    with pytest.raises(ConfigurationInvalid, match=r"apt-get install .*request-tracker5 rt5-standalone rt5-db-sqlite"):
        require(tmp_path / "rt-server", name=request_tracker.NAME, packages=request_tracker.PACKAGES)
