"""The conversations as one ASGI application."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core.answer import gaps
from services.core.answer.decide import Rules
from services.core.answer.gate import read_calibration
from services.core.answer.written import Writer
from services.core.connectors.registry import build_connectors
from services.core.kit.collecting import settle
from services.core.kit.database import Pool, build_pool, connection
from services.core.kit.errors import ConfigurationInvalid, PointsmanError
from services.core.kit.limits import Limits
from services.core.kit.objects import open_store
from services.core.kit.openapi import describe
from services.core.kit.rates import KeyRing, RateGate
from services.core.kit.telemetry import configure_traces
from services.core.llm.build import build_answerer
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.search.encoder import fetch_encoder
from services.core.search.rerank import open_reranker
from services.core.text.redact import build_redactor
from services.rag import drafts, endpoints, handover, service
from services.rag.channels import endpoints as channels
from services.rag.channels.bot_framework import BotDoor
from services.rag.service import Learning, Outside
from services.rag.settings import RagSettings

log = structlog.get_logger()

STATIC = Path(__file__).with_name("static")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build_app(settings: RagSettings) -> FastAPI:
    """The application; model, redactor and connections are there from its start to its stop."""
    app = FastAPI(title="Pointsman conversations", version="0.1.0", lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.openapi = partial(describe, app, endpoints.SCHEMES)
    app.state.settings = settings
    app.state.opening = RateGate(settings.rag_sessions_per_minute, of="conversations")
    app.state.saying = RateGate(settings.rag_messages_per_minute, of="messages in a conversation")
    app.state.calling = RateGate(settings.rag_caller_messages_per_minute, of="messages")
    app.state.relaying = RateGate(settings.rag_channel_messages_per_minute, of="messages in a channel")
    app.state.failures = RateGate(settings.failed_sign_ins_per_minute, of="failed sign-ins")
    app.include_router(endpoints.router)
    app.include_router(channels.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(PointsmanError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_unmatched)
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes, body_timeout_s=settings.body_timeout_s)
    app.add_middleware(_SafeHeaders, ancestors=settings.rag_origins)
    if settings.rag_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.rag_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type"],
        )
    configure_traces("rag", app=app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    settings: RagSettings = app.state.settings
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(settings.rag_threads, "compute"))
    pool = build_pool(
        settings.database_url.get_secret_value(), company=settings.company, min_size=2, max_size=settings.rag_pool_size
    )
    app.state.intake_pool, app.state.key_ring = pool, KeyRing(pool)
    stop = asyncio.Event()
    async with httpx.AsyncClient() as http:
        await pool.open(wait=False)  # started before its database it answers 503, and recovers by itself
        encoder = await asyncio.to_thread(fetch_encoder, open_store(settings.objects_url))
        redaction = Redaction(await asyncio.to_thread(build_redactor))
        rules = Rules(read_calibration(settings.rag_calibration), settings.rag_mode, settings.rag_falls_back)
        writer = _build_writer(settings, pool, redaction)
        router = RouterClient(settings.router_url, http, settings.router_timeout_s)
        learns = Learning.of(settings.rag_index_cases, settings.rag_approve_cases)
        reranker = None
        if settings.rag_reranker is not None:
            reranker = await asyncio.to_thread(open_reranker, settings.rag_reranker)
        outside = Outside(pool, encoder, redaction, rules, learns, writer, router, reranker, settings.rag_mail)
        app.state.outside = outside
        app.state.bot_door = BotDoor(settings.rag_bot, http) if settings.rag_bot.app_id else None
        connectors = build_connectors(settings.connectors, pool=pool, http=http)
        connector = connectors.get(settings.rag_connector)
        if connector is None:
            raise ConfigurationInvalid(
                f"POINTSMAN_RAG_CONNECTOR is '{settings.rag_connector}', which is not switched on. "
                f"Configure it, or use one of: {', '.join(connectors)}."
            )
        ticket = {"group": settings.rag_ticket_group, "every_s": settings.rag_poll_s, "stop": stop}
        work = [service.sweep(outside, stop=stop), handover.keep_up(outside, connector, **ticket)]
        work.append(_look_for_gaps(outside, every_s=settings.rag_gaps_s, stop=stop))
        if settings.rag_drafts:
            rhythm = {"shadow": settings.shadow, "every_s": settings.rag_poll_s, "stop": stop}
            work.append(drafts.keep_drafting(outside, settings.rag_draft_groups, **rhythm))
        loops = asyncio.gather(*work)
        settle()
        try:
            yield
        finally:
            stop.set()
            await loops
            await pool.close()


async def _look_for_gaps(outside: Outside, *, every_s: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            async with connection(outside.pool) as conn:
                await gaps.refresh(conn, outside.encoder)
        except Exception as exc:  # nobody waits for it: it is looked again
            log.warning("rag.gaps.failed", error=type(exc).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)


def _build_writer(settings: RagSettings, pool: Pool, redaction: Redaction) -> Writer | None:
    answerer = build_answerer(settings.llm, redaction)
    return Writer(answerer, pool, settings.llm) if answerer else None


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PointsmanError)
    if error.status >= 500:
        log.error("rag.request.failed", path=request.url.path, error=type(error).__name__)
    headers = {} if error.retry_after_s is None else {"Retry-After": str(int(error.retry_after_s))}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": type(error).__name__, "message": error.message}, error.status, headers)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own answer repeats the input; ours does not: it may hold what a person wrote."""
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    message = "; ".join(problems).encode(errors="backslashreplace").decode()  # an unknown field's name may be no text
    return JSONResponse({"error": "InputInvalid", "message": message}, 422)


async def _answer_unmatched(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: no such path, no such method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    kind = {400: "PayloadInvalid", 404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "Refused")
    return JSONResponse({"error": kind, "message": f"{error.detail}."}, error.status_code, error.headers)


class _SafeHeaders:
    """Adds HEADERS, and who may show the page in a frame: the origins that may embed it, else nobody."""

    def __init__(self, app: ASGIApp, ancestors: tuple[str, ...]) -> None:
        self._app = app
        framed_by = " ".join(ancestors) or "'none'"
        policy = f"default-src 'self'; frame-ancestors {framed_by}; form-action 'self'; base-uri 'none'"
        self._headers = HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safe if scope["type"] == "http" else send)
