"""The gateway's Prometheus metrics."""

from prometheus_client import Counter, Histogram

DELIVERIES = Counter("pointsman_deliveries_total", "Webhook calls by what became of them", ["connector", "outcome"])
INGEST_SECONDS = Histogram(
    "pointsman_ingest_seconds",
    "From the first byte of a webhook call to its answer",
    ["connector"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
CORRECTIONS = Counter("pointsman_corrections_total", "Reviews closed", ["outcome"])
