"""The gateway attacked over real sockets: what an unauthenticated caller can make it hold, wait for and log."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from services.core.kit.connections import HEAD_MAX_BYTES
from services.core.kit.rates import NAMES_MAX, OTHERS, RateGate, network
from services.core.kit.security import Role, create_key
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from services.local.postgres import EmbeddedPostgres
from tests.conftest import fresh_database
from tests.services.gateway.conftest import SECRET
from tests.services.gateway.served import PATIENCE_S, Served, serve
from tests.sockets import answer_of

MIB = 1024 * 1024
SHORT_S = 1.0  # the limits on time, as short as a slow machine allows
WRONG_KEY = "pm_000000000000_wrong"
WITH_HOOK = {"POINTSMAN_CONNECTORS__GENERIC__SECRETS": json.dumps([SECRET.get_secret_value()])}
JSON_ROUTES = ("/api/tickets/lookup", "/api/tickets/1/review", "/api/tickets/1/feedback", "/api/dead-letters/replay")


@pytest.fixture(scope="module")
def stored(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    yield from fresh_database(postgres, template)


@pytest.fixture(scope="module")
def served(stored: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(stored, tmp_path_factory.mktemp("gateway"), **WITH_HOOK) as found:
        yield found


@pytest.fixture(scope="module")
def hasty(stored: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that waits a second for a head or a body: on a busy machine others, too, may be late for it."""
    short = {"POINTSMAN_BODY_TIMEOUT_S": str(SHORT_S), "POINTSMAN_HEAD_TIMEOUT_S": str(SHORT_S)}
    with serve(stored, tmp_path_factory.mktemp("hasty"), **WITH_HOOK | short) as found:
        yield found


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _opened(served: Served, head: bytes) -> socket.socket:
    """Sent at once: one that waits for its ninety-nine neighbours may be late."""
    sock = served.connect()
    sock.sendall(head)
    return sock


@contextmanager
def _holding(served: Served, head: bytes, count: int) -> Iterator[list[socket.socket]]:
    sockets = [_opened(served, head) for _ in range(count)]
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("path", [*JSON_ROUTES, "/webhook/ticket"])
def test_a_body_without_a_key_is_refused_unread(served: Served, path: str) -> None:
    """Chunked and endless: 401 and closed after a megabyte or so, nothing of it held."""
    before, sent, chunk = served.memory(), 0, b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sock = served.connect()
    sock.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" % path.encode())
    sock.sendall(b"transfer-encoding: chunked\r\n\r\n")
    try:
        while sent < 100 * MIB:
            sock.sendall(chunk)
            sent += len(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 40 * MIB  # what kernel buffers and the courtesy to slow readers take; the rest met a closed door
    assert _status(answer_of(sock)) == 401
    assert served.memory() - before < 30 * MIB
    assert served.is_well()


def test_valid_json_without_a_key_is_never_parsed(served: Served) -> None:
    """Within the size limit: an invalid body with no key is a 401, with a key a 422."""
    body = b'{"ids": ["%s"]}' % (b"x" * 500_000)
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{served.url}/api/tickets/lookup", content=body, headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 401
    headers |= {"X-API-Key": served.key}
    answer = httpx.post(f"{served.url}/api/tickets/lookup", content=body, headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 422


@pytest.mark.parametrize("path", [*JSON_ROUTES, "/webhook/ticket", "/hooks/generic", "/login", "/health"])
def test_a_body_over_the_limit_is_413_on_every_route(served: Served, path: str) -> None:
    """By its Content-Length, before who sent it matters; also where no body is expected."""
    sock = served.connect()
    sock.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 80000000\r\n\r\n{" % path.encode())
    assert _status(answer_of(sock)) == 413


def test_a_chunked_body_over_the_limit_is_413_with_a_key(served: Served) -> None:
    """It is counted while it is read."""

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"content-type": "application/json", "X-API-Key": served.key}
    answer = httpx.post(f"{served.url}/api/tickets/lookup", content=chunks(), headers=headers, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]) == (413, "BodyTooLarge")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: %s",
        b"GET /%s",
        b"GET / HTTP/1.1\r\nhost: x\r\n%s",
        b"POST /login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx-trailer: %s",
    ],
    ids=["one header", "address", "many headers", "trailer"],
)
def test_an_endless_head_is_cut_off(served: Served, head: bytes) -> None:
    """431 or closed after some 32 KiB, however it comes."""
    before, sent = served.memory(), 0
    sock = served.connect()
    opening, _, _ = head.partition(b"%s")
    filling = b"x-a: b\r\n" * 2048 if head.endswith(b"\r\n%s") else b"a" * 16_384
    try:
        sock.sendall(opening)
        while sent < 50 * MIB:
            sock.sendall(filling)
            sent += len(filling)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert HEAD_MAX_BYTES <= sent < 20 * MIB
    answer = answer_of(sock)
    assert not answer or _status(answer) in (400, 401, 403, 431)
    assert served.memory() - before < 20 * MIB
    assert served.is_well()


