"""The chat's Prometheus metrics."""

from prometheus_client import Counter, Gauge, Histogram

from services.core.contracts.conversation import Answer

TURNS = Counter("pointsman_chat_turns_total", "Messages answered, by what was done", ["action"])
TURN_SECONDS = Histogram(
    "pointsman_chat_turn_seconds",
    "What making an answer took, storing included",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RATINGS = Counter("pointsman_chat_ratings_total", "What people thought of answers, 1 to 5", ["rating"])
UNANSWERED = Gauge("pointsman_chat_unanswered_messages", "Messages that wait longer than a turn takes")


def observe(given: Answer, ms: dict[str, float]) -> None:
    """Counts a turn that has been stored."""
    TURNS.labels(given.action.value).inc()
    TURN_SECONDS.observe(sum(ms.values()) / 1000)
