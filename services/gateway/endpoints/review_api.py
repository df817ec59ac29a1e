"""The reviews API: what waits and why, answers one by one or to alike tickets at once, taken back."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.core.kit.database import connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.openapi import refusals
from services.core.kit.security import Principal, Role
from services.gateway import review_queue, reviewing
from services.gateway.access import Guard, GuardedRoute
from services.gateway.answers import AlikeTicket, OpenReview
from services.gateway.endpoints.tickets import BIGINT_MAX, TicketId, Viewer
from services.gateway.review_forms import close
from services.gateway.review_queue import ALIKE_MAX, Waiting
from services.gateway.reviewing import State, Verdict

router = APIRouter(prefix="/api", tags=["reviews"], route_class=GuardedRoute)

Agent = Annotated[Principal, Depends(Guard(Role.AGENT))]
Group = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Mark = Annotated[str, Field(max_length=60, pattern=r"^[0-9a-f-]+$")]


class Part(BaseModel):
    """Stray fields are refused: a misspelt `group` must not pass for an acceptance."""

    model_config = ConfigDict(extra="forbid")


class ReviewAnswer(Part):
    """
    Without `group` the proposed one is accepted. `verdict` says where there is none: `no_group`, `not_a_ticket`.

    With `mark`, as the queue tells it, a ticket whose text or decision changed since is not answered but refused.
    """

    group: Group | None = None
    verdict: Verdict = "group"
    mark: Mark | None = None


class Feedback(Part):
    group: Group


class Taken(BaseModel):
    """What became of an answer. `number` names it to `undo`."""

    ticket_id: str
    review: State
    group: str | None
    number: int


class Numbered(Part):
    """The answer to take back, as it was told."""

    number: Annotated[int, Field(ge=1, le=1_000_000)]


class Seen(Part):
    ticket_id: Annotated[int, Field(ge=1, le=BIGINT_MAX)]
    mark: Mark


class AlikeAnswers(Part):
    """One group for several tickets, each with the mark that was seen."""

    group: Group
    tickets: Annotated[list[Seen], Field(min_length=1, max_length=ALIKE_MAX + 1)]


class Refused(BaseModel):
    ticket_id: str
    why: str


class AlikeTaken(BaseModel):
    """`refused`: answered by somebody else meanwhile, changed, or gone."""

    taken: list[Taken]
    refused: list[Refused]


@router.get("/reviews")
async def list_reviews(
    request: Request,
    who: Viewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    order: review_queue.Order = "information",
) -> list[OpenReview]:
    """Tickets that wait for a person: by `information` those whose answer teaches most, by `age` the oldest."""
    async with connection(request.app.state.pool) as conn:
        return [_shown(card) for card in await review_queue.waiting(conn, order=order, limit=limit)]


@router.get("/reviews/{ticket_id}/alike")
async def list_alike(request: Request, who: Viewer, ticket_id: TicketId) -> list[AlikeTicket]:
    """Waiting tickets that read like this one and have the same group proposed."""
    async with connection(request.app.state.pool) as conn:
        rows = await review_queue.alike(conn, ticket_id)
    return [AlikeTicket.model_validate({**row, "id": str(row["id"])}) for row in rows]


@router.post("/reviews/accept", responses=refusals(404))
async def accept_alike(request: Request, who: Agent, answers: AlikeAnswers) -> AlikeTaken:
    """One group for several tickets; each is taken or refused by itself."""
    found = AlikeTaken(taken=[], refused=[])
    async with connection(request.app.state.pool) as conn:
        for one in answers.tickets:
            try:
                done = await close(request, conn, one.ticket_id, who, group=answers.group, mark=one.mark)
                found.taken.append(_taken(done))
            except (Conflict, InputInvalid, NotFound) as exc:
                found.refused.append(Refused(ticket_id=str(one.ticket_id), why=exc.message))
    return found


@router.post("/tickets/{ticket_id}/review", responses=refusals(404, 409))
async def review_ticket(request: Request, who: Agent, ticket_id: TicketId, answer: ReviewAnswer) -> Taken:
    """Accepts the proposed group, names the right one, or says that there is none; written back and learnt from."""
    async with connection(request.app.state.pool) as conn:
        return _taken(await close(request, conn, ticket_id, who, **answer.model_dump()))


@router.post("/tickets/{ticket_id}/review/undo", responses=refusals(404, 409))
async def undo_review(request: Request, who: Agent, ticket_id: TicketId, answer: Numbered) -> dict[str, str]:
    """Takes one's own newest answer back, a quarter of an hour at most; the ticket waits again."""
    async with connection(request.app.state.pool) as conn:
        await reviewing.undo(conn, ticket_id, who, number=answer.number)
    return {"ticket_id": str(ticket_id), "review": "open"}


@router.post("/tickets/{ticket_id}/feedback", responses=refusals(404))
async def give_feedback(request: Request, who: Agent, ticket_id: TicketId, feedback: Feedback) -> dict[str, str]:
    """Says afterwards which group was right; learnt from, not written back."""
    async with connection(request.app.state.pool) as conn:
        await reviewing.give_feedback(conn, ticket_id, who, group=feedback.group)
    return {"ticket_id": str(ticket_id), "feedback": "recorded"}


def _taken(done: reviewing.Answered) -> Taken:
    return Taken(ticket_id=str(done.ticket_id), review=done.state, group=done.group, number=done.number)


def _shown(card: Waiting) -> OpenReview:
    told: dict[str, Any] = {**card.ticket, "id": str(card.ticket["id"]), "near": [asdict(one) for one in card.near]}
    return OpenReview.model_validate(told | {"proposals": [asdict(one) for one in card.proposals]})
