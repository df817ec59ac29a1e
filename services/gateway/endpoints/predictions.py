"""
The prediction API: what would be decided of a text, what the right group was, how well it goes.

The text goes to the worker, which redacts it before a model sees it, and is stored nowhere (design/adr/0140).
"""

import time
from collections.abc import Sequence
from typing import Annotated, Literal, Self
from uuid import UUID, uuid4

import httpx
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band, ScoredGroup
from services.core.contracts.question import Answers, Question, Questions
from services.core.kit import audit
from services.core.kit.database import connection
from services.core.kit.errors import InputInvalid, RateLimited, Unavailable
from services.core.kit.leaving import while_there
from services.core.kit.openapi import refusals
from services.core.kit.security import Principal, Role
from services.gateway import figures, reviewing
from services.gateway.access import Guard, GuardedRoute, key_of

router = APIRouter(tags=["predictions"], route_class=GuardedRoute)

WORKER_TIMEOUT_S = 60.0  # 256 long texts on a busy machine
CATEGORIES: dict[Band, Literal["high", "medium", "low"]] = {
    Band.AUTO_ROUTE: "high",
    Band.HUMAN_REVIEW: "medium",
    Band.ESCALATE: "low",
}
Viewer = Annotated[Principal, Depends(Guard(Role.VIEWER))]
Agent = Annotated[Principal, Depends(Guard(Role.AGENT))]
Days = Annotated[int, Query(ge=1, le=366)]
Minutes = Annotated[float, Query(ge=0, le=1_000)]


class Predicted(BaseModel):
    """
    `action` is what would happen to such a ticket; `escalation_reason` why not by itself. `confidence_category` follows
    the group's own threshold: high where it is right as often as it was asked to be. `sla_hours` is None where too few
    of the group's closed tickets say how long they took.
    """

    prediction_id: UUID
    group: str | None
    confidence: float
    confidence_category: Literal["high", "medium", "low"]
    action: Band
    escalation_reason: str | None
    top3: tuple[ScoredGroup, ...]
    sla_hours: figures.SlaHours | None
    model_version: str | None
    processing_ms: float = Field(description="of the whole call")


class PredictedBatch(BaseModel):
    """In the order of the questions."""

    predictions: list[Predicted]
    processing_ms: float


class PredictionFeedback(BaseModel):
    """Which group was right, for a ticket or for a prediction: one of the two."""

    model_config = ConfigDict(extra="forbid")

    group: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")
    ticket_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    prediction_id: UUID | None = None

    @model_validator(mode="after")
    def _is_about_one(self) -> Self:
        if (self.ticket_id is None) == (self.prediction_id is None):
            raise ValueError("give either ticket_id or prediction_id")
        return self


class FeedbackTaken(BaseModel):
    """`is_learnt_from`: a ticket's text is kept to learn from, a prediction's is not."""

    was_right: bool
    is_learnt_from: bool


@router.post("/predict")
async def predict(request: Request, who: Agent, question: Question) -> Predicted:
    """What would be decided of one text. Nothing is opened, written or kept of it."""
    return (await _predict(request, who, [question]))[0]


@router.post("/predict/batch")
async def predict_batch(request: Request, who: Agent, asked: Questions) -> PredictedBatch:
    """Up to 256 texts at once, of 200,000 characters together."""
    started = time.perf_counter()
    found = await _predict(request, who, asked.questions)
    return PredictedBatch(predictions=found, processing_ms=_since(started))


@router.post("/feedback", responses=refusals(404))
async def judge_prediction(request: Request, who: Agent, feedback: PredictionFeedback) -> FeedbackTaken:
    """Says which group was right; nothing is written back to a ticketing system."""
    async with connection(request.app.state.pool) as conn, conn.transaction():
        if feedback.ticket_id is not None:
            was = await reviewing.give_feedback(conn, feedback.ticket_id, who, group=feedback.group)
            return FeedbackTaken(was_right=was == feedback.group, is_learnt_from=True)
        assert feedback.prediction_id is not None  # one of the two is given
        await reviewing.require_group(conn, feedback.group)
        was_right = await figures.judge(conn, feedback.prediction_id, feedback.group, who.name)
        entry = audit.Entry(
            f"user/{who.name}", "feedback.given", f"prediction/{feedback.prediction_id}", {"group": feedback.group}
        )
        await audit.append(conn, entry)
    return FeedbackTaken(was_right=was_right, is_learnt_from=False)


# Three and four minutes: the assumptions of strategy/cost.md.
@router.get("/stats")
async def read_stats(
    request: Request, who: Viewer, days: Days = 30, minutes_saved: Minutes = 3, correction_minutes: Minutes = 4
) -> figures.Stats:
    """How well it went and what it saved, from what was stored in the last `days`."""
    async with connection(request.app.state.pool) as conn:
        return await figures.stats(conn, days, saved_minutes=minutes_saved, correction_minutes=correction_minutes)


@router.get("/monitoring/drift")
async def read_drift(request: Request, who: Viewer, days: Days = 7, reference_days: Days = 30) -> figures.Drift:
    """Whether groups and confidence of the last `days` differ from the `reference_days` before them."""
    async with connection(request.app.state.pool) as conn:
        return await figures.find_drift(conn, now_days=days, before_days=reference_days)


async def _predict(request: Request, who: Principal, questions: Sequence[Question]) -> list[Predicted]:
    started = time.perf_counter()
    decisions = await _ask_worker(request, Questions(questions=tuple(questions)))
    numbered = [(uuid4(), decision) for decision in decisions]
    async with connection(request.app.state.pool) as conn, conn.transaction():
        hours = await figures.sla_hours(conn, [decision.group for decision in decisions])
        await figures.keep(conn, who.name, numbered)
    took_ms = _since(started)
    return [_said(number, decision, hours, took_ms) for number, decision in numbered]


async def _ask_worker(request: Request, asked: Questions) -> tuple[Decision, ...]:
    """
    Raises:
        Unavailable: no worker, or no router behind it. InputInvalid: a text that no model can read.
    """
    state = request.app.state
    url, headers = f"{state.settings.worker_url}/predict", {"Authorization": f"Bearer {key_of(request)}"}
    body = asked.model_dump(mode="json")
    try:
        call = state.http.post(url, json=body, headers=headers, timeout=WORKER_TIMEOUT_S)
        answer = await while_there(request, call)
    except httpx.HTTPError as exc:
        raise Unavailable(
            f"No worker answers predictions ({type(exc).__name__}). Check that one runs, and POINTSMAN_WORKER_URL."
        ) from exc
    if answer.is_success:
        try:
            return Answers.model_validate_json(answer.content, extra="ignore").decisions
        except ValidationError as exc:
            raise Unavailable("POINTSMAN_WORKER_URL does not lead to a worker of this version.") from exc
    message = _message(answer)
    if answer.status_code == 422:
        raise InputInvalid(message)
    if answer.status_code == 429:
        raise RateLimited(message)
    raise Unavailable(message)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"The worker answered {answer.status_code}."


def _said(number: UUID, decision: Decision, hours: dict[str, figures.SlaHours], took_ms: float) -> Predicted:
    return Predicted(
        prediction_id=number,
        group=decision.group,
        confidence=decision.confidence,
        confidence_category=CATEGORIES[decision.band],
        action=decision.band,
        escalation_reason=None if decision.band is Band.AUTO_ROUTE else decision.reason,
        top3=decision.top3,
        sla_hours=hours.get(decision.group or ""),
        model_version=decision.model_version,
        processing_ms=took_ms,
    )


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
