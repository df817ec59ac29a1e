"""Carries the outbox's letters to ticketing systems and to the event sink."""

import httpx
import structlog

from services.core.contracts.ticket import TicketUpdate
from services.core.kit.errors import ConfigurationInvalid, ConnectorRejected, ConnectorUnavailable
from services.core.kit.outbox import Letter, Superseded
from services.worker.metrics import WRITES
from services.worker.steps import Outside

log = structlog.get_logger()


async def deliver(outside: Outside, http: httpx.AsyncClient, letter: Letter) -> str | Superseded:
    """
    Carries out one letter and says what came of it.

    Raises:
        ConnectorUnavailable, UpdateConflict: try again.
        ConnectorRejected, ConfigurationInvalid: it will never work as it is; a dead letter.
    """
    if letter.kind == "event":
        return await _post_event(http, outside.settings.events_url, letter)
    return await _write(outside, letter)


async def _write(outside: Outside, letter: Letter) -> str | Superseded:
    connector = outside.connectors.get(letter.connector or "")
    if connector is None:
        raise ConfigurationInvalid(
            f"The connector {letter.connector} is not switched on here. Give the worker the gateway's settings."
        )
    result = await connector.write(TicketUpdate.model_validate(letter.payload))
    WRITES.labels(connector.name, result.status).inc()
    log.info("worker.letter.sent", key=letter.key, result=result.status)
    return Superseded(result.why) if result.status == "superseded" else result.status


async def _post_event(http: httpx.AsyncClient, url: str | None, letter: Letter) -> str:
    """CloudEvents over HTTP in structured mode; the sink deduplicates on source + id."""
    if url is None:
        raise ConfigurationInvalid("POINTSMAN_EVENTS_URL was removed while events were waiting.")
    try:
        answer = await http.post(
            url, json=dict(letter.payload), headers={"Content-Type": "application/cloudevents+json"}
        )
    except httpx.HTTPError as exc:
        raise ConnectorUnavailable(f"The event sink does not answer ({type(exc).__name__}).") from exc
    if answer.status_code >= 500 or answer.status_code == 429:
        raise ConnectorUnavailable(f"The event sink answered {answer.status_code}.")
    if answer.status_code >= 400:
        raise ConnectorRejected(f"The event sink refused the event with {answer.status_code}.")
    return "posted"
