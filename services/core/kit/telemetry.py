"""
Logs, metrics and traces, set up once per process by its `__main__.py`.

Logs are JSON lines named `room.object.verb` with ids, counts and hashes: never ticket text or secrets.
Traces are on when the standard OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog
from pydantic_settings import BaseSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

QUIET = ("httpx", "httpcore", "dbos", "alembic", "uvicorn.access", "kserve", "psycopg.pool", "sqlalchemy")


class TracingSettings(BaseSettings):
    """OpenTelemetry's own variable names, so that its documentation applies."""

    otel_exporter_otlp_endpoint: str = ""
    otel_sdk_disabled: bool = False


def configure_logs(service: str, level: str) -> None:
    """JSON lines on stderr, for our events and for the libraries' alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.processors.format_exc_info],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def configure_traces(service: str, *, app: "FastAPI | None" = None) -> None:
    """Exports spans over OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set; does nothing (and imports nothing) otherwise."""
    settings = TracingSettings()
    if not settings.otel_exporter_otlp_endpoint or settings.otel_sdk_disabled:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"pointsman-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    if app is not None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app, excluded_urls="health,metrics")
