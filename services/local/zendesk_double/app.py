"""The double over HTTP: Zendesk's paths under /api/v2, our switches under /double."""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.local.zendesk_double.account import AGENT_ID, INTEGRATION_ID, Account, ApiError
from services.local.zendesk_double.faults import Broken, Fault, Faults, Hanging
from services.local.zendesk_double.webhooks import Webhook


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class DoubleSettings:
    """Two users may call: the integration (`pointsman@example.com`) and a person (`agent@example.com`)."""

    integration_token: str
    agent_token: str
    webhook_url: str | None = None
    webhook_secret: str = ""
    requests_per_minute: int = 700  # Zendesk's limit for the Professional plan
    copies: int = 1
    clock: Callable[[], datetime] = utc_now


@dataclass
class Double:
    """Everything one running double holds."""

    settings: DoubleSettings
    account: Account
    faults: Faults
    webhook: Webhook | None
    minute: int = 0
    requests_in_minute: int = 0


def create_app(settings: DoubleSettings) -> FastAPI:
    """An account of its own, empty but for two agents and five groups."""
    webhook = None
    if settings.webhook_url:
        webhook = Webhook(settings.webhook_url, settings.webhook_secret, settings.clock, copies=settings.copies)
    account = Account(settings.clock, tell=webhook.put if webhook else lambda event: None)
    double = Double(settings, account, Faults(), webhook)
    app = FastAPI(title="Zendesk double", lifespan=_lifespan(double))
    app.state.double = double
    app.add_exception_handler(ApiError, _answer_error)
    app.add_middleware(ServerDate, clock=settings.clock)
    for method, path, handler in _ROUTES:
        app.add_api_route(path, handler, methods=[method], response_model=None)
    return app


def _double(request: Request) -> Double:
    return request.app.state.double


def _actor_id(request: Request, authorization: Annotated[str, Header()] = "") -> int:
    """Who calls. Counts the call against the rate limit first, as Zendesk does."""
    double = _double(request)
    _count_request(double)
    actor_id = _user_of(authorization, double.settings)
    if actor_id is None:
        raise ApiError(401, "Couldn't authenticate you", "Couldn't authenticate you")
    return actor_id


def _fault(request: Request, _actor: Annotated[int, Depends(_actor_id)]) -> Fault | None:
    """The fault for this request; plain statuses are answered here."""
    fault = _double(request).faults.take(request.method)
    if fault is not None and fault.kind == "status":
        raise ApiError(fault.status, "Injected", "A fault was switched on", retry_after=fault.retry_after)
    return fault


Caller = Annotated[int, Depends(_actor_id)]
Trouble = Annotated[Fault | None, Depends(_fault)]
D = Annotated[Double, Depends(_double)]


async def get_ticket(ticket_id: int, double: D, _: Caller, trouble: Trouble, include: str = "") -> Any:
    account = double.account
    ticket = account.ticket(ticket_id)
    wanted = {ticket["requester_id"], ticket["assignee_id"]}
    sides = {
        "users": [user for user_id, user in account.users.items() if user_id in wanted],
        "groups": [group for group_id, group in account.groups.items() if group_id == ticket["group_id"]],
    }
    return _after(trouble, {"ticket": ticket} | {key: sides[key] for key in include.split(",") if key in sides})


async def put_ticket(ticket_id: int, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble) -> Any:
    account = double.account
    if trouble and trouble.kind == "other_saves_first":
        other = {"tags": [*account.ticket(ticket_id)["tags"], f"other{account.audits[ticket_id]}"]}
        account.update(ticket_id, other, actor_id=AGENT_ID)
    group_before = account.ticket(ticket_id)["group_id"]
    ticket = dict(account.update(ticket_id, body.get("ticket") or {}, actor_id=actor_id))
    if trouble and trouble.kind == "group_set_back":
        account.tickets[ticket_id]["group_id"] = group_before
    return _after(trouble, {"ticket": ticket})


