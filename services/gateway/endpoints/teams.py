"""The console's page of the label catalogue: teams looked at by everyone, changed by administrators."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import ValidationError

from services.core.contracts.catalogue import Catalogue, Team
from services.core.contracts.ticket import Priority
from services.core.kit.database import connection
from services.core.kit.errors import InputInvalid
from services.core.kit.security import Principal, Role
from services.gateway import catalogue, repository
from services.gateway.access import needs_in_console
from services.gateway.catalogue_file import catalogue_text, read_catalogue
from services.gateway.pages import ConsoleRoute, is_fragment, read_form, render, who_values

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

TEAM_FORM_MAX_BYTES = 40_000  # 2,000 characters of a description, each up to twelve bytes as a form sends them
FILE_FORM_MAX_BYTES = 1_000_000
Viewer = Annotated[Principal, Depends(needs_in_console(Role.VIEWER))]
Admin = Annotated[Principal, Depends(needs_in_console(Role.ADMIN))]


@router.get("/teams")
async def show_teams(request: Request, who: Viewer) -> Response:
    """Every team, the inactive ones too."""
    async with connection(request.app.state.pool) as conn:
        return await _page(request, who, conn, await catalogue.read(conn))


@router.get("/teams/catalogue.yaml")
async def export_catalogue(request: Request, who: Viewer) -> Response:
    """The catalogue as a file that can be edited and imported again."""
    async with connection(request.app.state.pool) as conn:
        text = catalogue_text(await catalogue.read(conn))
    headers = {"Content-Disposition": 'attachment; filename="catalogue.yaml"'}
    return PlainTextResponse(text, headers=headers, media_type="application/yaml")


@router.post("/teams")
async def put_team(request: Request, who: Admin) -> Response:
    """Adds a team, or changes the one of that name; the next ticket is decided by it."""
    team = _team(await read_form(request, max_bytes=TEAM_FORM_MAX_BYTES))
    async with connection(request.app.state.pool) as conn:
        return await _page(request, who, conn, await catalogue.put(conn, team, who), done=f"Saved: {team.name}")


@router.post("/teams/import")
async def import_catalogue(request: Request, who: Admin) -> Response:
    """Makes the catalogue what the file says; teams that it does not name are switched off."""
    form = await read_form(request, max_bytes=FILE_FORM_MAX_BYTES)
    wanted = await asyncio.to_thread(read_catalogue, form.get("yaml", ""))
    async with connection(request.app.state.pool) as conn:
        stored = await catalogue.replace(conn, wanted, who)
        active = sum(team.active for team in stored.teams)
        return await _page(
            request, who, conn, stored, done=f"Imported: {active} active teams, {len(stored.teams)} in all"
        )


async def _page(
    request: Request, who: Principal, conn: repository.Connection, found: Catalogue, *, done: str = ""
) -> Response:
    values: dict[str, Any] = {
        "teams": found.teams,
        "priorities": list(Priority),
        "can_edit": who.role >= Role.ADMIN,
        "done": done,
        **who_values(request, who),
    }
    if is_fragment(request):
        return render(request, "teams_list.html", values)
    values["counts"] = await repository.counts(conn)
    return render(request, "teams.html", values)


def _team(form: dict[str, str]) -> Team:
    """
    Raises:
        InputInvalid: a field does not fit; the message names it.
    """
    texts = {name: form.get(name, "").strip() for name in ("name", "department", "system", "description")}
    try:
        chosen = {name: form.get(name) or None for name in ("priority_threshold", "support_level")}
        return Team.model_validate({**texts, **chosen, "active": "active" in form})
    except ValidationError as exc:
        problems = exc.errors(include_input=False, include_url=False)
        raise InputInvalid("; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)) from exc
