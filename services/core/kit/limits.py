"""
What one request may cost, for every route and before any of them runs: size and time of its body, and what all bodies
together may hold. Who is refused never learns it from a route; who leaves is no error.

Heads and connections are bounded in connections.py, wrong keys and call rates in access.py.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.kit.errors import BodyTooLarge, BodyTooSlow, PointsmanError, Unavailable

HELD_MAX_BYTES = 128 * 1024 * 1024  # of all bodies being worked on; the gateway's own memory is about as much
DRAIN_S = 0.5  # how long an answer waits for the rest of a body nobody wants: a client that still sends may not read


def of_error(error: PointsmanError) -> dict[str, str]:
    return {"error": type(error).__name__, "message": error.message}


@dataclass
class Limits:
    """The ASGI layer; `words` is how its API says an error. State: bytes of the bodies that are in memory now."""

    app: ASGIApp
    max_body_bytes: int
    body_timeout_s: float
    words: Callable[[PointsmanError], dict[str, str]] = of_error
    held_bytes: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = _Exchange(self, Headers(scope=scope), receive, send)
        try:
            await exchange.run(scope)
        finally:
            self.held_bytes -= exchange.size


class _Exchange:
    """One request and its answer. State: how much of the body has come, and why no more of it is taken."""

    def __init__(self, limits: Limits, headers: Headers, receive: Receive, send: Send) -> None:
        self._limits = limits
        self._headers = headers
        self._receive, self._send = receive, send
        self._deadline: float | None = None
        self._is_complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._refusal: PointsmanError | None = None
        self._has_left = False
        self._has_answered = False
        self.size = 0

    async def run(self, scope: Scope) -> None:
        if int(self._headers.get("content-length", "0")) > self._limits.max_body_bytes:
            self._refusal = self._too_large()
        else:
            try:
                await self._limits.app(scope, self.receive, self.send)
            except Exception:
                if self._refusal is None and not self._has_left:
                    raise
        if self._refusal is not None and not self._has_answered:
            await self._refuse(self._refusal)

    async def receive(self) -> Message:
        """The next part of the body; raises what it broke, which `run` answers with whatever a route makes of it."""
        if self._is_complete:
            return await self._next()
        if self._refusal is not None:
            raise self._refusal
        try:
            async with asyncio.timeout_at(self._until()):
                message = await self._next()
        except TimeoutError as exc:
            limit_s = self._limits.body_timeout_s
            self._refusal = BodyTooSlow(f"The body did not come within {limit_s:g} s. Send it again, at once.")
            raise self._refusal from exc
        self._count(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        if self._refusal is not None and not self._has_answered:
            return  # a route's reading of our refusal is not the answer
        if message["type"] == "http.response.start":
            self._has_answered = True
            await self._drain()
            if not self._is_complete:
                MutableHeaders(scope=message)["connection"] = "close"
        await self._send(message)

    def _until(self) -> float:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._limits.body_timeout_s
        return self._deadline

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._has_left = self._has_left or not self._is_complete
        elif not message.get("more_body", False):
            self._is_complete = True
        return message

    def _count(self, size: int) -> None:
        self.size += size
        self._limits.held_bytes += size
        if self.size > self._limits.max_body_bytes:
            self._refusal = self._too_large()
        elif self._limits.held_bytes > HELD_MAX_BYTES:
            self._refusal = Unavailable("Too much is being taken in at this moment. Try again.", retry_after_s=1)
        if self._refusal is not None:
            raise self._refusal

    def _too_large(self) -> BodyTooLarge:
        limit = self._limits.max_body_bytes
        return BodyTooLarge(f"The body is larger than {limit} bytes. Send less at once.")

    async def _drain(self) -> None:
        """Reads and forgets what is on its way, so that a client that sends first and reads then gets its answer."""
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                while not (self._is_complete or self._has_left or drained > self._limits.max_body_bytes):
                    drained += len((await self._next()).get("body", b""))
        except TimeoutError:
            pass

    async def _refuse(self, error: PointsmanError) -> None:
        body = json.dumps(self._limits.words(error)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(int(error.retry_after_s)).encode()))
        self._refusal = None
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
