"""Reading many and asking around: lists, search, users, tags, audits, the incremental export, jobs."""

import collections
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from services.local.zendesk_double.account import ApiError
from services.local.zendesk_double.calls import Caller, D, Trouble, after
from services.local.zendesk_double.pages import export, missing, number, page
from services.local.zendesk_double.search import search

SORTED_BY = ("created_at", "updated_at", "priority", "status", "ticket_type", "id")
SEARCH_MAX = 1000


async def list_tickets(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    wanted = request.query_params.get("external_id")
    tickets = [ticket for ticket in double.account.living() if wanted in (None, ticket["external_id"])]
    return after(trouble, page(request, "tickets", tickets))


async def show_tickets(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    living = {ticket["id"]: ticket for ticket in double.account.living()}
    return after(trouble, page(request, "tickets", _by_ids(request, living)))


async def list_users(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    roles = request.query_params.getlist("role") + request.query_params.getlist("role[]")
    users = [user for user in double.account.users.values() if not roles or user["role"] in roles]
    return after(trouble, page(request, "users", users))


async def show_users(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    return after(trouble, page(request, "users", _by_ids(request, double.account.users)))


async def search_users(request: Request, double: D, actor_id: Caller, trouble: Trouble) -> Any:
    found = search(double.account, f"type:user {request.query_params.get('query', '')}", actor_id=actor_id)
    return after(trouble, page(request, "users", [_without_type(user) for user in found]))


async def get_me(double: D, actor_id: Caller) -> Any:
    return {"user": double.account.users[actor_id]}


async def get_user(user_id: int, double: D, _: Caller, trouble: Trouble) -> Any:
    if user_id not in double.account.users:
        raise ApiError(404, "RecordNotFound", "Not found")
    return after(trouble, {"user": double.account.users[user_id]})


async def post_user(body: dict[str, Any], double: D, _: Caller, trouble: Trouble) -> Any:
    if not body.get("user"):
        raise missing("user")
    return after(trouble, {"user": double.account.create_user(body["user"])}, status=201)


async def get_search(request: Request, double: D, actor_id: Caller, trouble: Trouble) -> Any:
    found = _search(request, double, actor_id)
    size, at = number(request, "per_page", 100), number(request, "page", 1)
    if size * at > SEARCH_MAX and at > 1:
        raise ApiError(422, "invalid", f"Invalid search: cannot go beyond {SEARCH_MAX} results")
    return after(trouble, page(request, "results", found) | {"facets": None})


async def get_search_count(request: Request, double: D, actor_id: Caller, trouble: Trouble) -> Any:
    return after(trouble, {"count": len(_search(request, double, actor_id))})


async def get_search_export(request: Request, double: D, actor_id: Caller, trouble: Trouble) -> Any:
    kind = request.query_params.get("filter[type]")
    if kind is None:
        raise missing("filter[type]")
    found = search(double.account, f"type:{kind} {request.query_params.get('query', '')}", actor_id=actor_id)
    return after(trouble, page(request, "results", found))


async def get_incremental_tickets(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    account = double.account
    deleted = {"status": "deleted"}
    tickets = [
        ticket | (deleted if ticket_id in account.deleted else {}) for ticket_id, ticket in account.tickets.items()
    ]
    return after(trouble, export(request, tickets, now=double.settings.clock()))


async def list_tags(request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    counted = collections.Counter(tag for ticket in double.account.living() for tag in ticket["tags"])
    tags = [{"name": name, "count": count} for name, count in counted.most_common()]
    return after(trouble, page(request, "tags", tags))


async def get_ticket_tags(ticket_id: int, double: D, _: Caller, trouble: Trouble) -> Any:
    return after(trouble, {"tags": double.account.ticket(ticket_id)["tags"]})


async def put_ticket_tags(ticket_id: int, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble) -> Any:
    return _save_tags(ticket_id, body, double, actor_id, trouble, lambda old, new: old | new)


async def post_ticket_tags(ticket_id: int, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble) -> Any:
    return _save_tags(ticket_id, body, double, actor_id, trouble, lambda old, new: new)


async def delete_ticket_tags(
    ticket_id: int, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble
) -> Any:
    return _save_tags(ticket_id, body, double, actor_id, trouble, lambda old, new: old - new)


async def get_audits(ticket_id: int, request: Request, double: D, _: Caller, trouble: Trouble) -> Any:
    double.account.ticket(ticket_id)
    return after(trouble, page(request, "audits", double.account.audits[ticket_id]))


async def get_audit_count(ticket_id: int, double: D, _: Caller) -> Any:
    double.account.ticket(ticket_id)
    return {"count": {"value": len(double.account.audits[ticket_id])}}


async def put_tickets(request: Request, body: dict[str, Any], double: D, actor_id: Caller, trouble: Trouble) -> Any:
    """`{"tickets": [{"id", ...}]}`, or `?ids=1,2` and one `{"ticket"}` for all."""
    changes = body.get("tickets") or [(body.get("ticket") or {}) | {"id": int(n)} for n in _ids(request)]
    if not changes:
        raise missing("tickets")
    return after(trouble, {"job_status": double.account.update_many(changes, actor_id=actor_id)})


async def get_job(job_id: str, double: D, _: Caller) -> Any:
    if job_id not in double.account.jobs:
        raise ApiError(404, "RecordNotFound", "Not found")
    return JSONResponse({"job_status": double.account.jobs[job_id]})


def _search(request: Request, double: D, actor_id: int) -> list[dict[str, Any]]:
    if "query" not in request.query_params:
        raise missing("query")
    found = search(double.account, request.query_params["query"], actor_id=actor_id)
    sort_by = request.query_params.get("sort_by")
    if sort_by in SORTED_BY:
        is_reverse = request.query_params.get("sort_order", "desc") == "desc"
        found = sorted(found, key=lambda item: (str(item.get(sort_by) or ""), item["id"]), reverse=is_reverse)
    return found


def _save_tags(
    ticket_id: int, body: dict[str, Any], double: D, actor_id: int, trouble: Any, combine: Callable[[set, set], set]
) -> Any:
    tags = combine(set(double.account.ticket(ticket_id)["tags"]), set(body.get("tags") or ()))
    guard = {key: body[key] for key in ("safe_update", "updated_stamp") if key in body}
    saved = double.account.update(ticket_id, guard | {"tags": sorted(tags)}, actor_id=actor_id)
    return after(trouble, {"tags": saved["tags"]})


def _by_ids(request: Request, known: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    if "ids" not in request.query_params:
        raise missing("ids")
    return [known[int(n)] for n in _ids(request) if int(n) in known]


def _ids(request: Request) -> list[str]:
    return [n for n in request.query_params.get("ids", "").replace(" ", "").split(",") if n.isdecimal()]


def _without_type(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "result_type"}


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/api/v2/tickets.json", list_tickets),
    ("GET", "/api/v2/tickets/show_many.json", show_tickets),
    ("PUT", "/api/v2/tickets/update_many.json", put_tickets),
    ("GET", "/api/v2/users.json", list_users),
    ("POST", "/api/v2/users.json", post_user),
    ("GET", "/api/v2/users/me.json", get_me),
    ("GET", "/api/v2/users/show_many.json", show_users),
    ("GET", "/api/v2/users/search.json", search_users),
    ("GET", "/api/v2/users/{user_id}.json", get_user),
    ("GET", "/api/v2/search.json", get_search),
    ("GET", "/api/v2/search/count.json", get_search_count),
    ("GET", "/api/v2/search/export.json", get_search_export),
    ("GET", "/api/v2/incremental/tickets/cursor.json", get_incremental_tickets),
    ("GET", "/api/v2/tags.json", list_tags),
    ("GET", "/api/v2/tickets/{ticket_id}/tags.json", get_ticket_tags),
    ("PUT", "/api/v2/tickets/{ticket_id}/tags.json", put_ticket_tags),
    ("POST", "/api/v2/tickets/{ticket_id}/tags.json", post_ticket_tags),
    ("DELETE", "/api/v2/tickets/{ticket_id}/tags.json", delete_ticket_tags),
    ("GET", "/api/v2/tickets/{ticket_id}/audits.json", get_audits),
    ("GET", "/api/v2/tickets/{ticket_id}/audits/count.json", get_audit_count),
    ("GET", "/api/v2/job_statuses/{job_id}.json", get_job),
)
