"""Events to a sink over real HTTP: CloudEvents in structured mode, retried or buried by the sink's answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from services.core.bus.build import build_publisher
from services.core.contracts.events import Event
from services.core.kit.errors import ConfigurationInvalid, ConnectorRejected, ConnectorUnavailable
from services.core.kit.outbox import Letter
from services.worker.letters import deliver

EVENT = {
    "id": "7:routed",
    "source": "pointsman/worker",
    "type": "pointsman.ticket.routed.v1",
    "subject": "7",
    "time": "2026-11-20T09:15:00Z",
    "specversion": "1.0",
    "datacontenttype": "application/json",
    "data": {"group": "Network"},
}
LETTER = Letter(1, "7:routed", "event", None, 7, EVENT, 1)


class Sink(ThreadingHTTPServer):
    """Answers with `status` and keeps what it was sent."""

    status = 202
    received: list[tuple[str, bytes]]


class Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.headers["content-type"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def sink() -> Iterator[Sink]:
    server = Sink(("127.0.0.1", 0), Handler)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


async def send(url: str | None) -> str:
    async with httpx.AsyncClient() as http:
        return await deliver(SimpleNamespace(), build_publisher(url, http), http, LETTER)  # ty: ignore[invalid-argument-type]  # an event needs the address only


async def test_an_event_arrives_as_a_structured_cloudevent(sink: Sink) -> None:
    """One JSON object that is our contract."""
    assert await send(f"http://127.0.0.1:{sink.server_port}/events") == "published"
    content_type, body = sink.received[0]
    assert content_type == "application/cloudevents+json"
    assert Event.model_validate(json.loads(body)).subject == "7"


@pytest.mark.parametrize(
    ("status", "error"), [(500, ConnectorUnavailable), (429, ConnectorUnavailable), (400, ConnectorRejected)]
)
async def test_the_sinks_answer_decides_whether_to_try_again(sink: Sink, status: int, error: type[Exception]) -> None:
    """5xx and 429 may pass; another 4xx never will."""
    sink.status = status
    with pytest.raises(error):
        await send(f"http://127.0.0.1:{sink.server_port}/events")


async def test_no_sink_at_all_is_told_apart() -> None:
    """Nobody listens: try again. No address: mend the configuration."""
    with pytest.raises(ConnectorUnavailable):
        await send("http://127.0.0.1:9/events")
    with pytest.raises(ConfigurationInvalid):
        await send(None)
