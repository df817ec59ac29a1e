"""The router's own metrics, beside kserve's request histograms, at /metrics."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from services.core.models.bundle import Inference

TICKETS = Counter("pointsman_router_tickets_total", "Texts answered, by band", ["band", "model_version"])
CONFIDENCE = Histogram(
    "pointsman_router_confidence_ratio", "Confidence of the answers", buckets=[i / 10 for i in range(1, 11)]
)
QUEUE = Gauge("pointsman_router_queued_texts", "Texts waiting for the model")
MODEL = Gauge("pointsman_router_model_info", "1 for the version being served", ["model_version"])


def observe(found: Inference) -> None:
    """Counts what was answered."""
    for prediction in found.predictions:
        TICKETS.labels(prediction.band.value, prediction.model_version).inc()
        CONFIDENCE.observe(prediction.confidence)


def show_queue(queued_texts: Callable[[], int]) -> None:
    QUEUE.set_function(queued_texts)


def show_model(version: str) -> None:
    MODEL.clear()
    MODEL.labels(version).set(1)
