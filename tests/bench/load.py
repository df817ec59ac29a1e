"""
A cheap client: whole requests made beforehand, raw sockets, one thread; it costs some 20 us of processor a request.

Its own processor time is part of what it returns, so that a reader sees that it was not the bottleneck.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ANSWER_MAX_BYTES = 65_536
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Sample:
    """What one run of requests took. `cpu_s` is this client's own processor time."""

    took_s: tuple[float, ...]
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return len(self.took_s) / self.wall_s

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(np.array(self.took_s), percent)) * 1000


@dataclass
class _Talk:
    """One connection and the request it waits for."""

    sock: socket.socket
    sent_at: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes) -> None:
        self.answer.clear()
        self.sent_at = time.perf_counter()
        self.sock.sendall(request)

    def receive(self) -> bool:
        """Whether the answer is complete."""
        self.answer += self.sock.recv(ANSWER_MAX_BYTES)
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found:
            if not head:
                raise RuntimeError("The server closed the connection.")
            return False
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            raise RuntimeError(f"The server answered {bytes(head[:40])!r}: {bytes(body[:200])!r}")
        return len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def http_post(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole HTTP/1.1 request that keeps the connection open."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def closed_loop(port: int, requests: Sequence[bytes], *, connections: int) -> Sample:
    """Each connection sends its next request when it has its answer: as fast as the server allows."""
    waiting, took = deque(requests), []
    with selectors.DefaultSelector() as selector:
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(min(connections, len(requests))):
            _open(selector, port).send(waiting.popleft())
        while len(took) < len(requests):
            for talk in _ready(selector):
                if talk.receive():
                    took.append(time.perf_counter() - talk.sent_at)
                    if waiting:
                        talk.send(waiting.popleft())
        sample = Sample(tuple(took), time.perf_counter() - begun, time.process_time() - cpu)
        _close(selector)
    return sample


def paced(port: int, requests: Sequence[bytes], *, per_s: float) -> Sample:
    """One request after the other at a steady rate, whatever the server does with them afterwards."""
    took = []
    with selectors.DefaultSelector() as selector:
        talk, begun, cpu = _open(selector, port), time.perf_counter(), time.process_time()
        for number, request in enumerate(requests):
            time.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            talk.send(request)
            while not talk.receive():
                pass
            took.append(time.perf_counter() - talk.sent_at)
        sample = Sample(tuple(took), time.perf_counter() - begun, time.process_time() - cpu)
        _close(selector)
    return sample


def _open(selector: selectors.BaseSelector, port: int) -> _Talk:
    sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    talk = _Talk(sock)
    selector.register(sock, selectors.EVENT_READ, talk)
    return talk


def _ready(selector: selectors.BaseSelector) -> list[_Talk]:
    events = selector.select(TIMEOUT_S)
    if not events:
        raise RuntimeError(f"No answer within {TIMEOUT_S:.0f} s.")
    return [key.data for key, _ in events]


def _close(selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        key.data.sock.close()
