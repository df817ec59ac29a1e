"""
The chat attacked over real sockets, as anybody on its page could.

One container for all: behind a proxy that it trusts, so that each test is a visitor from an address of its own.
"""

import hashlib
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from services.core.contracts.conversation import MESSAGE_MAX_CHARS
from services.core.kit.security import Role, create_key
from services.core.search.encoder import TextEncoder
from tests.services.rag.conftest import TIMEOUT_S, Rag, running_rag

WRONG_KEY = "pm_000000000000_wrong"


@pytest.fixture(scope="module")
def rag(postgres: Any, template: str, objects: Path, text_encoder: TextEncoder, tmp_path_factory: Any) -> Iterator[Rag]:
    proxies = {"POINTSMAN_TRUSTED_PROXIES": '["127.0.0.1"]'}
    yield from running_rag(postgres, template, objects, text_encoder, tmp_path_factory.mktemp("pages"), **proxies)


@pytest.fixture
def http(rag: Rag, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A visitor; IPv6 addresses are counted by /64, so each test's name makes a network."""
    network = hashlib.sha256(request.node.name.encode()).hexdigest()
    address = f"2001:db8:{network[:4]}:{network[4:8]}::1"
    with httpx.Client(base_url=rag.url, timeout=TIMEOUT_S, headers={"X-Forwarded-For": address}) as client:
        yield client


def _status(rag: Rag, head: bytes) -> int:
    """What the container answers to a request that never comes to its end."""
    with socket.create_connection(("127.0.0.1", rag.port), timeout=TIMEOUT_S) as sock:
        sock.sendall(b"POST %s\r\n\r\n{" % head)
        return int(sock.recv(4096).split(b" ", 2)[1])


def test_a_body_is_bounded_in_size_and_time(rag: Rag, http: httpx.Client) -> None:
    """By its length before it is read, else while it is; one that stops half-way ends. The longest message passes."""
    large, half = (
        b"/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 80000000",
        b" HTTP/1.1\r\nhost: x\r\ncontent-length: 99",
    )
    assert _status(rag, large) == 413
    assert _status(rag, b"/sessions" + half) == 408
    chunks = (b" " * 65_536 for _ in range(40))
    assert http.post("/sessions", content=chunks).status_code == 413
    opened = http.post("/sessions", json={}).json()
    escaped = '{"text": "%s"}' % ("\\ud83d\\ude00" * MESSAGE_MAX_CHARS)
    headers = {"Authorization": f"Bearer {opened['token']}", "Content-Type": "application/json"}
    said = http.post(f"/sessions/{opened['id']}/messages", content=escaped, headers=headers)
    assert said.status_code == 200


def test_a_head_is_bounded(rag: Rag) -> None:
    """One that is too large is told so."""
    assert _status(rag, b"/sessions HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 40_000) == 431


@pytest.mark.parametrize(("key", "refused_from"), [(None, 61), (WRONG_KEY, 31)], ids=["visitors", "wrong keys"])
def test_floods_are_refused_and_right_keys_pass(
    rag: Rag, http: httpx.Client, key: str | None, refused_from: int
) -> None:
    """429 with Retry-After, for visitors that open conversations and for wrong keys; a right key passes meanwhile."""
    with psycopg.connect(rag.database, autocommit=True, row_factory=dict_row) as conn:
        right = create_key(conn, name="portal", role=Role.AGENT)
    flood = [http.post("/sessions", json={}, headers={"X-API-Key": key} if key else {}) for _ in range(200)]
    assert http.post("/sessions", json={}, headers={"X-API-Key": right}).status_code == 201
    counts = Counter(answer.status_code for answer in flood)
    assert set(counts) <= {401 if key else 201, 429}
    assert counts[429] >= 200 - 2 * refused_from  # a minute may end in between
    assert 1 <= int(next(a for a in flood if a.status_code == 429).headers["retry-after"]) <= 60


def test_wrong_tokens_of_conversations_are_counted_too(http: httpx.Client) -> None:
    """Each is a query; from the 31st on they are told to slow down."""
    opened = http.post("/sessions", json={}).json()["id"]
    wrong = {"Authorization": "Bearer wrong"}
    counts = Counter(http.get(f"/sessions/{opened}", headers=wrong).status_code for _ in range(100))
    assert {429} <= set(counts) <= {401, 429}


def test_a_bots_call_is_not_looked_at_before_who_calls_is_asked(http: httpx.Client) -> None:
    """Switched off it is 404 whatever comes; it was 422, with the fields it wants."""
    assert http.post("/channels/bot-framework", json={"x": 1}).status_code == 404


def test_a_flood_of_messages_is_refused_and_other_conversations_go_on(rag: Rag, http: httpx.Client) -> None:
    """429 beyond so many in a conversation and minute; what was refused was not stored."""
    flooded, other = (http.post("/sessions", json={}).json() for _ in range(2))
    codes = Counter(_say(http, flooded, "Let me talk to a human").status_code for _ in range(45))
    assert set(codes) == {200, 429}
    assert codes[200] <= 2 * 20  # a minute may end in between
    stranger = {"id": other["id"], "token": "guessed"}
    refused = {_say(http, stranger, "Let me talk to a human").status_code for _ in range(45)}
    assert refused <= {401, 429}  # and has used up nobody's share but its own
    assert _say(http, other, "Let me talk to a human").status_code == 200
    stored = "select count(*) from messages where author = 'user' and session_id = %s"
    assert [rag.rows(stored, one["id"]) for one in (flooded, other)] == [[(codes[200],)], [(1,)]]


def _say(http: httpx.Client, opened: dict, text: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {opened['token']}"}
    return http.post(f"/sessions/{opened['id']}/messages", json={"text": text}, headers=headers)
