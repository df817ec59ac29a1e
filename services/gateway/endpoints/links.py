"""One-time links into the console, for whoever has a key: the command line opens a browser with one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from services.core.kit.database import connection
from services.core.kit.security import Principal, Role
from services.gateway import sessions
from services.gateway.access import Guard, GuardedRoute, key_of

router = APIRouter(prefix="/api", tags=["console"], route_class=GuardedRoute)


class ConsoleLink(BaseModel):
    """`path` opens a session in the browser that asks for it first."""

    path: str
    expires_in_s: int


@router.post("/console-links", status_code=201)
async def create_console_link(request: Request, who: Annotated[Principal, Depends(Guard(Role.VIEWER))]) -> ConsoleLink:
    """A link into the console with the caller's name and role, for one use within ten minutes."""
    async with connection(request.app.state.pool) as conn:
        secret = await sessions.create_link(conn, key_of(request) or "")
    return ConsoleLink(path=f"/enter?link={secret}", expires_in_s=int(sessions.LINK_LIFE.total_seconds()))
