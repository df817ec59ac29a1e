"""
What one connection may cost before it is a request: uvicorn's own limits begin only after the first answer.

Knows bytes and timers; what a request is and who sent it, is for those behind it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES = 32_768  # request line and headers together; nginx takes 32 KiB in all, uvicorn's h11 64
WRITE_TIMEOUT_S = 30.0  # a client that does not take its answer
TOO_LARGE = b'{"error":"HeadersTooLarge","message":"Request line and headers are larger than 32768 bytes."}'
TOO_LARGE_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(TOO_LARGE)
)


class HeadTooLarge(Exception):
    """Ends the parsing; never leaves this module."""


class JoinedWrites:
    """
    A transport that sends together what is written in one turn of the loop: uvicorn writes head and body of an answer
    apart, which costs two calls of the system and two packets.

    State: what was written in this turn.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written and not self._transport.is_closing():  # who has left meanwhile is no error
            self._transport.write(b"".join(written))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedConnection(HttpToolsProtocol):
    """
    A connection that is closed when a head does not come in time, is too large, or its answer is not taken.

    State: bytes since the parser last got anywhere, and two timers.
    """

    def __init__(self, *arguments: Any, head_timeout_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timeout_s = head_timeout_s
        self._stuck_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport, self.loop))  # ty: ignore[invalid-argument-type]  # as one is used
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_has_come()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._stuck_bytes += len(data)
        super().data_received(data)
        if self._stuck_bytes > HEAD_MAX_BYTES:
            self.send_400_response("")
        if self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()  # empty lines before a request wake nothing else

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_MAX_BYTES:
            self._stuck_bytes = size
            raise HeadTooLarge
        self._head_has_come()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._stuck_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stuck_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Also where the parser gave up over a head that is too large: that is a 431."""
        if self._stuck_bytes <= HEAD_MAX_BYTES:
            super().send_400_response(msg)
        elif not self.transport.is_closing():
            self.transport.write(TOO_LARGE_HEAD + TOO_LARGE)
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _expect_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self._head_timeout_s, self.transport.abort)

    def _head_has_come(self) -> None:
        self._stuck_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
