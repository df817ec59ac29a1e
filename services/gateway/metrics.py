"""The gateway's Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter("pointsman_deliveries_total", "Webhook calls by what became of them", ["connector", "outcome"])
INGEST_SECONDS = Histogram(
    "pointsman_ingest_seconds",
    "From the first byte of a webhook call to its answer",
    ["connector"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
CORRECTIONS = Counter("pointsman_corrections_total", "Reviews closed", ["outcome"])
# Looked up when they are scraped: they hold for the whole platform, whichever gateway is asked.
DEPENDENCY_UP = Gauge("pointsman_dependency_up", "1 while what the gateway needs answers", ["dependency"])
WORKERS = Gauge("pointsman_workers", "Workers with a heartbeat in the last seconds")
TICKETS_WAITING = Gauge("pointsman_waiting_tickets", "Tickets taken in that no worker has begun")
OUTBOX_PENDING = Gauge("pointsman_outbox_pending_letters", "Writes and events that wait to be delivered")
DEAD_LETTERS = Gauge("pointsman_dead_letters", "Letters that were given up and wait for a person")
# Of the register of models, for the trainer, which no scraper finds running. `which`: the newest one, and the champion.
MODEL_TRAINED = Gauge("pointsman_model_trained_timestamp_seconds", "When this model was registered", ["which"])
MODEL_ACCURACY = Gauge("pointsman_model_accuracy_ratio", "Share that was right on tickets it had not seen", ["which"])
MODEL_GATES_FAILED = Gauge("pointsman_model_failed_gates", "Gates that this model did not pass", ["which"])
