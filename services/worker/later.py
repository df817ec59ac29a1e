"""
What cannot be read because its system does not answer: it waits as a letter in that system's lane, for days if need be.

A waiting ticket holds no place of the queue, and its letter is not held against anybody. When the system answers, the
letter starts the same workflow once more, under an id of its own.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from services.core.kit import outbox, workflows
from services.core.kit.database import connection
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound
from services.core.kit.outbox import Letter
from services.worker import repository
from services.worker.steps import Outside

log = structlog.get_logger()

Result = TypeVar("Result")

PUT_OFF = "put off until its system answers"
TURN = re.compile(r":later:(\d{1,9})$", re.ASCII)


def first_of(workflow_id: str) -> str:
    """The workflow that was put off first: effects are keyed by it, so all turns together have one."""
    return TURN.sub("", workflow_id)


async def read_or_put_off(
    outside: Outside, ticket_id: int, name: str, workflow_id: str, read: Callable[[], Awaitable[Result]]
) -> Result | str:
    """What the step gives; PUT_OFF where the ticket's system does not answer and nothing is known to go on with."""
    try:
        return await read()
    except ConnectorUnavailable:
        await _put_off(outside, ticket_id, name, workflow_id)
        return PUT_OFF


async def resume(outside: Outside, letter: Letter) -> str:
    """
    Starts the workflow again once the system answers, whatever it says: a refusal is its answer too.

    Raises:
        ConnectorUnavailable: not yet.
    """
    known, start = letter.payload, letter.payload["start"]
    connector = outside.connectors.get(known["connector"])
    if connector is not None:
        with suppress(NotFound, ConnectorRejected):
            await connector.fetch(known["external_id"])
    async with connection(outside.pool) as conn:
        await workflows.enqueue(conn, workflows.Start(**start))
    return "answered"


async def _put_off(outside: Outside, ticket_id: int, name: str, workflow_id: str) -> None:
    async with connection(outside.pool) as conn, conn.transaction():
        if not await repository.hold(conn, ticket_id):
            return
        ticket = await repository.redacted(conn, ticket_id)
        start = {"name": name, "workflow_id": _next(workflow_id), "arguments": {"ticket_id": str(ticket_id)}}
        payload: dict[str, Any] = {
            "connector": ticket["connector"],
            "external_id": ticket["external_id"],
            "start": start | {"lane": ticket["connector"]},
        }
        key = f"{workflow_id}:read"
        await outbox.put(conn, key, payload, kind="read", ticket_id=ticket_id, connector=ticket["connector"])
    log.warning("worker.ticket.put_off", ticket_id=ticket_id, connector=ticket["connector"])


def _next(workflow_id: str) -> str:
    found = TURN.search(workflow_id)
    return f"{first_of(workflow_id)}:later:{int(found[1]) + 1 if found else 1}"
