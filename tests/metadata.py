"""The metadata services of Azure and Google and Entra's token endpoint, over real HTTP: each answer a new token."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Metadata:
    """`life_s`: what the next token is good for. `given` and `asked` are for the test to read."""

    port: int = 0
    life_s: int = 3600
    is_down: bool = False
    good_from: int = 0  # which of the given still count
    given: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Where the clouds' own libraries are told to find them."""
        return {
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url,
            "AZURE_AUTHORITY_HOST": f"{self.url}/",
            "GCE_METADATA_HOST": self.url.removeprefix("http://"),
        }

    def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, dict]:
        self.asked.append((method, path, headers, body))
        is_metadata = headers.get("metadata") == "true" or headers.get("metadata-flavor") == "Google"
        if self.is_down or not (is_metadata or "client_assertion" in body):
            return 403, {"error": "not for you"}
        self.given.append(f"token-{len(self.given)}-of-{urlsplit(path).path}")
        return 200, {"access_token": self.given[-1], "expires_in": str(self.life_s), "token_type": "Bearer"}


@contextmanager
def metadata_services() -> Iterator[Metadata]:
    state = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = state.answer(self.command, self.path, headers, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = handle_any

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()
