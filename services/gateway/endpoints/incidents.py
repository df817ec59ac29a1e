"""The console's page of incidents: suggested ones with their tickets, to confirm or to dismiss."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.core.drift.words import words_of
from services.core.kit.database import connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.security import Principal, Role
from services.gateway import incidents, repository
from services.gateway.endpoints.console import Agent, Viewer
from services.gateway.endpoints.tickets import BIGINT_MAX
from services.gateway.pages import ConsoleRoute, read_form, render, who_values

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)


@router.get("/incidents")
async def show_incidents(request: Request, who: Viewer) -> Response:
    """Those that wait for an answer first."""
    return await _page(request, who)


@router.post("/incidents")
async def answer_incident(request: Request, who: Agent) -> Response:
    """Confirms or dismisses one."""
    form = await read_form(request)
    number, verdict = form.get("incident", ""), form.get("verdict", "")
    if not number.isdecimal() or int(number) > BIGINT_MAX or verdict not in ("confirmed", "dismissed"):
        raise InputInvalid("An incident by its number is confirmed or dismissed.")
    try:
        async with connection(request.app.state.pool) as conn:
            await incidents.close(conn, int(number), verdict, who)
    except (Conflict, NotFound) as exc:
        return await _page(request, who, problem=exc)
    return await _page(request, who, done=f"Incident {number} is {verdict}.")


async def _page(
    request: Request, who: Principal, *, done: str = "", problem: Conflict | NotFound | None = None
) -> Response:
    async with connection(request.app.state.pool) as conn:
        found = await incidents.listed(conn)
        values: dict[str, Any] = {
            "incidents": [one | {"words": words_of([row["subject"] or "" for row in one["members"]])} for one in found],
            "can_answer": who.role >= Role.AGENT,
            "done": done,
            "problem": problem.message if problem else "",
            "counts": await repository.counts(conn),
        }
    return render(
        request, "incidents.html", values | who_values(request, who), status=problem.status if problem else 200
    )
