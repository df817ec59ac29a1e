"""
A stand-in for four vendors' APIs over real HTTP: it says what a test scripts, and remembers what it was asked.

It speaks OpenAI chat completions (also under Azure's v1 path), Bedrock Converse and Gemini generateContent, and answers
in the form the request asked for: JSON content where a schema was sent, a tool call where a tool was.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INPUT_TOKENS, OUTPUT_TOKENS = 1_000, 100


@dataclass(frozen=True)
class Says:
    """A well-formed response of the vendor whose content is this (a mapping, or any text)."""

    content: Mapping[str, Any] | str


@dataclass(frozen=True)
class Fails:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "scripted", "code": "scripted"}, "message": "scripted"}'


@dataclass(frozen=True)
class Hangs:
    """Accepts the request and never answers."""


@dataclass(frozen=True)
class Garbage:
    """A 200 whose body is no JSON at all."""


Reply = Says | Fails | Hangs | Garbage


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All that left us, as one text."""
        return json.dumps(self.body, ensure_ascii=False)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Stub:
    """`script` is consumed reply by reply; the last one is repeated."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._script: deque[Reply] = deque()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *replies: Reply) -> None:
        self._script = deque(replies)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self) -> Reply:
        return self._script.popleft() if len(self._script) > 1 else self._script[0]

    def wait_until_closed(self) -> None:
        self._closing.wait()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                reply = stub.reply()
                if isinstance(reply, Hangs):
                    stub.wait_until_closed()
                elif isinstance(reply, Fails):
                    self._send(reply.status, reply.body, reply.headers)
                elif isinstance(reply, Garbage):
                    self._send(200, "<html>proxy error", {})
                else:
                    self._send(200, json.dumps(_shape(self.path, body, reply.content)), {})

            def _send(self, status: int, body: str, headers: Mapping[str, str]) -> None:
                raw = body.encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        return Handler


@contextmanager
def stub_server() -> Iterator[Stub]:
    stub = Stub()
    try:
        yield stub
    finally:
        stub.close()


def _shape(path: str, body: Mapping[str, Any], content: Mapping[str, Any] | str) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content)
    if path.endswith("/chat/completions"):
        return _openai(body, text)
    if path.endswith("/converse"):
        return _bedrock(body, content)
    if path.endswith(":generateContent"):
        return _gemini(body, text)
    raise AssertionError(f"no vendor has the path {path}")


def _openai(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if body.get("tools") and not body.get("response_format"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": text}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        }
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def _bedrock(body: Mapping[str, Any], content: Mapping[str, Any] | str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": content if isinstance(content, str) else json.dumps(content)}]
    if body.get("toolConfig") and not isinstance(content, str):
        name = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
        parts = [{"toolUse": {"toolUseId": "t1", "name": name, "input": content}}]
    usage = {"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS, "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS}
    stop = "tool_use" if "toolUse" in parts[0] else "end_turn"
    message = {"role": "assistant", "content": parts}
    return {"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 5}}


def _gemini(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    usage = {
        "promptTokenCount": INPUT_TOKENS,
        "candidatesTokenCount": OUTPUT_TOKENS,
        "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "stub"}
