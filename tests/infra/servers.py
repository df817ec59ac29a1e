"""Servers that stand in for clouds, over real HTTP on this machine."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = tuple[int, dict[str, str], Any]
Route = Callable[[str], Answer]  # the request's body in, the answer out


def says(body: Any, status: int = 200, **headers: str) -> Route:
    return lambda _: (status, headers, body)


@dataclass
class Cloud:
    """Answers by method and path; what it was asked is kept for the test to read."""

    url: str
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def cloud(routes: dict[str, Route]) -> Iterator[Cloud]:
    """`routes` maps `METHOD path-pattern` to an answer; the first that matches wins, none is a 404."""
    known = [(re.compile(pattern), route) for pattern, route in routes.items()]
    state = Cloud("")

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            state.asked.append((self.command, self.path, body))
            line = f"{self.command} {self.path}"
            route = next((r for p, r in known if p.search(line)), says({"error": {"message": "not there"}}, 404))
            status, headers, answer = route(body)
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(0 if status == 204 else len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if status != 204:
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
