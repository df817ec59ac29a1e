"""
The worker's one address of its own: the gateway asks here what would be decided of a text.

The gateway holds no recognisers and the router must see no personal data, so the text is redacted here. Nothing of it
is stored or logged. The caller's key comes along and is checked again: an open port is not an open door.
"""

import asyncio
from collections.abc import Iterator, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Prediction
from services.core.contracts.priority import Level, PriorityAnswer
from services.core.contracts.question import Answers, Question, Questions
from services.core.kit.database import connection
from services.core.kit.errors import PayloadInvalid, PointsmanError
from services.core.kit.leaving import while_there
from services.core.kit.limits import Limits
from services.core.kit.rates import KeyRing, RateGate
from services.core.kit.security import Role, key_in, require
from services.core.kit.sign_in import sign_in
from services.core.models.texts import join_text
from services.worker import repository
from services.worker.decide import Gathered, decide
from services.worker.steps import Outside

BODY_MAX_BYTES = 4 * 1024 * 1024  # four times what the gateway takes: JSON escapes grow
BODY_TIMEOUT_S = 15.0
FAILURES_PER_MINUTE = 30
ROUTED_AT_ONCE = 16  # texts before the router takes a ticket's that came meanwhile


def build_app(outside: Outside) -> FastAPI:
    app = FastAPI(title="Pointsman worker", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.failures = RateGate(FAILURES_PER_MINUTE, of="failed sign-ins")
    app.state.intake_pool, app.state.key_ring = outside.pool, KeyRing(outside.pool)

    turn = asyncio.Lock()  # however many ask at once, a ticket waits for one text of theirs

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        require(await sign_in(request, key_in(request.headers)), Role.AGENT)
        try:
            asked = Questions.model_validate_json(await request.body())
        except ValidationError as exc:
            raise PayloadInvalid("; ".join(error["msg"] for error in exc.errors(include_input=False))) from exc
        async with turn:
            decisions = await while_there(request, answer(outside, asked.questions))
        return JSONResponse(Answers(decisions=decisions).model_dump(mode="json"))

    app.add_exception_handler(PointsmanError, _answer_error)
    app.add_middleware(Limits, max_body_bytes=BODY_MAX_BYTES, body_timeout_s=BODY_TIMEOUT_S)
    return app


async def answer(outside: Outside, questions: Sequence[Question]) -> tuple[Decision, ...]:
    """
    What would be decided of each, by the same rules as of a ticket, but for the priority, which the caller says.

    Raises:
        RouterUnavailable: no model answers. InputInvalid: the router refused a text.
    """
    safe = [await outside.redaction.redact({"subject": one.title, "body": one.description}) for one in questions]
    texts = [join_text(one.fields["subject"], one.fields["body"]) for one in safe]
    found = [one for some in batched(texts, ROUTED_AT_ONCE) for one in await outside.router.predict_many(some)]
    async with connection(outside.pool) as conn:
        catalogue = await repository.catalogue(conn)

    def gathered(place: int, prediction: Prediction) -> Gathered:
        return Gathered(
            ticket_id=str(place),
            prediction=prediction,
            priority=_given(questions[place]),
            groups=catalogue.names(),
            thresholds=catalogue.thresholds,
            least=catalogue.least_of(prediction),
            shadow=False,
            latency_ms=0.0,
        )

    return tuple(decide(gathered(place, prediction)) for place, (prediction, _) in enumerate(found))


def batched(texts: list[str], size: int) -> Iterator[list[str]]:
    """In order, `size` at a time."""
    return (texts[start : start + size] for start in range(0, len(texts), size))


def _given(question: Question) -> PriorityAnswer | None:
    if question.priority is None:
        return None
    unknown = Level.MEDIUM  # impact and urgency: no decision looks at them
    return PriorityAnswer(
        priority=question.priority, impact=unknown, urgency=unknown, reason="the caller says so", by="caller"
    )


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PointsmanError)
    return JSONResponse({"error": type(error).__name__, "message": error.message}, error.status)
