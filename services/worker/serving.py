"""The worker's two ports, for questions and for metrics, served in its own loop and bounded as every other port is."""

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from services.core.kit.connections import BoundedConnection

HEAD_TIMEOUT_S = 15.0
CONNECTIONS_MAX = 200


class Server(uvicorn.Server):
    """Its signals are the worker's."""

    def capture_signals(self) -> Any:
        return nullcontext()


def build_server(app: ASGIApp, *, host: str, port: int) -> Server:
    """Not yet serving; `serve_until` runs it."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=partial(BoundedConnection, head_timeout_s=HEAD_TIMEOUT_S),  # ty: ignore[invalid-argument-type]  # only called
        ws="none",
        lifespan="off",
        limit_concurrency=CONNECTIONS_MAX,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return Server(config)


async def serve_until(server: Server, stop: asyncio.Event) -> None:
    """
    Raises:
        SystemExit: the port is taken; the supervisor says so.
    """
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
