"""The console's pages of tickets: the list, and one of them."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from services.core.contracts.prediction import Band
from services.core.kit.database import connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.security import Principal, Role
from services.gateway import repository, reviewing
from services.gateway.access import needs_in_console
from services.gateway.endpoints.tickets import BIGINT_MAX
from services.gateway.pages import ConsoleRoute, is_fragment, read_form, render, who_values
from services.gateway.review_forms import close_from_form, number
from services.gateway.timeline import tell

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

PAGE_SIZE = 50

Blank = BeforeValidator(lambda value: None if value == "" else value)  # a form sends what is not chosen as ""
Words = Field(max_length=200, pattern=r"^[^\x00]+$")
Viewer = Annotated[Principal, Depends(needs_in_console(Role.VIEWER))]
Agent = Annotated[Principal, Depends(needs_in_console(Role.AGENT))]
TicketId = Annotated[int, Path(ge=1, le=BIGINT_MAX)]


class Filters(BaseModel):
    """What the tickets page is narrowed to, as its address says. `search`: our id, or how the system's id begins."""

    search: Annotated[str | None, Words, Blank] = None
    band: Annotated[Band | None, Blank] = None
    group: Annotated[str | None, Words, Blank] = None
    state: Annotated[Literal["received", "triaged", "filtered", "erased"] | None, Blank] = None
    before: Annotated[int | None, Field(ge=1, le=BIGINT_MAX), Blank] = None

    def address(self, **change: Any) -> str:
        """The page's address, with some filters changed."""
        values = self.model_dump(mode="json") | change
        chosen = {name: value for name, value in values.items() if value is not None}
        return f"/?{urlencode(chosen)}" if chosen else "/"


@router.get("/")
async def show_tickets(request: Request, who: Viewer, filters: Annotated[Filters, Query()]) -> Response:
    """Newest first, a page at a time."""
    wanted = {**filters.model_dump(), "limit": PAGE_SIZE + 1}
    async with connection(request.app.state.pool) as conn:
        rows = await repository.tickets(conn, wanted)
        values: dict[str, Any] = {"filters": filters, "tickets": rows[:PAGE_SIZE], "has_older": len(rows) > PAGE_SIZE}
        if is_fragment(request):
            return render(request, "tickets_table.html", values)
        values["groups"] = await repository.groups(conn)
        values["counts"] = await repository.counts(conn)
    return render(request, "tickets.html", values | who_values(request, who))


@router.get("/counts")
async def show_counts(request: Request, who: Viewer) -> Response:
    """The head's figures, for its own refreshing."""
    async with connection(request.app.state.pool) as conn:
        counts = await repository.counts(conn)
    return render(request, "counts.html", {"counts": counts})


@router.get("/tickets/{ticket_id}")
async def show_ticket(request: Request, who: Viewer, ticket_id: TicketId) -> Response:
    """Everything about one ticket: what was decided, why, and what happened since."""
    return await _ticket(request, who, ticket_id)


@router.post("/tickets/{ticket_id}/review")
async def review_ticket(request: Request, who: Agent, ticket_id: TicketId) -> Response:
    """Accepts or corrects from the ticket's page."""
    async with connection(request.app.state.pool) as conn:
        try:
            done = (200, (await close_from_form(request, conn, ticket_id, who)).words)
        except (Conflict, InputInvalid) as exc:
            done = (exc.status, exc.message)
    return await _ticket(request, who, ticket_id, done=done)


@router.post("/tickets/{ticket_id}/undo")
async def undo_review(request: Request, who: Agent, ticket_id: TicketId) -> Response:
    """Takes one's own answer back from the ticket's page."""
    answer = number((await read_form(request)).get("answer", ""))
    done = (200, "Taken back: the ticket waits for a review again.")
    async with connection(request.app.state.pool) as conn:
        try:
            await reviewing.undo(conn, ticket_id, who, number=answer)
        except Conflict as exc:
            done = (exc.status, exc.message)
    return await _ticket(request, who, ticket_id, done=done)


@router.post("/tickets/{ticket_id}/feedback")
async def give_feedback(request: Request, who: Agent, ticket_id: TicketId) -> Response:
    """Says afterwards which group was right."""
    group = (await read_form(request)).get("group", "")
    done = (200, f"Noted: {group}. The next training learns from it.")
    async with connection(request.app.state.pool) as conn:
        try:
            await reviewing.give_feedback(conn, ticket_id, who, group=group)
        except InputInvalid as exc:
            done = (exc.status, exc.message)
    return await _ticket(request, who, ticket_id, done=done)


@router.get("/gaps")
async def show_gaps(request: Request, who: Viewer) -> Response:
    """What the chat was asked and no document answers, the most frequent first."""
    async with connection(request.app.state.pool) as conn:
        values: dict[str, Any] = {"gaps": await repository.gaps(conn), "counts": await repository.counts(conn)}
    return render(request, "gaps.html", values | who_values(request, who))


async def _ticket(request: Request, who: Principal, ticket_id: int, *, done: tuple[int, str] = (200, "")) -> Response:
    status, message = done
    async with connection(request.app.state.pool) as conn:
        ticket = await _found(conn, who, ticket_id)
        values = {
            "ticket": ticket,
            "decision": _newest(ticket),
            "history": tell(ticket),
            "groups": await repository.groups(conn),
            "status_code": status,
            "message": message,
            **who_values(request, who),
        }
        if is_fragment(request):
            return render(request, "ticket_body.html", values, status=status)
        values["counts"] = await repository.counts(conn)
    return render(request, "ticket.html", values, status=status)


async def _found(conn: repository.Connection, who: Principal, ticket_id: int) -> dict[str, Any]:
    ticket = await repository.ticket(conn, ticket_id)
    if ticket is None:
        raise NotFound(f"There is no ticket {ticket_id}.")
    return ticket


def _newest(ticket: dict[str, Any]) -> dict[str, Any] | None:
    return ticket["decisions"][-1] if ticket["decisions"] else None