async def post_ticket(
    body: dict[str, Any],
    double: D,
    actor_id: Caller,
    trouble: Trouble,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Any:
    ticket, was_known = double.account.create(body.get("ticket") or {}, actor_id=actor_id, key=idempotency_key)
    headers = {"x-idempotency-lookup": "hit" if was_known else "miss"} if idempotency_key else {}
    return _after(trouble, {"ticket": ticket}, status=201, headers=headers)


async def delete_ticket(ticket_id: int, double: D, actor_id: Caller) -> Any:
    double.account.soft_delete(ticket_id, actor_id=actor_id)
    return Response(status_code=204)


async def erase_ticket(ticket_id: int, double: D, actor_id: Caller) -> Any:
    double.account.erase(ticket_id, actor_id=actor_id)
    return {"job_status": {"status": "completed"}}


async def get_comments(ticket_id: int, request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    double.account.ticket(ticket_id)
    return _after(trouble, _page(request, "comments", double.account.comments[ticket_id]))


async def get_audit_count(ticket_id: int, double: D, _: Caller) -> Any:
    double.account.ticket(ticket_id)
    return {"count": {"value": double.account.audits[ticket_id]}}


async def get_groups(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    return _after(trouble, _page(request, "groups", list(double.account.groups.values())))


async def post_group(body: dict[str, Any], double: D, _: Caller) -> Any:
    groups = double.account.groups
    group_id = max(groups) + 1
    groups[group_id] = {"id": group_id, "name": body["group"]["name"], "deleted": False}
    return JSONResponse({"group": groups[group_id]}, status_code=201)


async def get_me(double: D, actor_id: Caller) -> Any:
    return {"user": double.account.users[actor_id]}


async def post_fault(fault: Fault, double: D) -> Any:
    double.faults.add(fault)
    return {"waiting": [waiting.model_dump() for waiting in double.faults.waiting]}


async def get_sent(double: D) -> Any:
    """Every webhook call that was made, once all that are due have been made."""
    if double.webhook is None:
        return {"sent": []}
    await double.webhook.wait_until_sent()
    return {"sent": double.webhook.sent}


_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/api/v2/tickets/{ticket_id}.json", get_ticket),
    ("PUT", "/api/v2/tickets/{ticket_id}.json", put_ticket),
    ("POST", "/api/v2/tickets.json", post_ticket),
    ("DELETE", "/api/v2/tickets/{ticket_id}.json", delete_ticket),
    ("DELETE", "/api/v2/deleted_tickets/{ticket_id}.json", erase_ticket),
    ("GET", "/api/v2/tickets/{ticket_id}/comments.json", get_comments),
    ("GET", "/api/v2/tickets/{ticket_id}/audits/count.json", get_audit_count),
    ("GET", "/api/v2/groups.json", get_groups),
    ("POST", "/api/v2/groups.json", post_group),
    ("GET", "/api/v2/users/me.json", get_me),
    ("POST", "/double/faults", post_fault),
    ("GET", "/double/sent", get_sent),
)


def _after(
    trouble: Fault | None, answer: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """The answer, or what the fault makes of it."""
    kind = trouble.kind if trouble else None
    if kind == "hang_after_effect":
        return Hanging()
    if kind == "break_after_effect":
        return Broken()
    if kind == "not_json":
        return PlainTextResponse("<html>one moment please</html>")
    return JSONResponse(answer, status_code=status, headers=headers)


def _page(request: Request, key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Cursor pages; the cursor is opaque to callers."""
    size = min(100, max(1, int(request.query_params.get("page[size]", "100"))))
    start = int(request.query_params.get("page[after]", "0"))
    meta = {"has_more": start + size < len(items), "after_cursor": str(start + size)}
    return {key: items[start : start + size], "meta": meta}


def _count_request(double: Double) -> None:
    at = double.settings.clock().timestamp()
    if int(at // 60) != double.minute:
        double.minute, double.requests_in_minute = int(at // 60), 0
    double.requests_in_minute += 1
    if double.requests_in_minute > double.settings.requests_per_minute:
        wait_s = 60 - int(at % 60)
        raise ApiError(429, "TooManyRequests", "Too many requests this minute", retry_after=str(wait_s))


def _user_of(authorization: str, settings: DoubleSettings) -> int | None:
    """`Bearer <token>`, or Basic with `<email>/token:<token>`."""
    scheme, _, value = authorization.partition(" ")
    tokens = {settings.integration_token: INTEGRATION_ID, settings.agent_token: AGENT_ID}
    emails = {"pointsman@example.com/token": INTEGRATION_ID, "agent@example.com/token": AGENT_ID}
    if scheme == "Bearer":
        return tokens.get(value)
    try:
        name, _, token = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    user_id = emails.get(name) if scheme == "Basic" else None
    return user_id if user_id is not None and tokens.get(token) == user_id else None


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


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


def _lifespan(double: Double) -> Callable[[FastAPI], Any]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        sender = asyncio.create_task(double.webhook.run()) if double.webhook else None
        yield
        if sender:
            sender.cancel()

    return lifespan
