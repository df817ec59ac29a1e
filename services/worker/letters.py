"""Carries the outbox's letters to ticketing systems, to the event bus and to people's channels."""

import httpx
import structlog

from services.core.bus.port import Publisher
from services.core.contracts.ticket import TicketUpdate
from services.core.kit.errors import ConfigurationInvalid
from services.core.kit.outbox import Letter, Superseded
from services.worker.later import resume
from services.worker.metrics import WRITES
from services.worker.notify.channels import tell
from services.worker.steps import Outside

log = structlog.get_logger()


async def deliver(
    outside: Outside, publisher: Publisher | None, http: httpx.AsyncClient, letter: Letter
) -> str | Superseded:
    """
    Carries out one letter and says what came of it.

    Raises:
        ConnectorUnavailable, UpdateConflict, BusClosed: try again.
        ConnectorRejected, ConfigurationInvalid: it will never work as it is; a dead letter.
    """
    if letter.kind == "event":
        return await _publish(publisher, letter)
    if letter.kind == "notice":
        return await tell(outside.settings.notify, http, letter)
    if letter.kind == "read":
        return await resume(outside, letter)
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
    if result.status == "superseded":
        return Superseded(result.why)
    return f"{result.status}, except: {result.why}" if result.why else result.status


async def _publish(publisher: Publisher | None, letter: Letter) -> str:
    if publisher is None:
        raise ConfigurationInvalid("POINTSMAN_EVENTS_URL was removed while events were waiting.")
    await publisher.publish(letter.payload)
    return "published"
