"""The ticket workflows: they only sequence steps. Whatever fails for good ends with a person, never nowhere."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from dbos import DBOS

from services.core.kit.errors import PointsmanError
from services.worker import solve, steps
from services.worker.later import first_of, read_or_put_off
from services.worker.steps import Outside

log = structlog.get_logger()

# Nothing can be done without the database: keep trying for some seven minutes. What waits for its system is put off.
STORE_RETRIES = {"retries_allowed": True, "max_attempts": 12, "interval_seconds": 0.5, "backoff_rate": 1.8}


def register(outside: Outside) -> None:
    """Registers every workflow under the name that the gateway enqueues."""

    @DBOS.workflow(name="new_ticket")
    async def new_ticket(ticket_id: str) -> str:
        row, first_id = int(ticket_id), _first_id()
        try:
            return await _read("triage", "new_ticket", steps.triage, outside, row, first_id)
        except Exception as exc:  # whatever it is, the ticket must end with a person
            log.error("worker.step.failed", step="triage", ticket_id=row, error=type(exc).__name__)
            why = "The ticket could not be read; a person decides."
            return await _run("record", STORE_RETRIES, steps.decide_and_record, outside, row, first_id, None, why)

    @DBOS.workflow(name="retold_ticket")
    async def retold_ticket(ticket_id: str) -> None:
        await _read("refresh", "retold_ticket", steps.refresh, outside, int(ticket_id))

    @DBOS.workflow(name="solved_ticket")
    async def solved_ticket(ticket_id: str) -> None:
        await _read("summarise", "solved_ticket", solve.summarise, outside, int(ticket_id), _first_id())

    @DBOS.workflow(name="assigned_ticket")
    async def assigned_ticket(ticket_id: str) -> None:
        await _read("relate", "assigned_ticket", solve.relate, outside, int(ticket_id), _first_id())

    @DBOS.workflow(name="erased_ticket")
    async def erased_ticket(ticket_id: str) -> None:
        await _run("erase", STORE_RETRIES, solve.erase, outside, int(ticket_id))


async def _run(name: str, retries: dict[str, Any], step: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    options = {"name": name, "should_retry": _is_worth_retrying, **retries}
    return await DBOS.run_step_async(options, step, *arguments)  # ty: ignore[no-matching-overload]


async def _read(
    name: str, workflow: str, step: Callable[..., Awaitable[Any]], outside: Outside, ticket_id: int, *arguments: Any
) -> Any:
    """A step that asks the ticket's system; where that does not answer, PUT_OFF: another turn follows."""
    reading = partial(step, outside, ticket_id, *arguments)
    return await _run(name, STORE_RETRIES, read_or_put_off, outside, ticket_id, workflow, _workflow_id(), reading)


def _is_worth_retrying(error: BaseException) -> bool:
    return error.retryable if isinstance(error, PointsmanError) else True


def _first_id() -> str:
    return first_of(_workflow_id())


def _workflow_id() -> str:
    found = DBOS.workflow_id
    assert found is not None
    return found
