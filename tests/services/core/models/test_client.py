"""The worker's client against servers that misbehave over real HTTP; the good case is in tests/services/router."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from services.core.kit.errors import InputInvalid, RouterUnavailable
from services.core.models.client import RouterClient
from tests.conftest import free_port


class Answering(ThreadingHTTPServer):
    """Answers every POST with `status` and `body`, after `hold` is set when there is one."""

    status = 200
    body = b"{}"
    hold: threading.Event | None = None
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hold is not None:
            self.server.hold.wait(10)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Answering]:
    server = Answering(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    if server.hold is not None:
        server.hold.set()
    server.shutdown()
    server.server_close()


async def ask(port: int, *, timeout_s: float = 5.0) -> object:
    async with httpx.AsyncClient() as client:
        return await RouterClient(f"http://127.0.0.1:{port}/", client, timeout_s).predict("secret text")


@pytest.mark.parametrize("status", [500, 502, 503, 404, 429])
async def test_trouble_on_the_routers_side_may_be_retried(server: Answering, status: int):
    server.status, server.body = status, b'{"error": "queue full"}'
    with pytest.raises(RouterUnavailable, match=f"{status}: queue full") as caught:
        await ask(server.server_port)
    assert caught.value.retryable


async def test_refusal_must_not_be_retried(server: Answering):
    server.status, server.body = 400, b'{"error": "too long"}'
    with pytest.raises(InputInvalid, match="too long") as caught:
        await ask(server.server_port)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "body", [b"not json", b"{}", b"[]", json.dumps({"model_version": "v", "outputs": []}).encode()]
)
async def test_foreign_answer_is_unavailability(server: Answering, body: bytes):
    """A proxy's page or another model's answer is never taken for a prediction."""
    server.body = body
    with pytest.raises(RouterUnavailable):
        await ask(server.server_port)


async def test_slow_router_times_out(server: Answering):
    server.hold = threading.Event()
    with pytest.raises(RouterUnavailable, match="Timeout"):
        await ask(server.server_port, timeout_s=0.1)


async def test_absent_router_is_unavailable():
    with pytest.raises(RouterUnavailable, match="ConnectError") as caught:
        await ask(free_port())
    assert "secret text" not in str(caught.value)
