"""The tickets API: list, read, erase; what failed. Text is always the redacted one."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band
from services.core.kit import audit
from services.core.kit.database import connection
from services.core.kit.errors import InputInvalid, NotFound
from services.core.kit.openapi import refusals
from services.core.kit.security import Principal, Role
from services.gateway import repository, service
from services.gateway.access import Guard, GuardedRoute
from services.gateway.answers import Counts, DeadLetter, TicketDetail, WaitingLetter

router = APIRouter(prefix="/api", tags=["tickets"], route_class=GuardedRoute)

BIGINT_MAX = 2**63 - 1
Viewer = Annotated[Principal, Depends(Guard(Role.VIEWER))]
Admin = Annotated[Principal, Depends(Guard(Role.ADMIN))]
TicketId = Annotated[int, Path(ge=1, le=BIGINT_MAX)]


class TicketRow(BaseModel):
    """A ticket in a list; `decision` is the newest, None while it is being triaged."""

    id: str
    connector: str
    external_id: str
    status: str
    state: Literal["received", "triaged", "filtered", "erased"]
    subject: str | None
    created_at: datetime
    decision: Decision | None
    review: Literal["open", "accepted", "corrected", "no_group", "not_a_ticket"] | None


class TicketPage(BaseModel):
    """`next_before` is the `before` of the next page; None on the last."""

    tickets: list[TicketRow]
    next_before: int | None


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[int, Field(ge=1, le=BIGINT_MAX)]] = Field(min_length=1, max_length=1000)


class Replay(BaseModel):
    """Everything that is dead, when `id` is not given."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(default=None, min_length=1, max_length=300, pattern=r"^[^\x00]+$")


@router.get("/tickets")
async def list_tickets(
    request: Request,
    who: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[int | None, Query(ge=1, le=BIGINT_MAX)] = None,
    band: Band | None = None,
    group: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")] = None,
    state: Literal["received", "triaged", "filtered", "erased"] | None = None,
) -> TicketPage:
    """Newest first, a page at a time."""
    filters = {"before": before, "band": band, "group": group, "state": state, "limit": limit}
    async with connection(request.app.state.pool) as conn:
        rows = await repository.tickets(conn, filters)
    listed = [TicketRow.model_validate({**row, "id": str(row["id"])}, extra="ignore") for row in rows]
    return TicketPage(tickets=listed, next_before=rows[-1]["id"] if len(rows) == limit else None)


@router.post("/tickets/lookup")
async def look_tickets_up(request: Request, who: Viewer, wanted: Wanted) -> list[TicketRow]:
    """Several tickets by our ids; ids that do not exist are left out."""
    async with connection(request.app.state.pool) as conn:
        rows = await repository.tickets_by_id(conn, wanted.ids)
    return [TicketRow.model_validate({**row, "id": str(row["id"])}, extra="ignore") for row in rows]


@router.get("/tickets/{ticket_id}", responses=refusals(404))
async def read_ticket(request: Request, who: Viewer, ticket_id: TicketId) -> TicketDetail:
    """Everything about one ticket: decisions and why, review, labels, notes, outbox, model calls, audit."""
    async with connection(request.app.state.pool) as conn:
        found = await repository.ticket(conn, ticket_id)
    if found is None:
        raise NotFound(f"There is no ticket {ticket_id}.")
    return TicketDetail.model_validate({**found, "id": str(found["id"])}, extra="ignore")


@router.post("/tickets/{ticket_id}/erase", status_code=202, responses=refusals(404))
async def erase_ticket(request: Request, who: Admin, ticket_id: TicketId) -> dict[str, str]:
    """Removes for good what was said in the ticket; asking twice is asking once."""
    await service.erase(request.app.state.pool, ticket_id, who)
    return {"ticket_id": str(ticket_id), "erasure": "accepted"}


@router.get("/status")
async def read_status(request: Request, who: Viewer) -> Counts:
    """Counts of tickets, reviews, dead letters, by band; the model in use."""
    async with connection(request.app.state.pool) as conn:
        return Counts.model_validate(await repository.counts(conn))


@router.get("/dead-letters")
async def list_dead_letters(
    request: Request,
    who: Admin,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    since: datetime | None = None,
    id: Annotated[str | None, Query(max_length=300, pattern=r"^[^\x00]+$")] = None,
) -> list[DeadLetter]:
    """
    Write-backs, events and workflows that failed for good, newest first, a page at a time: the next page comes with
    `since` and `id` of the last one on this.
    """
    if (since is None) != (id is None):
        raise InputInvalid("The next page needs both `since` and `id`, as the last dead letter of this page has them.")
    before = (since.replace(tzinfo=since.tzinfo or UTC), id) if since and id else None
    async with connection(request.app.state.pool) as conn:
        rows = await repository.dead_letters(conn, limit=limit, before=before)
    return [DeadLetter.model_validate(row) for row in rows]


@router.get("/waiting-letters")
async def list_waiting_letters(
    request: Request, who: Admin, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[WaitingLetter]:
    """Write-backs and events that have failed and are tried again at `due_at`, oldest first: why, and how often."""
    async with connection(request.app.state.pool) as conn:
        rows = await repository.waiting_letters(conn, limit=limit)
    return [WaitingLetter.model_validate(row) for row in rows]


@router.post("/dead-letters/replay")
async def replay_dead_letters(request: Request, who: Admin, replay: Replay) -> dict[str, int]:
    """Tries one again, or all; keys stay the same, so nothing takes effect twice."""
    async with connection(request.app.state.pool) as conn, conn.transaction():
        replayed = await repository.replay(conn, replay.id)
        entry = audit.Entry(f"user/{who.name}", "dead_letters.replayed", replay.id or "all", {"replayed": replayed})
        await audit.append(conn, entry)
    return {"replayed": replayed}
