"""Does a ticket's work again when it failed for a reason that may pass. It must not know what the work is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from services.core.kit.errors import PointsmanError, Unforeseen

log = structlog.get_logger()

Result = TypeVar("Result")

# Nothing can be done without the database: keep trying for some seven minutes. What waits for its system is put off.
PAUSES_S = tuple(0.5 * 1.8**number for number in range(11))


async def patiently(
    name: str, work: Callable[[], Awaitable[Result]], *, pauses_s: Sequence[float] = PAUSES_S
) -> Result:
    """
    What `work` gives in the end; it runs once more after each pause, so it must be safe to repeat.

    Raises:
        PointsmanError: one that a retry cannot help at once, another after the last pause. What is none of ours
            becomes Unforeseen, because the engine keeps the message, and a driver's may quote a ticket.
    """
    for pause_s in pauses_s:
        try:
            return await work()
        except Exception as exc:  # whatever it is: a defect that goes on shows after the last pause
            if isinstance(exc, PointsmanError) and not exc.retryable:
                raise
            log.warning("worker.step.repeated", step=name, error=type(exc).__name__, pause_s=round(pause_s, 1))
        await asyncio.sleep(pause_s)
    try:
        return await work()
    except PointsmanError:
        raise
    except Exception as exc:
        raise Unforeseen(f"{name} failed {len(pauses_s) + 1} times, at last with {type(exc).__name__}.") from exc
