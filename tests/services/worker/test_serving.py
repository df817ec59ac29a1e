"""The worker's ports as strangers in its network find them."""

import asyncio

from services.worker.metrics import build_metrics_app
from services.worker.serving import build_server, serve_until
from tests.conftest import free_port

LONG = b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 40_000 + b"\r\n\r\n"
PLAIN = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_metrics_are_told_and_a_large_head_is_refused() -> None:
    """The port held each half-open connection for ever, in a thread of its own."""
    port, stop = free_port(), asyncio.Event()
    server = build_server(build_metrics_app(), host="127.0.0.1", port=port)
    serving = asyncio.create_task(serve_until(server, stop))
    while not server.started:  # noqa: ASYNC110  # uvicorn offers no event
        await asyncio.sleep(0.01)
    assert (await _asked(port, LONG)).startswith(b"HTTP/1.1 431")
    answer = await _asked(port, PLAIN)
    stop.set()
    await serving
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"pointsman_decisions_total" in answer


async def _asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer
