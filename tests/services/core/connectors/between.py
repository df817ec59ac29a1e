"""A proxy between a connector and a real system, in which the calls can fail that a real system answers rightly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.local.doubles.faults import Fault, Faults, answered, refused

FAULTS: Mapping[str, dict[str, Any]] = {
    "rate_limited": {"kind": "status", "status": 429, "retry_after": "7"},
    "server_error": {"kind": "status", "status": 503},
    "hang": {"kind": "hang"},
    "hang_after_effect": {"kind": "hang_after_effect"},
    "break_after_effect": {"kind": "break_after_effect"},
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
OF_ONE_HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding"}


@dataclass
class Between:
    """`target` is the system's address; `http` belongs to the caller."""

    target: str
    http: httpx.AsyncClient
    faults: Faults = field(default_factory=Faults)
    struck: int = 0  # faulty requests that the system is still carrying out

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.pass_on, methods=METHODS)])

    def fail_next_write(self, fault: str, skip: int) -> None:
        self.faults.add(Fault(**FAULTS[fault], skip=skip))

    async def pass_on(self, request: Request) -> Response:
        fault = self.faults.take(request.method, request.url.path)
        self.struck += fault is not None
        try:
            return refused(fault) or answered(fault, await self._carry_out(request))
        finally:
            self.struck -= fault is not None

    def is_struck(self) -> bool:
        """The fault has been met, and the system has done what it will do of that call."""
        return not (self.faults.waiting or self.struck)

    async def _carry_out(self, request: Request) -> Response:
        answer = await self.http.request(
            request.method,
            self.target + request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            content=await request.body(),
            headers={name: value for name, value in request.headers.items() if name not in OF_ONE_HOP},
            timeout=60,
        )
        headers = {name: value for name, value in answer.headers.items() if name not in OF_ONE_HOP}
        return Response(answer.content, answer.status_code, headers)
