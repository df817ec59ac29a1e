"""The gateway as one ASGI application: what is mounted where, and how errors become answers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
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

from services.core.connectors.registry import build_connectors
from services.core.kit.batching import Batcher
from services.core.kit.database import build_pool
from services.core.kit.errors import PointsmanError
from services.core.kit.limits import Limits
from services.core.kit.openapi import describe
from services.core.kit.rates import KeyRing, RateGate
from services.core.kit.telemetry import configure_traces
from services.gateway import service
from services.gateway.endpoints import (
    catalogue,
    console,
    docs,
    drift,
    hooks,
    incidents,
    links,
    login,
    models,
    platform,
    predictions,
    review_api,
    reviews,
    teams,
    tickets,
)
from services.gateway.pages import build_templates
from services.gateway.settings import GatewaySettings
from services.gateway.waiting import WAITERS_MAX

log = structlog.get_logger()

READ_TIMEOUT_S = 5.0  # a page that takes longer is not waited for, and must not hold the database up
INTAKE_TIMEOUT_S = 8.0  # a webhook sender gives up after 10 s (Zendesk)
INTAKE_BATCH = 32  # deliveries in one transaction: some 10 ms, well below what a sender notices

HEALTH_BATCH = 1_000  # who asks for it at once, and gets one answer

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
}


def build_app(settings: GatewaySettings) -> FastAPI:
    """The application; connections open when it starts and close when it stops."""
    app = FastAPI(
        title="Pointsman gateway",
        version="0.1.0",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # the names of the typed client
    )
    app.openapi = partial(describe, app)
    app.state.settings = settings
    app.state.templates = build_templates()
    app.state.hook_gate = RateGate(settings.hook_rate_per_minute)
    app.state.api_gate = RateGate(settings.api_rate_per_minute)
    app.state.waiters = asyncio.Semaphore(WAITERS_MAX)
    app.state.failures = RateGate(settings.failed_sign_ins_per_minute, of="failed sign-ins")
    app.include_router(hooks.plain)
    for room in (
        hooks,
        tickets,
        review_api,
        predictions,
        catalogue,
        platform,
        console,
        reviews,
        teams,
        models,
        incidents,
        drift,
        login,
        links,
        docs,
    ):
        app.include_router(room.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), name="static")
    app.add_exception_handler(PointsmanError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_unmatched)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["Authorization", "X-API-Key", "Idempotency-Key", "Content-Type"],
        )
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes, body_timeout_s=settings.body_timeout_s)
    app.add_middleware(_SafeHeaders)  # last is outermost: on the answers of the limits, too
    configure_traces("gateway", app=app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    settings: GatewaySettings = app.state.settings
    size = settings.gateway_pool_size
    database_url = settings.database_url.get_secret_value()
    build = partial(build_pool, database_url, company=settings.company)
    pool = build(min_size=min(2, size), max_size=size, statement_timeout_s=READ_TIMEOUT_S)
    intake = build(min_size=2, max_size=settings.gateway_intake_pool_size, statement_timeout_s=INTAKE_TIMEOUT_S)
    async with httpx.AsyncClient() as http:
        for opened in (pool, intake):  # a gateway that starts before its database answers 503, and recovers by itself
            await opened.open(wait=False)
        app.state.pool, app.state.http, app.state.key_ring = pool, http, KeyRing(pool)
        app.state.intake = Batcher(partial(service.take_in, intake), batch_max=INTAKE_BATCH)
        app.state.intake_pool = intake
        app.state.health = Batcher(partial(platform.probe, app.state), batch_max=HEALTH_BATCH)
        app.state.connectors = build_connectors(settings.connectors, pool=pool, http=http)
        try:
            yield
        finally:
            await pool.close()
            await intake.close()


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PointsmanError)
    if error.status >= 500:
        log.error("gateway.request.failed", path=request.url.path, error=type(error).__name__)
    headers = {} if error.retry_after_s is None else {"Retry-After": str(int(error.retry_after_s))}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": type(error).__name__, "message": error.message}, error.status, headers)


async def _answer_unmatched(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: no such path, no such method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    kind = {400: "PayloadInvalid", 404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "Refused")
    return JSONResponse({"error": kind, "message": f"{error.detail}."}, error.status_code, error.headers)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own answer repeats the input; ours does not: it may hold ticket text."""
    assert isinstance(error, RequestValidationError)
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"error": "InputInvalid", "message": "; ".join(problems)}, 422)


class _SafeHeaders:
    """Adds HEADERS to every answer that says nothing else. Plain ASGI: Starlette's wrapper costs 0.3 ms a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"  # kept, but asked for again: an update shows at once
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safe if scope["type"] == "http" else send)
