"""HTTP: parse, one call, return. Whoever holds a conversation's token holds the conversation."""

import hashlib
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.conversation import MESSAGE_MAX_CHARS, Message, Session
from services.core.kit.database import connection
from services.core.kit.openapi import SCHEMES as KEYS
from services.core.kit.openapi import refusals
from services.core.kit.scraping import figures, refuse_from_outside
from services.core.kit.security import Role, key_in, require
from services.core.kit.sign_in import address_of, counting_failures, sign_in
from services.rag import service
from services.rag.repository import uuid7
from services.rag.service import Outside
from services.rag.streams import plain, stream

router = APIRouter()
SCHEMES = KEYS | {
    "conversation": {"type": "http", "scheme": "bearer", "description": "The token that opening a conversation gave"}
}
BY_TOKEN: dict[str, Any] = {"security": [{"conversation": []}]}
BY_KEY: dict[str, Any] = {"security": [{}, *({name: []} for name in KEYS)]}  # {}: visitors, where it is public
# PostgreSQL holds no NUL; a lone surrogate is no text to the framework either.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
UNBUFFERED = {"X-Accel-Buffering": "no"}  # a proxy that collects the events would undo them
PAGE = Path(__file__).with_name("static") / "chat.html"


class NewSession(Contract):
    """`groups` counts only from a caller with an API key: it decides which documents may be quoted."""

    groups: tuple[Text, ...] = Field(default=(), max_length=100)
    requester: Text | None = Field(default=None, max_length=320)


class NewMessage(Contract):
    """`id` is the sender's, so that a message that is sent again is the same one."""

    text: Text = Field(min_length=1, max_length=MESSAGE_MAX_CHARS)
    id: UUID | None = None


class Rating(Contract):
    rating: int = Field(ge=1, le=5)


class Answered(Contract):
    """`answer` is None while a person has the conversation."""

    id: UUID
    answer: Message | None


SPOKEN: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The answer"}
}


def outside_of(request: Request) -> Outside:
    return request.app.state.outside


def token_of(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


OutsideOf = Annotated[Outside, Depends(outside_of)]
Token = Annotated[str | None, Depends(token_of)]


@router.post("/sessions", status_code=201, openapi_extra=BY_KEY)
async def open_session(request: Request, body: NewSession, outside: OutsideOf) -> dict[str, str]:
    """A new conversation and the token that it is spoken in with."""
    groups, key = body.groups, key_in(request.headers)
    if request.app.state.settings.rag_public and key is None:
        request.app.state.opening.pass_or_refuse(address_of(request))
        groups = ()
    else:
        require(await sign_in(request, key), Role.AGENT)
    opened = await service.open_session(outside, groups, body.requester)
    return {"id": opened.id, "token": opened.token}


@router.post(
    "/sessions/{session_id}/messages", response_model=Answered, responses=SPOKEN | refusals(409), openapi_extra=BY_TOKEN
)
async def say(
    request: Request, session_id: UUID, body: NewMessage, outside: OutsideOf, token: Token
) -> JSONResponse | StreamingResponse:
    """
    The answer, whole or as server-sent events: what is `doing`, a `claim` each, then the `message`, or an `error`. None
    while a person has it.
    """
    request.app.state.calling.pass_or_refuse(address_of(request))
    request.app.state.saying.pass_or_refuse(_told_by(session_id, token))
    message_id = body.id or uuid7()
    with counting_failures(request):
        await service.take_in(outside, session_id, token, message_id, body.text)
    if "text/event-stream" in request.headers.get("accept", ""):
        return StreamingResponse(
            stream(outside, session_id, message_id), media_type="text/event-stream", headers=UNBUFFERED
        )
    answered = await service.take_turn(outside, session_id, message_id)
    return JSONResponse({"id": str(message_id), "answer": plain(answered)})


@router.get("/sessions/{session_id}", openapi_extra=BY_TOKEN)
async def read(request: Request, session_id: UUID, outside: OutsideOf, token: Token) -> Session:
    with counting_failures(request):
        return await service.read(outside, session_id, token)


@router.post("/sessions/{session_id}/rating", status_code=204, openapi_extra=BY_TOKEN)
async def rate(request: Request, session_id: UUID, body: Rating, outside: OutsideOf, token: Token) -> None:
    with counting_failures(request):
        await service.rate(outside, session_id, token, body.rating)


@router.post("/sessions/{session_id}/resolve", status_code=204, responses=refusals(409), openapi_extra=BY_TOKEN)
async def resolve(request: Request, session_id: UUID, outside: OutsideOf, token: Token) -> None:
    with counting_failures(request):
        await service.resolve(outside, session_id, token)


@router.get("/health")
async def health(outside: OutsideOf) -> dict[str, str]:
    async with connection(outside.pool) as conn:
        await conn.execute("select 1")
    return {"status": "ok"}


@router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
async def read_metrics(request: Request) -> Response:
    """Prometheus text format, for scrapers beside the chat; through a proxy there is nothing here."""
    refuse_from_outside(request)
    return figures()


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(PAGE)


@router.get("/favicon.ico", include_in_schema=False, status_code=204)
async def icon() -> None:
    """There is none; browsers ask."""


def _told_by(session_id: UUID, token: str | None) -> str:
    """Counted with its token: who only knows a conversation's id must not use up its share."""
    return hashlib.sha256(f"{session_id} {token}".encode()).hexdigest()
