"""
The ticket workflows: each is one piece of work that may run more than once. What fails for good ends with a person.

None has steps of the engine: each step costs eight statements to say that it need not run again, and nothing here
minds running again. A workflow that was killed runs again from its beginning.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from dbos import DBOS

from services.worker import solve, steps
from services.worker.later import first_of, read_or_put_off
from services.worker.patience import patiently
from services.worker.steps import Outside

log = structlog.get_logger()


def register(outside: Outside) -> None:
    """Registers every workflow under the name that the gateway enqueues."""

    @DBOS.workflow(name="new_ticket")
    async def new_ticket(ticket_id: str) -> str:
        row, first_id = int(ticket_id), _first_id()
        try:
            return await _read("new_ticket", steps.triage, outside, row, first_id)
        except Exception as exc:  # whatever it is, the ticket must end with a person
            log.error("worker.step.failed", step="triage", ticket_id=row, error=type(exc).__name__)
            why = "The ticket could not be read; a person decides."
            record = partial(steps.decide_and_record, outside, row, first_id, None, why)
            return await patiently("record", record)

    @DBOS.workflow(name="retold_ticket")
    async def retold_ticket(ticket_id: str) -> None:
        await _read("retold_ticket", steps.refresh, outside, int(ticket_id))

    @DBOS.workflow(name="solved_ticket")
    async def solved_ticket(ticket_id: str) -> None:
        await _read("solved_ticket", solve.summarise, outside, int(ticket_id), _first_id())

    @DBOS.workflow(name="assigned_ticket")
    async def assigned_ticket(ticket_id: str) -> None:
        await _read("assigned_ticket", solve.relate, outside, int(ticket_id), _first_id())

    @DBOS.workflow(name="erased_ticket")
    async def erased_ticket(ticket_id: str) -> None:
        await patiently("erased_ticket", partial(solve.erase, outside, int(ticket_id)))


async def _read(
    workflow: str, work: Callable[..., Awaitable[Any]], outside: Outside, ticket_id: int, *arguments: Any
) -> Any:
    """Work that asks the ticket's system; where that does not answer, PUT_OFF: another turn follows."""
    reading = partial(work, outside, ticket_id, *arguments)
    workflow_id = _workflow_id()
    return await patiently(workflow, lambda: read_or_put_off(outside, ticket_id, workflow, workflow_id, reading))


def _first_id() -> str:
    return first_of(_workflow_id())


def _workflow_id() -> str:
    found = DBOS.workflow_id
    assert found is not None
    return found
