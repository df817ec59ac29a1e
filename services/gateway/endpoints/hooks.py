"""Where systems call in: signed webhooks, and plain JSON with an API key."""

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.core.connectors import lenient
from services.core.connectors.desk_agents import NewDeskTicket
from services.core.connectors.door import Call
from services.core.contracts.decision import Decision
from services.core.contracts.ticket import SUBJECT_MAX_CHARS, Priority
from services.core.kit.errors import NotFound, PayloadInvalid, PointsmanError
from services.core.kit.openapi import Refusal, refusals
from services.core.kit.security import Principal, Role
from services.core.kit.sign_in import counting_failures
from services.gateway import service, waiting
from services.gateway.access import Guard, GuardedRoute
from services.gateway.metrics import DELIVERIES, INGEST_SECONDS

IGNORED_MAX, IGNORED_MAX_CHARS = 20, 100  # names in an answer, and how much of each

router = APIRouter(tags=["webhooks"])
plain = APIRouter(tags=["webhooks"], route_class=GuardedRoute)


class HookAnswer(BaseModel):
    """`duplicate` and `ignored` are successes: the sender must not try again. `unusable`: nor would it help."""

    status: Literal["accepted", "duplicate", "ignored", "unusable"]
    ticket_id: str | None = None
    external_id: str | None = None
    why: str | None = None


class TicketAnswer(HookAnswer):
    """
    `decision`: how the ticket was routed, where the caller asked to wait and it was decided in time. `ignored`: fields
    of the call that mean nothing here; a misspelt one shows.
    """

    decision: Decision | None = None
    ignored: list[str] | None = None


class HookAnswers(BaseModel):
    """For a call that bundles events: what became of each, in the call's order."""

    events: list[HookAnswer]


Text = Annotated[str, BeforeValidator(lambda value: lenient.text(value) if isinstance(value, str) else value)]


class PlainTicket(BaseModel):
    """
    A ticket as plain JSON, for forms, scripts and n8n. `metadata.external_id`, where given, makes a repeated call a
    duplicate instead of a second ticket, as the header Idempotency-Key does; with other content the key is refused.
    Other fields are not kept, and named in the answer: forms and flows send more than a ticket has. What is to be kept
    goes into `metadata`.
    """

    model_config = ConfigDict(extra="ignore")

    title: Text = Field(min_length=1, max_length=SUBJECT_MAX_CHARS, pattern=r"\S")
    description: Text = Field(default="", max_length=200_000)
    email: Text | None = Field(default=None, max_length=320)
    priority: Priority | None = None
    source: Annotated[str, AfterValidator(lenient.storable_id)] = Field(default="api", max_length=64)
    metadata: dict[str, Any] = Field(default_factory=dict)


PLAIN_TICKET_SCHEMA = PlainTicket.model_json_schema(ref_template="#/components/schemas/{model}")
PLAIN_TICKET_SCHEMA.pop("$defs", None)  # Priority is in the components already: the tickets API answers with it
PLAIN_TICKET_SCHEMA["properties"]["priority"] = {"type": ["string", "null"], "enum": [*Priority, None]}


@router.post(
    "/hooks/{connector}",
    status_code=202,
    response_model=HookAnswer | HookAnswers,
    responses={
        200: {"model": HookAnswer | HookAnswers},
        422: {"model": Refusal | HookAnswer | HookAnswers, "description": "Nothing of the call can be used"},
        **refusals(401, 404),
    },
)
async def receive_hook(connector: str, request: Request) -> JSONResponse:
    """A signed call of a ticketing system. 202 taken in, 200 seen before or of no interest."""
    started = time.perf_counter()
    state = request.app.state
    known = state.connectors.get(connector)
    if known is None:
        raise NotFound(
            f"No connector '{connector[:40]}' is switched on. On: {', '.join(sorted(state.connectors)) or 'none'}. "
            "A connector is switched on by its secret, for example POINTSMAN_CONNECTORS__ZENDESK__SECRETS."
        )
    try:
        body = await request.body()
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(headers, body, request.method, str(request.url))
        with counting_failures(request):
            known.verify(call, now=datetime.now(UTC))
        state.hook_gate.pass_or_refuse(
            connector
        )  # after the signature: a flood of forgeries must not cost the real one
        done = await service.receive(state.intake, known.parse(call), body)
    except PointsmanError as exc:
        DELIVERIES.labels(connector, type(exc).__name__).inc()
        raise
    for one in done:
        DELIVERIES.labels(connector, one.outcome).inc()
    INGEST_SECONDS.labels(connector).observe(time.perf_counter() - started)
    return _answer(done[0]) if len(done) == 1 else _answer_each(done)