def test_a_large_head_in_one_piece_is_431(served: Served) -> None:
    """Also when it is complete at once."""
    sock = served.connect()
    sock.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * HEAD_MAX_BYTES + b"\r\n\r\n")
    answer = answer_of(sock)
    assert _status(answer) == 431
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "HeadersTooLarge"


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        (b"", {0}),
        (b"\r\n", {0}),
        (b"GET /health HTTP/1.1\r\nhost:", {0}),
        (b"POST /hooks/generic HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", {408}),
        (b"POST /api/tickets/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", {401}),
        (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{", {200}),
    ],
    ids=["silent", "empty line", "half a head", "half a hook", "half a body without a key", "half a body unasked for"],
)
def test_half_open_connections_end(hasty: Served, head: bytes, statuses: set[int]) -> None:
    """The gateway closes each of a hundred by itself, and serves others meanwhile."""
    with _holding(hasty, head, 100) as sockets:
        assert hasty.is_well()
        answers = [answer_of(sock) for sock in sockets]
    assert {_status(answer) if answer else 0 for answer in answers} == statuses


async def test_a_flood_that_asks_for_health_looks_once_at_a_time(settings: GatewaySettings) -> None:
    """It needs no key, so it must not take the connections that deliveries come in by: with one there is enough."""
    app = build_app(settings.model_copy(update={"gateway_intake_pool_size": 2}))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        await client.get("/health")
        before = app.state.intake_pool.get_stats()["requests_num"]
        answers = await asyncio.gather(*(client.get("/health") for _ in range(200)))
        asked = app.state.intake_pool.get_stats()["requests_num"] - before
    assert {answer.status_code for answer in answers} == {200}
    assert asked <= 4


def test_a_second_request_must_come_in_time_too(hasty: Served) -> None:
    """An empty line after an answer does not keep a connection for ever."""
    with hasty.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        sock.sendall(b"\r\n")
        assert answer_of(sock)


def test_wrong_keys_are_refused_without_locking_right_ones_out(served: Served) -> None:
    """429 with Retry-After from the 31st on; from the same address a right key, and one made since, still pass."""
    with httpx.Client(base_url=served.url, timeout=PATIENCE_S) as http:
        asked = [http.get("/api/status", headers={"X-API-Key": f"{WRONG_KEY}{n}"}) for n in range(200)]
        assert served.is_well()
        wrong_by_form = http.post("/login", data={"key": WRONG_KEY}, headers={"origin": served.url})
    statuses = [answer.status_code for answer in asked]
    assert statuses.count(429) >= 200 - 2 * 31  # a minute may end in between
    assert set(statuses) <= {401, 429}
    assert wrong_by_form.status_code in (401, 429)
    limited = next(answer for answer in asked if answer.status_code == 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 60


def test_forged_signatures_are_counted_too(served: Served) -> None:
    """A hook tells a forger to slow down; its right sender is never asked to (see test_hooks)."""
    with httpx.Client(base_url=served.url, timeout=PATIENCE_S) as http:
        statuses = [http.post("/hooks/generic", content=b"{}").status_code for _ in range(100)]
    assert {429} <= set(statuses) <= {401, 429}


def test_a_client_that_leaves_is_no_error(served: Served) -> None:
    """Whatever it left in the middle of, the log holds no line about it."""
    before = len(served.log.read_text())
    for path in ("/hooks/generic", "/webhook/ticket", "/api/tickets/lookup", "/login"):
        for key in ("", f"x-api-key: {served.key}\r\n"):
            with served.connect() as sock:
                sock.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-length: 100\r\n\r\n{{".encode())
    assert served.is_well()
    log = served.log.read_text()[before:]
    assert "Traceback" not in log
    assert '"level": "error"' not in log


def test_counts_are_bounded_in_memory() -> None:
    """Beyond so many names the rest share one count; one IPv6 subscriber is one name."""
    gate = RateGate(1, clock=lambda: 600_010.0)
    for number in range(NAMES_MAX):
        gate.pass_or_refuse(str(number))
    assert not gate.is_over("a stranger")
    gate.pass_or_refuse("a stranger")
    assert gate.is_over("another")
    assert gate.is_over(OTHERS)
    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:0:1::1")
    assert network("::ffff:192.0.2.1") == "192.0.2.1"


def test_a_new_key_works_in_the_middle_of_a_flood(served: Served, stored: str) -> None:
    """Within a second or so: the copy of the keys that a flood is held against is that old at most."""
    with httpx.Client(base_url=served.url, timeout=PATIENCE_S) as http:
        for number in range(100):
            http.get("/api/status", headers={"X-API-Key": f"{WRONG_KEY}{number}"})
        with psycopg.connect(stored, autocommit=True) as conn:
            headers = {"X-API-Key": create_key(conn, name="new", role=Role.VIEWER)}
        deadline = time.monotonic() + PATIENCE_S
        while http.get("/api/status", headers=headers).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
