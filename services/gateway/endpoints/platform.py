"""What operators and load balancers ask: health with dependencies, metrics."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from services.core.kit.database import connection
from services.core.kit.errors import DatabaseUnavailable
from services.core.kit.schema import look_async
from services.core.kit.scraping import figures, refuse_from_outside
from services.gateway import metrics, repository
from services.gateway.served import PROBE_TIMEOUT_S, served

router = APIRouter(tags=["platform"])

TAKE_OVER_S = 60.0  # routers ask every 10 s, fetch some hundred MB and load them: 15 s where nothing else runs


class SilentSystem(BaseModel):
    """A ticketing system that does not answer. `tickets_waiting`: for it alone, to be read or to be written."""

    system: str
    since: datetime
    tickets_waiting: int


class Health(BaseModel):
    """`degraded`: tickets are still taken in, but something behind the gateway is down. `down`: senders must retry."""

    status: Literal["ok", "degraded", "down"]
    version: str
    dependencies: dict[str, Literal["ok", "down"]]
    problem: str | None = None  # what keeps tickets from being taken in, and the command that helps
    note: str | None = None  # what is under way, or late: a champion that the router has not loaded yet
    workers: int | None = None
    tickets_waiting: int | None = None
    outbox_pending: int | None = None
    dead_letters: int | None = None
    model_version: str | None = None  # the champion
    model_served: str | None = None  # what the router answers with
    silent_systems: list[SilentSystem] = []


@router.get("/health", response_model=Health, responses={503: {"model": Health}})
async def read_health(request: Request) -> JSONResponse:
    """200 while tickets can be taken in, 503 when they cannot."""
    health: Health = await request.app.state.health.submit(None)
    return JSONResponse(health.model_dump(mode="json"), status_code=503 if health.status == "down" else 200)


async def probe(state: Any, asked: Sequence[None]) -> list[Health]:
    """One look for all who ask at once: no key is needed for it, and a flood must not take intake's connections."""
    (counts, problem), answers = await asyncio.gather(_counts(state), served(state))
    dependencies: dict[str, Literal["ok", "down"]] = {
        "database": "ok" if counts is not None else "down",
        "router": "ok" if answers else "down",
        "worker": "ok" if counts and counts["workers"] else "down",
    }
    found = counts or {}
    silent = [SilentSystem(**row) for row in found.get("silent_systems", ())]
    is_late, note = _take_over(found, answers)
    is_degraded = silent or is_late or "down" in dependencies.values()
    status = "down" if counts is None else "degraded" if is_degraded else "ok"
    health = Health(
        status=status,
        version=version("pointsman"),
        problem=problem,
        note=note,
        dependencies=dependencies,
        workers=found.get("workers"),
        tickets_waiting=found.get("waiting"),
        outbox_pending=found.get("outbox_pending"),
        dead_letters=found.get("dead_letters"),
        model_version=found.get("model_version"),
        model_served=answers,
        silent_systems=silent,
    )
    return [health] * len(asked)


@router.get("/metrics", response_class=PlainTextResponse)
async def read_metrics(request: Request) -> Response:
    """Prometheus text format, for scrapers beside the gateway; through a proxy there is nothing here."""
    refuse_from_outside(request)
    tell(await request.app.state.health.submit(None))
    with suppress(DatabaseUnavailable):  # said by the health above; what was told of models stays
        async with connection(request.app.state.pool) as conn:
            tell_models(await repository.trained(conn))
    return figures()


def tell(health: Health) -> None:
    """Sets the gauges that hold for the platform; what the database could not be asked for keeps what it was."""
    for name, state in health.dependencies.items():
        metrics.DEPENDENCY_UP.labels(name).set(state == "ok")
    counted = (
        (metrics.WORKERS, health.workers),
        (metrics.TICKETS_WAITING, health.tickets_waiting),
        (metrics.OUTBOX_PENDING, health.outbox_pending),
        (metrics.DEAD_LETTERS, health.dead_letters),
    )
    for gauge, value in counted:
        if value is not None:
            gauge.set(value)


def tell_models(rows: Sequence[Mapping[str, Any]]) -> None:
    """The trainer is a job, gone before anybody asks it: what it left in the register is told for it."""
    for gauge in (metrics.MODEL_TRAINED, metrics.MODEL_ACCURACY, metrics.MODEL_GATES_FAILED):
        gauge.clear()
    for row in rows:
        metrics.MODEL_TRAINED.labels(row["which"]).set(row["created_at"].timestamp())
        metrics.MODEL_GATES_FAILED.labels(row["which"]).set(row["gates_failed"])
        if row["accuracy"] is not None:
            metrics.MODEL_ACCURACY.labels(row["which"]).set(row["accuracy"])


def _take_over(found: Mapping[str, Any], answers: str | None) -> tuple[bool, str | None]:
    """Whether the champion should long have been what the router answers with, and what to say of it."""
    champion, since_s = found.get("model_version"), found.get("champion_since_s")
    if answers is None or champion in (None, answers):
        return False, None
    is_late = since_s is None or since_s > TAKE_OVER_S
    if is_late:
        return True, f"The router still answers with {answers}: it could not load {champion}. Its log says why."
    return False, f"The router takes {champion} over, the champion for {since_s:.0f} s; until then {answers} answers."


async def _counts(state: Any) -> tuple[dict[str, Any] | None, str | None]:
    """How much waits, or None and why nothing can be taken in."""
    try:
        async with asyncio.timeout(2 * PROBE_TIMEOUT_S), connection(state.intake_pool) as conn:
            outdated = (await look_async(conn)).outdated()
            if outdated:
                return None, outdated.message
            return {**await repository.pulse(conn), "silent_systems": await repository.silent_systems(conn)}, None
    except TimeoutError:
        return None, "PostgreSQL does not answer in time."
    except DatabaseUnavailable as exc:
        return None, exc.message
