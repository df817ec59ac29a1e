"""
A double as an ASGI application around a vendor's own paths: sign-in, rate limit, faults, the server's date.

A double's author writes handlers in the vendor's words and gives them to `build`; every request then has to name a
user, counts against the limit, and may meet a fault before or after its effect. Under `/double` lie our switches:
`POST /double/faults` and `GET /double/requests`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.local.doubles.faults import WRITES, Fault, Faults, answered, refused


def utc_now() -> datetime:
    return datetime.now(UTC)


class Refusal(Exception):
    """An answer the vendor gives instead of doing it."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Asked:
    """One request that was let in: who asks, and what. `body` is {} where there was none."""

    user: str
    request: Request
    body: Any

    def path(self, name: str) -> str:
        return self.request.path_params[name]

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)


Answer = Any  # what a handler returns: JSON, or (status, JSON), or a Response
Handler = Callable[[Asked], Answer]


@dataclass
class Double:
    """
    `users`: what the Authorization header must say, to the user's name; see `basic` and `bearer`.
    `unauthorized` and `too_many` are in the vendor's words. The clock may be a test's.
    """

    users: Mapping[str, str]
    requests_per_minute: int = 100_000
    clock: Callable[[], datetime] = utc_now
    unauthorized: Any = field(default_factory=lambda: {"error": "unauthorized"})
    too_many: Any = field(default_factory=lambda: {"error": "too many requests"})
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)  # what was asked, oldest first
    _minute: int = 0
    _in_minute: int = 0

    def build(
        self, routes: Sequence[tuple[str, str, Handler]], *, public: Sequence[tuple[str, str, Any]] = ()
    ) -> ASGIApp:
        """The application; `routes` are method, path and handler. `public` asks for no user: where tokens are made."""
        ours = [
            Route("/double/faults", self._add_fault, methods=["POST"]),
            Route("/double/faults", self._waiting, methods=["GET"]),
            Route("/double/requests", self._asked, methods=["GET"]),
        ]
        theirs = [Route(path, self._guarded(handler), methods=[method]) for method, path, handler in routes]
        anyone = [Route(path, handler, methods=[method]) for method, path, handler in public]
        return ServerDate(Starlette(routes=[*ours, *anyone, *theirs]), self.clock)

    def _guarded(self, handler: Handler) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            try:
                return await self._answer(handler, request)
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.status, refusal.headers)

        return guarded

    async def _answer(self, handler: Handler, request: Request) -> Response:
        self._count()
        user = self.users.get(request.headers.get("authorization", ""))
        if user is None:
            raise Refusal(401, self.unauthorized)
        self.requests.append({"method": request.method, "path": request.url.path, "user": user})
        fault = self.faults.take(request.method, request.url.path)
        if (instead := refused(fault)) is not None:
            return instead
        body = await request.json() if request.method in WRITES and await request.body() else {}
        return answered(fault, _response(handler(Asked(user, request, body))))

    def _count(self) -> None:
        at = self.clock().timestamp()
        if int(at // 60) != self._minute:
            self._minute, self._in_minute = int(at // 60), 0
        self._in_minute += 1
        if self._in_minute > self.requests_per_minute:
            raise Refusal(429, self.too_many, {"retry-after": str(60 - int(at % 60))})

    async def _add_fault(self, request: Request) -> Response:
        self.faults.add(Fault.model_validate(await request.json()))
        return await self._waiting(request)

    async def _waiting(self, request: Request) -> Response:
        return JSONResponse({"waiting": [fault.model_dump() for fault in self.faults.waiting]})

    async def _asked(self, request: Request) -> Response:
        return JSONResponse({"requests": self.requests})


def _response(answer: Answer) -> Response:
    if isinstance(answer, Response):
        return answer
    status, body = answer if isinstance(answer, tuple) else (200, answer)
    return Response(status_code=status) if body is None else JSONResponse(body, status)


def indexed(rows: Sequence[Any], changed_at: Callable[[Any], datetime], now: datetime, lag_s: float) -> list[Any]:
    """What a search that is behind shows: every other row at once, the rest when the lag is over."""
    shown_up_to = now - timedelta(seconds=lag_s)
    return [row for place, row in enumerate(rows) if place % 2 == 0 or changed_at(row) <= shown_up_to]


def basic(user: str, password: str) -> str:
    """The Authorization header of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic_pair(authorization: str) -> tuple[str, str] | None:
    """User and password of a Basic header; None when it is none."""
    scheme, _, value = authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, secret) if scheme == "Basic" else None


class ServerDate:
    """Puts the Date of the double's own clock on every answer (uvicorn's is switched off)."""

    def __init__(self, app: ASGIApp, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self._clock().astimezone(UTC), usegmt=True)
                message["headers"] = [*message["headers"], (b"date", date.encode())]
            await send(message)

        await self._app(scope, receive, send_dated)
