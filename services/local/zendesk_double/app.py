"""The double over HTTP: Zendesk's paths under /api/v2, our switches under /double."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from services.local.doubles.double import ServerDate
from services.local.doubles.faults import Fault, Faults
from services.local.zendesk_double import lists
from services.local.zendesk_double.account import AGENT_ID, Account, ApiError
from services.local.zendesk_double.calls import Caller, D, Double, DoubleSettings, Trouble, after
from services.local.zendesk_double.pages import invalid_attribute, missing, page
from services.local.zendesk_double.webhooks import Webhook


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
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(StarletteHTTPException, _answer_no_endpoint)
    for method, path, handler in (*lists.ROUTES, *_ROUTES):
        app.add_api_route(path, handler, methods=[method], response_model=None)
    for method, path, handler in (*lists.ROUTES, *_ROUTES):  # after all of the others: {ticket_id} would take "1.json"
        if path.endswith(".json"):
            app.add_api_route(path.removesuffix(".json"), handler, methods=[method], include_in_schema=False)
    return app


async def get_ticket(ticket_id: int, double: D, _: Caller, trouble: Trouble, include: str = "") -> Any:
    account = double.account
    ticket = account.ticket(ticket_id)
    wanted = {ticket["requester_id"], ticket["assignee_id"]}
    sides = {
        "users": [user for user_id, user in account.users.items() if user_id in wanted],
        "groups": [group for group_id, group in account.groups.items() if group_id == ticket["group_id"]],
    }
    return after(trouble, {"ticket": ticket} | {key: sides[key] for key in include.split(",") if key in sides})


async def put_ticket(ticket_id: int, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble) -> Any:
    account = double.account
    if trouble and trouble.kind == "other_saves_first":
        other = {"tags": [*account.ticket(ticket_id)["tags"], f"other{len(account.audits[ticket_id])}"]}
        account.update(ticket_id, other, actor_id=AGENT_ID)
    change = _ticket_of(body)
    group_before = account.ticket(ticket_id)["group_id"]
    ticket = dict(account.update(ticket_id, change, actor_id=actor_id))
    if trouble and trouble.kind == "group_set_back":
        account.tickets[ticket_id]["group_id"] = group_before
    return after(trouble, {"ticket": ticket, "audit": account.audits[ticket_id][-1]})


async def post_ticket(
    body: dict[str, Any],
    double: D,
    actor_id: Caller,
    trouble: Trouble,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Any:
    ticket, was_known = double.account.create(_ticket_of(body), actor_id=actor_id, key=idempotency_key)
    headers = {"x-idempotency-lookup": "hit" if was_known else "miss"} if idempotency_key else {}
    answer = {"ticket": ticket, "audit": double.account.audits[ticket["id"]][0]}
    return after(trouble, answer, status=201, headers=headers)


async def delete_ticket(ticket_id: int, double: D, actor_id: Caller) -> Any:
    double.account.soft_delete(ticket_id, actor_id=actor_id)
    return Response(status_code=204)


async def erase_ticket(ticket_id: int, double: D, actor_id: Caller) -> Any:
    double.account.erase(ticket_id, actor_id=actor_id)
    return {"job_status": {"status": "completed"}}


async def get_comments(ticket_id: int, request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    double.account.ticket(ticket_id)
    return after(trouble, page(request, "comments", double.account.comments[ticket_id]))


async def get_groups(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    return after(trouble, page(request, "groups", list(double.account.groups.values())))


async def post_group(body: dict[str, Any], double: D, _: Caller) -> Any:
    groups = double.account.groups
    group_id = max(groups) + 1
    groups[group_id] = {"id": group_id, "name": body["group"]["name"], "deleted": False}
    return JSONResponse({"group": groups[group_id]}, status_code=201)


async def post_fault(fault: Fault, double: D) -> Any:
    double.faults.add(fault)
    return await get_faults(double)


async def get_faults(double: D) -> Any:
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
    ("GET", "/api/v2/groups.json", get_groups),
    ("POST", "/api/v2/groups.json", post_group),
    ("POST", "/double/faults", post_fault),
    ("GET", "/double/faults", get_faults),
    ("GET", "/double/sent", get_sent),
)


def _ticket_of(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body.get("ticket"), dict) or not body["ticket"]:
        raise missing("ticket")
    return body["ticket"]


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """FastAPI's own findings in Zendesk's words."""
    assert isinstance(error, RequestValidationError)  # registered for this class only
    problem = error.errors()[0]
    if problem["loc"][0] == "path":
        return await _answer_error(request, invalid_attribute("id"))
    if problem["type"] == "json_invalid":
        return JSONResponse({"error": "Unprocessable Entity", "message": "Server could not parse JSON"}, 422)
    return await _answer_error(request, missing("body"))


async def _answer_no_endpoint(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "InvalidEndpoint", "description": "Not found"}, 404)


def _lifespan(double: Double) -> Callable[[FastAPI], Any]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        sender = asyncio.create_task(double.webhook.run()) if double.webhook else None
        yield
        if sender:
            sender.cancel()

    return lifespan