@plain.post(
    "/webhook/ticket",
    status_code=202,
    response_model=TicketAnswer,
    responses={200: {"model": TicketAnswer}},
    # The body is read by hand, leniently, so FastAPI cannot see its schema.
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": PLAIN_TICKET_SCHEMA}}}},
)
async def receive_plain_ticket(
    request: Request,
    who: Annotated[Principal, Depends(Guard(Role.AGENT))],
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    prefer: Annotated[str | None, Header(max_length=200)] = None,
) -> JSONResponse:
    """
    A ticket as plain JSON: it is opened in the built-in desk and triaged like any other.

    With `Prefer: wait=10` the answer comes with the decision, 200, or after that many seconds without it, 202.
    """
    state = request.app.state
    body = await request.body()
    try:
        sent = lenient.read_object(body, system="JSON")
        plain = PlainTicket.model_validate(sent)
    except ValidationError as exc:
        raise PayloadInvalid(_problems(exc)) from exc
    # Two forms that both number their tickets 1, 2, 3 must not swallow each other's.
    number = f"{plain.source}\0{lenient.optional_id(plain.metadata.get('external_id')) or uuid.uuid4()}"
    key = hashlib.sha256(f"{who.name}\0{idempotency_key or number}".encode()).hexdigest()
    opened = NewDeskTicket(
        subject=plain.title,
        body=plain.description,
        requester_email=plain.email,
        priority=plain.priority,
        metadata={**plain.metadata, "source": plain.source},
    )
    done = await service.open_in_desk(state.intake_pool, opened, key=key)
    DELIVERIES.labels("json", done.outcome).inc()
    wait_s = waiting.wanted_s(prefer)
    decision = await waiting.decision(state.pool, done.ticket_id, wait_s, state.waiters)
    answer = TicketAnswer(**_said(done).model_dump(), decision=decision, ignored=_ignored(sent))
    headers = {"Preference-Applied": f"wait={wait_s}"} if decision else {}
    is_open = done.outcome == "accepted" and decision is None
    return JSONResponse(answer.model_dump(mode="json", exclude_none=True), 202 if is_open else 200, headers)


def _answer(done: service.Received) -> JSONResponse:
    return JSONResponse(_said(done).model_dump(exclude_none=True), 202 if done.outcome == "accepted" else 200)


def _answer_each(done: Sequence[service.Received]) -> JSONResponse:
    outcomes = {one.outcome for one in done}
    status = 202 if "accepted" in outcomes else 422 if outcomes == {"unusable"} else 200
    return JSONResponse(HookAnswers(events=list(map(_said, done))).model_dump(exclude_none=True), status)


def _said(done: service.Received) -> HookAnswer:
    return HookAnswer(status=done.outcome, ticket_id=done.ticket_id, external_id=done.external_id, why=done.why)


def _ignored(sent: Mapping[str, Any]) -> list[str] | None:
    """The first few, cut: the answer does not repeat a body."""
    names = [lenient.text(name)[:IGNORED_MAX_CHARS] for name in sent if name not in PlainTicket.model_fields]
    return names[:IGNORED_MAX] or None


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in problems)
