"""Keeps the served model current: one folder for ever, or the registry's champion, asked for every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from services.core.kit.errors import PointsmanError, Unavailable
from services.core.models.bundle import load_bundle
from services.router.metrics import show_model
from services.router.model import RouterServing
from services.router.registered import ask
from services.router.settings import RouterSettings

if TYPE_CHECKING:
    from psycopg import Connection

    from services.core.models.registry import ModelRecord

log = structlog.get_logger()


def build_follower(model: RouterServing, settings: RouterSettings) -> Callable[[], Awaitable[None]]:
    """
    A task that runs beside the server.

    Raises:
        InputInvalid: `router_model_dir` is not a bundle; the start stops.
    """
    if settings.router_model_dir is not None:
        _take(model, settings.router_model_dir, settings.router_threads)
        return _rest
    return lambda: _follow_champion(model, settings)


async def _rest() -> None:
    """Nothing to follow."""


async def _follow_champion(model: RouterServing, settings: RouterSettings) -> None:
    """Never ends; a registry that does not answer leaves the model that is served."""
    complaint = ""
    while True:
        try:
            await asyncio.to_thread(_load_champion, model, settings)
            complaint = ""
        except PointsmanError as exc:
            if str(exc) != complaint:  # once for each new trouble, not every few seconds
                log.warning("router.champion.unavailable", reason=str(exc), serving=model.version)
                complaint = str(exc)
        await asyncio.sleep(settings.router_poll_s if model.ready else min(1.0, settings.router_poll_s))


def _load_champion(model: RouterServing, settings: RouterSettings) -> None:
    """Fetches and loads the champion when it is not the one being served."""
    from services.core.kit.objects import open_store
    from services.core.models.registry import fetch

    record = ask(settings, _champion)
    if record.version != model.version:
        folder = fetch(open_store(settings.objects_url), record, settings.router_cache_dir)
        _take(model, folder, settings.router_threads)


def _champion(conn: "Connection[Any]") -> "ModelRecord":
    from services.core.models.registry import champion

    record = champion(conn)
    if record is None:
        raise Unavailable("There is no champion yet. Train one: python -m services.trainer --promote")
    return record


def _take(model: RouterServing, folder: Path, threads: int) -> None:
    model.load(load_bundle(folder, threads=threads))
    assert model.version is not None  # just loaded
    show_model(model.version)
    log.info("router.model.loaded", model_version=model.version)
