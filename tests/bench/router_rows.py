"""The router's figures (`router.py`) as rows of the whole report."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from services.core.models.bundle import load_bundle
from services.core.models.texts import join_text
from services.local.mock.tickets import live
from tests.bench import router
from tests.bench.report import Row, Target

ROOM = "router"
TEXTS = 500
SEED = 3


def measure(bundle: Path, *, seconds: float) -> list[Row]:
    """The transformers pipeline, torch, the bundle in process and the router over HTTP: same texts, one thread each."""
    texts = [join_text(ticket.subject, ticket.body) for ticket in islice(live(SEED), TEXTS)]
    found = router.measure_in_process(bundle, texts, seconds) + router.measure_served(bundle, texts, seconds)
    lost = load_bundle(bundle).manifest.metrics.get("int8_accuracy_lost")
    rows = [Row(ROOM, "accuracy lost by int8", lost * 100, "points", Target(at_most=0.5))] if lost is not None else []
    return _targets(found) + rows + [row for measured in found for row in _figures(measured)]


def _targets(found: Sequence[router.Measured]) -> list[Row]:
    pipeline = next(row for row in found if row.name.startswith("transformers pipeline, batch 1"))
    alone = next(row for row in found if row.name.startswith("router over HTTP, 1 "))
    many = next(row for row in found if row.name.startswith("router over HTTP, 32"))
    faster = many.tickets_per_s / pipeline.tickets_per_s
    return [
        Row(ROOM, "router, 32 connections / transformers pipeline, one text a call", faster, "", Target(at_least=5)),
        Row(ROOM, "router p99, one text at a time", alone.p99_ms, "ms", Target(at_most=25)),
    ]


def _figures(measured: router.Measured) -> list[Row]:
    return [
        Row(ROOM, measured.name, measured.tickets_per_s, "tickets/s"),
        Row(ROOM, f"{measured.name}: processor time", measured.cpu_ms, "ms/ticket"),
    ]
