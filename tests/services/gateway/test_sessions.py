"""Into the console: a one-time link becomes a session; where a call comes from proves nothing, proxies included."""

import asyncio
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_connection, create_server, socket

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.admin import REVOKE
from services.gateway.access import COOKIE
from tests.conftest import free_port
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import add_groups, decision, take_in, ticket
from tests.services.gateway.served import PATIENCE_S, Served, serve

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
NGINX = """
daemon off; pid nginx.pid; error_log stderr; user root;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path u; scgi_temp_path s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}
}}
"""


async def link_of(gateway: httpx.AsyncClient, key: str) -> str:
    answer = await gateway.post("/api/console-links", headers=Keys.header(key))
    assert answer.status_code == 201, answer.text
    return answer.json()["path"]


async def test_a_link_opens_one_session_with_the_role_of_its_key(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """The console opens without a key being typed; the cookie is no key of the link's owner."""
    answer = await gateway.get(await link_of(gateway, keys.viewer))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Max-Age=43200"} <= set(answer.headers["set-cookie"].split("; "))
    assert keys.viewer not in answer.headers["set-cookie"]
    assert (await gateway.get("/")).status_code == 200
    refused = await gateway.post("/tickets/1/review", data={"group": "x"}, headers=SAME_ORIGIN)
    assert refused.status_code == 403


async def test_a_link_works_once_whoever_comes_first(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Five at once: one session; the others, and those who guess, read what to do."""
    path = await link_of(gateway, keys.agent)
    answers = await asyncio.gather(*(gateway.get(path, headers={"Cookie": ""}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers)[0] == 303
    assert sum("set-cookie" in answer.headers for answer in answers) == 1
    gateway.cookies.clear()
    for used in (path, "/enter?link=guessed", "/enter"):
        answer = await gateway.get(used)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "pointsman console" in answer.text


async def test_a_link_followed_twice_in_one_browser_leads_on(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """A person clicks it again: they are signed in already."""
    path = await link_of(gateway, keys.agent)
    await gateway.get(path)
    answer = await gateway.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
async def test_a_link_that_another_page_follows_opens_nothing(
    gateway: httpx.AsyncClient, keys: Keys, site: str
) -> None:
    """Else a stranger with an account could have a person work under the stranger's name. The link stays good."""
    path = await link_of(gateway, keys.agent)
    answer = await gateway.get(path, headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "paste it into the address bar" in answer.text
    assert (await gateway.get(path, headers={"Sec-Fetch-Site": "none"})).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        "update console_links set expires_at = now()",
        "update api_keys set revoked_at = now() where name = 'agent'",
    ],
    ids=["too old", "its key was revoked"],
)
async def test_a_link_ends(gateway: httpx.AsyncClient, keys: Keys, database: str, change: str) -> None:
    """After ten minutes, and with the key that asked for it."""
    path = await link_of(gateway, keys.agent)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(change.encode())
    assert (await gateway.get(path)).status_code == 401


async def test_a_session_ends_by_itself_and_with_its_key(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Twelve hours, or `pointsman keys revoke`."""
    for end in ("update api_keys set expires_at = now() where opened_by is not null", REVOKE):
        gateway.cookies.clear()
        await gateway.get(await link_of(gateway, keys.agent))
        assert (await gateway.get("/counts")).status_code == 200
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute(end.encode(), {"id": keys.agent.split("_")[1]})
        assert (await gateway.get("/counts")).status_code == 303


async def test_a_session_is_no_api_key(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Its value in a header opens neither the API nor a link that would outlive it, nor the login's form."""
    await gateway.get(await link_of(gateway, keys.agent))
    session = gateway.cookies[COOKIE]
    gateway.cookies.clear()
    for header in ({"X-API-Key": session}, {"Authorization": f"Bearer {session}"}):
        assert (await gateway.get("/api/tickets", headers=header)).status_code == 401
        assert (await gateway.post("/api/console-links", headers=header)).status_code == 401
        assert (await gateway.get("/counts", headers=header)).status_code == 303
    assert (await gateway.post("/login", data={"key": session}, headers=SAME_ORIGIN)).status_code == 401


async def test_logging_out_ends_the_session_everywhere(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """A copy of the cookie opens nothing afterwards; the key's other sessions, and the key, go on."""
    await gateway.get(await link_of(gateway, keys.agent))
    other = {"Cookie": f"{COOKIE}={gateway.cookies[COOKIE]}"}
    gateway.cookies.clear()
    await gateway.get(await link_of(gateway, keys.agent))
    copy = {"Cookie": f"{COOKIE}={gateway.cookies[COOKIE]}"}
    assert (await gateway.post("/logout", headers=SAME_ORIGIN)).status_code == 303
    gateway.cookies.clear()
    assert (await gateway.get("/counts", headers=copy)).status_code == 303
    assert (await gateway.get("/counts", headers=other)).status_code == 200
    await link_of(gateway, keys.agent)
    await gateway.post("/logout", headers=SAME_ORIGIN | {"Cookie": f"{COOKIE}={keys.agent}"})
    await link_of(gateway, keys.agent)


async def test_a_typed_key_opens_a_session_and_is_none(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """The cookie holds another secret, which a logout ends everywhere; the key itself opens no page from a cookie."""
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)
    copy = {"Cookie": f"{COOKIE}={gateway.cookies[COOKIE]}"}
    assert keys.agent.rpartition("_")[2] not in copy["Cookie"]
    assert (await gateway.get("/counts", headers=copy)).status_code == 200
    assert (await gateway.post("/logout", headers=SAME_ORIGIN)).status_code == 303
    gateway.cookies.clear()
    assert (await gateway.get("/counts", headers=copy)).status_code == 303
    assert (await gateway.get("/counts", headers={"Cookie": f"{COOKIE}={keys.agent}"})).status_code == 303


async def test_a_session_is_known_at_once_where_wrong_keys_come_in_floods(
    gateway: httpx.AsyncClient, keys: Keys
) -> None:
    """The page after the login is no 429, though somebody else guesses keys from the same address."""
    for number in range(60):
        last = await gateway.get("/api/status", headers=Keys.header(f"pm_000000000000_{number}"))
    assert last.status_code == 429
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)
    assert (await gateway.get("/counts")).status_code == 200


async def test_the_list_of_keys_holds_no_session(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Three keys were made; the sessions of one are counted beside it."""
    await gateway.get(await link_of(gateway, keys.agent))
    gateway.cookies.clear()
    await gateway.post("/login", data={"key": keys.agent}, headers=SAME_ORIGIN)
    listed = CliRunner().invoke(app, ["keys", "list", "--format", "json"], env={"POINTSMAN_DATABASE_URL": database})
    rows = json.loads(listed.stdout)
    assert {row["name"]: row["sessions"] for row in rows} == {"viewer": 0, "agent": 2, "admin": 0}


async def test_links_sessions_and_logouts_are_in_the_audit_log(
    gateway: httpx.AsyncClient, keys: Keys, database: str
) -> None:
    """Who came in how and when, under the key's id; no secret. What failed tells nothing."""
    path = await link_of(gateway, keys.agent)
    for _ in range(2):
        await gateway.get(path)
    secrets = {path.rpartition("=")[2], keys.agent, gateway.cookies[COOKIE].rpartition("_")[2]}
    for _ in range(2):
        await gateway.post("/logout", headers=SAME_ORIGIN)
    await gateway.post("/login", data={"key": keys.viewer}, headers=SAME_ORIGIN)
    with psycopg.connect(database) as conn:
        rows = conn.execute(
            "select actor, action, subject, detail from audit_log where action like 'session.%' order by pending"
        ).fetchall()
    agent, viewer = (f"key/{key.split('_')[1]}" for key in (keys.agent, keys.viewer))
    assert rows == [
        ("user/agent", "session.link_made", agent, {}),
        ("user/agent", "session.opened", agent, {"by": "link"}),
        ("user/agent", "session.ended", agent, {}),
        ("user/viewer", "session.opened", viewer, {"by": "key"}),
    ]
    assert not any(secret in str(rows) for secret in secrets)


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    add_groups(database)
    asyncio.run(take_in(database, [(ticket(), decision())]))
    with serve(database, tmp_path) as found:
        yield found


@contextmanager
def nginx(behind: int, folder: Path) -> Iterator[int]:
    """The real one with a plain proxy_pass: the gateway sees a loopback peer, its own Host, no forwarding header."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no nginx on this machine: install it (Debian: apt-get install nginx-light)")
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(port=port, behind=behind))
    process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def forwarder(behind: int, folder: Path) -> Iterator[int]:
    """A proxy that passes bytes on and says nothing about who sent them."""
    with closing(create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_accept, args=(listening, behind), daemon=True).start()
        yield listening.getsockname()[1]


@contextmanager
def nothing(behind: int, folder: Path) -> Iterator[int]:
    yield behind


def _accept(listening: socket, behind: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        server = create_connection(("127.0.0.1", behind))
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket, sink: socket) -> None:
    try:
        while part := source.recv(65536):
            sink.sendall(part)
    except OSError:
        pass
    sink.close()


@pytest.mark.parametrize("between", [nothing, nginx, forwarder])
def test_a_loopback_peer_proves_nothing(served: Served, tmp_path: Path, between) -> None:
    """Console and API ask to sign in, on this machine and behind a proxy on it; with the link both work."""
    with between(served.port, tmp_path) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        _wait_for(http)
        assert http.get("/").headers["location"] == "/login?next=%2F"
        review = {"url": "/tickets/1/review", "data": {"group": "Network & VPN"}, "headers": SAME_ORIGIN}
        assert http.post(**review).headers["location"] == "/login?next=%2F"
        assert http.get("/api/tickets").status_code == 401
        assert http.post("/api/tickets/1/review", json={}).status_code == 401
        path = http.post("/api/console-links", headers={"X-API-Key": served.key}).json()["path"]
        assert http.get(path).status_code == 303
        assert "A-1" in http.get("/").text or http.get("/").status_code == 200
        assert http.post(**review).status_code in (200, 422)


def _wait_for(http: httpx.Client) -> None:
    for _ in range(200):
        try:
            http.get("/login")
        except httpx.TransportError:
            threading.Event().wait(0.05)
        else:
            return


@pytest.mark.parametrize("has_screen", [True, False])
def test_the_command_line_prints_the_link_and_opens_it_where_there_is_a_screen(
    served: Served, tmp_path: Path, has_screen: bool
) -> None:
    """On a terminal with a display the browser is called with the link; without one it is only printed."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o755)
    environment = os.environ | {"POINTSMAN_URL": served.url, "POINTSMAN_API_KEY": served.key, "BROWSER": str(browser)}
    environment |= {"DISPLAY": ":9" if has_screen else "", "WAYLAND_DISPLAY": "", "COLUMNS": "300"}
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "console"]
    process = subprocess.Popen(command, env=environment, stdout=writer, stderr=writer)
    os.close(writer)
    assert process.wait(PATIENCE_S) == 0
    printed = os.read(reader, 65536).decode()
    os.close(reader)
    found = re.search(r"http://127\.0\.0\.1:\d+/enter\?link=[\w-]+", printed)
    assert found, printed
    assert opened.exists() is has_screen
    if has_screen:
        assert opened.read_text() == found[0]
    assert httpx.get(found[0]).status_code == 303
