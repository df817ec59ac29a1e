"""What a bus must be able to do, and how its refusals are read: the same for all of them."""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from services.core.kit.errors import BusClosed, ConnectorRejected, ConnectorUnavailable, PointsmanError

STRUCTURED = "application/cloudevents+json"  # CloudEvents 1.0: the whole event is the body
CLOSED = (401, 403, 404, 410)  # a grant that has not spread yet, a topic that is made anew: minutes, seldom for ever


class Publisher(Protocol):
    async def publish(self, event: Mapping[str, Any]) -> None:
        """
        Hands one event over, at least once; subscribers deduplicate on `source` and `id`.

        Raises:
            ConnectorUnavailable: no answer, or asked to wait: try again, it is not held against the event.
            BusClosed: the bus knows us or the topic not; eight times, then a dead letter.
            ConnectorRejected: it will never take this event.
        """
        ...


def refusal(status: int, who: str, *, retry_after_s: float | None = None) -> PointsmanError | None:
    """What a status means for the event; None: it was taken."""
    if status < 300:
        return None
    if status in (408, 429) or status >= 500:
        return ConnectorUnavailable(f"{who} answered {status}.", retry_after_s=retry_after_s)
    if status in CLOSED:
        return BusClosed(f"{who} answered {status}. Is the topic there, and may this workload publish to it?")
    return ConnectorRejected(f"{who} refused the event with {status}.")


async def post(http: httpx.AsyncClient, who: str, url: str, **request: Any) -> None:
    """One call that hands an event over; raises like `publish`."""
    try:
        answer = await http.post(url, **request)
    except httpx.HTTPError as exc:
        raise ConnectorUnavailable(f"{who} does not answer ({type(exc).__name__}).") from exc
    told = answer.headers.get("retry-after", "")
    if error := refusal(answer.status_code, who, retry_after_s=float(told) if told.isdigit() else None):
        raise error
