"""The console's review queue: answers by key or mouse, taken back, and given to tickets that are alike at once."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.core.kit.database import connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.security import Principal
from services.gateway import repository, review_queue, reviewing
from services.gateway.endpoints.console import Agent, TicketId, Viewer
from services.gateway.pages import ConsoleRoute, is_fragment, read_form, render, who_values
from services.gateway.review_forms import close, close_from_form, number
from services.gateway.reviewing import Answered

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

QUEUE_SIZE = 20  # about what one person answers before the order by information is worth asking for again
BULK_FORM_MAX_BYTES = 16_384
BULK_FIELDS_MAX = review_queue.ALIKE_MAX + 5

Ordered = Annotated[review_queue.Order, Query()]


@router.get("/reviews")
async def show_reviews(request: Request, who: Viewer, order: Ordered = "information") -> Response:
    """The review queue, the most informative or the longest waiting first."""
    return await _queue(request, who, order)


@router.get("/reviews/{ticket_id}/alike")
async def show_alike(request: Request, who: Agent, ticket_id: TicketId, order: Ordered = "information") -> Response:
    """Waiting tickets that read like this one, to be ticked and answered with one word."""
    async with connection(request.app.state.pool) as conn:
        ticket = await review_queue.one(conn, ticket_id)
        if ticket is None:
            raise NotFound(f"Ticket {ticket_id} does not wait for a review any more.")
        found = await review_queue.alike(conn, ticket_id)
    return render(request, "alike.html", {"card": ticket, "alike": found, "order": order, **who_values(request, who)})


@router.post("/reviews/alike")
async def accept_alike(request: Request, who: Agent) -> Response:
    """Accepts one group for all that are ticked; one that changed or was answered since is left, and said so."""
    form = await read_form(request, max_bytes=BULK_FORM_MAX_BYTES, max_fields=BULK_FIELDS_MAX)
    group = form.get("group", "")
    marks = {number(name.removeprefix("ticket-")): mark for name, mark in form.items() if name.startswith("ticket-")}
    if not group or not marks:
        raise InputInvalid("Tick at least one ticket.")
    done: list[Answered] = []
    left: list[str] = []
    async with connection(request.app.state.pool) as conn:
        for ticket_id, mark in marks.items():
            try:
                done.append(await close(request, conn, ticket_id, who, group=group, mark=mark))
            except (Conflict, InputInvalid, NotFound) as exc:
                left.append(exc.message)
    return await _queue(request, who, _order(form), done=done, left=left)


@router.post("/reviews/undo")
async def undo_several(request: Request, who: Agent) -> Response:
    """Takes several answers back: the queue is shown anew, with what could not be taken back."""
    form = await read_form(request, max_bytes=BULK_FORM_MAX_BYTES, max_fields=BULK_FIELDS_MAX)
    marks = [mark.partition(".") for mark in form.get("answers", "").split()]
    left: list[str] = []
    async with connection(request.app.state.pool) as conn:
        for ticket_id, _, answer in marks[: review_queue.ALIKE_MAX + 1]:
            try:
                await reviewing.undo(conn, number(ticket_id), who, number=number(answer))
            except (Conflict, NotFound) as exc:
                left.append(exc.message)
    return await _queue(request, who, _order(form), left=left)


@router.post("/reviews/{ticket_id}")
async def answer_review(request: Request, who: Agent, ticket_id: TicketId) -> Response:
    """Accepts, corrects, or says that no group fits: the card becomes its outcome."""
    status, message, done = 200, "", None
    async with connection(request.app.state.pool) as conn:
        try:
            done = await close_from_form(request, conn, ticket_id, who)
        except (Conflict, InputInvalid) as exc:
            status, message = exc.status, exc.message
        return await _outcome(request, conn, who, ticket_id, status=status, message=message, done=done)


@router.post("/reviews/{ticket_id}/undo")
async def undo_answer(request: Request, who: Agent, ticket_id: TicketId) -> Response:
    """Takes the answer back: the outcome becomes its card again."""
    form = await read_form(request)
    status, message = 200, ""
    async with connection(request.app.state.pool) as conn:
        try:
            await reviewing.undo(conn, ticket_id, who, number=number(form.get("answer", "")))
        except Conflict as exc:
            status, message = exc.status, exc.message
        return await _outcome(request, conn, who, ticket_id, status=status, message=message)


def _order(form: dict[str, str]) -> review_queue.Order:
    return "age" if form.get("order") == "age" else "information"


async def _outcome(
    request: Request,
    conn: repository.Connection,
    who: Principal,
    ticket_id: int,
    *,
    status: int,
    message: str,
    done: Answered | None = None,
) -> Response:
    """The card while the ticket waits, else a line that says what became of it."""
    card = await review_queue.one(conn, ticket_id)
    values: dict[str, Any] = {"card": card, "groups": await repository.groups(conn), "order": "information"}
    if card is None:
        values["ticket"] = (await repository.tickets_by_id(conn, [ticket_id]) or [None])[0]
        if values["ticket"] is None:
            raise NotFound(f"There is no ticket {ticket_id}.")
    values |= {"done": done, "message": message, **who_values(request, who)}
    return render(request, "answered.html", values, status=status)


async def _queue(
    request: Request,
    who: Principal,
    order: review_queue.Order,
    *,
    done: list[Answered] | None = None,
    left: list[str] | None = None,
) -> Response:
    async with connection(request.app.state.pool) as conn:
        values: dict[str, Any] = {
            "cards": await review_queue.waiting(conn, order=order, limit=QUEUE_SIZE),
            "groups": await repository.groups(conn),
            "order": order,
            "done": done or [],
            "left": left or [],
            "message": "",
            **who_values(request, who),
        }
        if is_fragment(request):
            return render(request, "queue.html", values)
        values["counts"] = await repository.counts(conn)
    return render(request, "reviews.html", values)
