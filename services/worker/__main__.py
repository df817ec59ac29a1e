"""Starts the worker: `python -m services.worker`. Runs until SIGTERM or SIGINT."""

import asyncio
import signal
import sys

import httpx
import structlog
import uvloop

from services.core.bus.build import build_publisher, kind_of
from services.core.connectors.registry import build_connectors
from services.core.kit import outbox, workflows
from services.core.kit.collecting import settle
from services.core.kit.database import build_pool
from services.core.kit.errors import PointsmanError
from services.core.kit.objects import refuse_unknown
from services.core.kit.schema import refuse_foreign
from services.core.kit.telemetry import configure_logs, configure_traces
from services.core.llm.build import build_llm
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.worker.anchoring import anchor_chain
from services.worker.drift import watch_drift
from services.worker.events import tell
from services.worker.explain import explain
from services.worker.lake import keep_lake
from services.worker.letters import deliver
from services.worker.linking import link_chain
from services.worker.metrics import build_metrics_app
from services.worker.notify.announce import announce
from services.worker.polling import poll
from services.worker.predictions import build_app
from services.worker.retention import watch_retention
from services.worker.serving import build_server, serve_until
from services.worker.settings import WorkerSettings
from services.worker.sla import watch_sla
from services.worker.steps import Outside
from services.worker.surge import watch_surges
from services.worker.upkeep import upkeep
from services.worker.workflows import register

log = structlog.get_logger()

# Places and lanes bound what is under way to each system; a bound on all of them together would let one starve another.
UNBOUNDED = httpx.Limits(max_connections=None, max_keepalive_connections=100)


def main() -> None:
    try:
        settings = WorkerSettings.read()
        refuse_unknown_ways_out(settings)
        refuse_foreign(settings.database_url.get_secret_value(), settings.company)
    except PointsmanError as exc:
        sys.exit(f"worker: {exc}")
    configure_logs("worker", settings.log_level)
    configure_traces("worker")
    uvloop.run(run(settings))


def refuse_unknown_ways_out(settings: WorkerSettings) -> None:
    """At the start, and not when the first event is due or the first day is over."""
    if settings.events_url is not None:
        kind_of(settings.events_url)
    if settings.lake_url is not None:
        refuse_unknown(settings.lake_url, setting="POINTSMAN_LAKE_URL")


async def run(settings: WorkerSettings) -> None:
    """Builds everything, launches the engine in this loop and waits for the signal to stop."""
    from dbos import DBOS

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    database_url = settings.database_url.get_secret_value()
    pool = build_pool(database_url, company=settings.company, min_size=2, max_size=settings.worker_pool_size)
    async with httpx.AsyncClient(limits=UNBOUNDED) as http, pool:
        connectors = build_connectors(settings.connectors, pool=pool, http=http)
        publisher = build_publisher(settings.events_url, http)
        router = RouterClient(settings.router_url, http, settings.router_timeout_s)
        redaction = Redaction(build_redactor())
        llm = MeteredLlm(build_llm(settings.llm), pool, redaction.hide_in_answer, settings.llm.budget_usd_per_day)
        outside = Outside(settings, pool, connectors, redaction, router, llm)
        workflows.configure(database_url, executor_id=settings.worker_id, pool_size=settings.worker_pool_size)
        register(outside)
        adopted = await workflows.adopt_older(pool, settings.worker_id)
        DBOS.launch()
        await workflows.listen(places=settings.worker_concurrency, poll_s=settings.queue_poll_s)
        log.info("worker.started", worker_id=settings.worker_id, adopted=adopted)
        questions = build_server(build_app(outside), host=settings.worker_host, port=settings.worker_port)
        metrics = build_server(
            build_metrics_app(), host=settings.worker_metrics_host, port=settings.worker_metrics_port
        )
        settle()
        await asyncio.gather(
            serve_until(questions, stop),
            serve_until(metrics, stop),
            workflows.beat_and_reap(pool, settings.worker_id, stop=stop, silent=outside.silent),
            outbox.dispatch(
                pool, lambda letter: deliver(outside, publisher, http, letter), stop=stop, lanes=outside.lanes
            ),
            upkeep(outside, stop=stop),
            explain(pool, router, stop=stop),
            watch_sla(pool, stop=stop),
            watch_drift(pool, router, stop=stop),
            watch_surges(pool, router, stop=stop),
            watch_retention(pool, stop=stop),
            link_chain(pool, stop=stop),
            anchor_chain(outside, publisher, stop=stop),
            tell(outside, stop=stop),
            keep_lake(outside, stop=stop),
            poll(outside, stop=stop),
            announce(pool, settings.notify, stop=stop),
        )
        # Not waiting for tickets in flight: they are checkpointed and the next start, or another worker, goes on.
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        await workflows.leave(pool, settings.worker_id)
    log.info("worker.stopped")


if __name__ == "__main__":
    main()
