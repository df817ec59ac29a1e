"""The worker's Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram, make_asgi_app
from starlette.types import ASGIApp

from services.core.kit.limits import Limits

BODY_MAX_BYTES, BODY_TIMEOUT_S = 1024, 5.0  # who asks for figures sends none

DECISIONS = Counter("pointsman_decisions_total", "Decisions by group and band", ["group", "band"])
DECISION_SECONDS = Histogram(
    "pointsman_decision_seconds",
    "From the webhook call to the decision, waiting included",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
WRITES = Counter("pointsman_writes_total", "Write-backs by connector and result", ["connector", "result"])
AUDIT_PENDING = Gauge("pointsman_audit_pending_entries", "Audit entries that are not linked into the chain yet")
AUDIT_PENDING_SECONDS = Gauge("pointsman_audit_pending_seconds", "Age of the audit entry that waits longest")

# Every worker tells what the newest report says, whoever made it.
DRIFT_SHIFTED = Gauge("pointsman_drift_shifted", "1 while the day's test says so", ["test"])
DRIFT_JUDGED = Gauge("pointsman_drift_judged_timestamp_seconds", "When drift was judged last")

RETENTION_REMOVED = Counter(
    "pointsman_retention_removed_total", "What was older than the rules keep, by kind", ["kind"]
)
RETENTION_ENFORCED = Gauge("pointsman_retention_enforced_timestamp_seconds", "When all that was due had gone last")


def build_metrics_app() -> ASGIApp:
    """Prometheus' own text, at any path."""
    return Limits(make_asgi_app(), BODY_MAX_BYTES, BODY_TIMEOUT_S)
