"""A router's double for the worker's tests: real HTTP, answers that a test decides, and a record of what was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ServedRouter:
    """Listens from the start until `close`. `asked` holds the texts of each request, `told` the facts beside them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.told: list[str] = []
        router = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                texts = request["inputs"][0]["data"]
                router.asked.append(texts)
                router.told.append(request.get("parameters", {}).get("facts", ""))
                status, answer = router.answer(texts)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
                router.answered()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, texts: list[str]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        raise NotImplementedError

    def answered(self) -> None:
        """Called when an answer has left."""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
