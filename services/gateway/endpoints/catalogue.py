"""The label catalogue by API: read by everyone, changed by administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from services.core.contracts.catalogue import Catalogue, Team
from services.core.kit.database import connection
from services.core.kit.security import Principal, Role
from services.gateway import catalogue
from services.gateway.access import Guard, GuardedRoute

router = APIRouter(prefix="/api", tags=["catalogue"], route_class=GuardedRoute)

Viewer = Annotated[Principal, Depends(Guard(Role.VIEWER))]
Admin = Annotated[Principal, Depends(Guard(Role.ADMIN))]


@router.get("/catalogue")
async def read_catalogue(request: Request, who: Viewer) -> Catalogue:
    """Every team that tickets are or were routed to."""
    async with connection(request.app.state.pool) as conn:
        return await catalogue.read(conn)


@router.put("/catalogue")
async def replace_catalogue(request: Request, who: Admin, wanted: Catalogue) -> Catalogue:
    """The whole catalogue at once; teams that are not named are switched off. The next ticket is decided by it."""
    async with connection(request.app.state.pool) as conn:
        return await catalogue.replace(conn, wanted, who)


@router.put("/catalogue/teams")
async def put_team(request: Request, who: Admin, team: Team) -> Catalogue:
    """Adds or changes one team, found by its name."""
    async with connection(request.app.state.pool) as conn:
        return await catalogue.put(conn, team, who)
