"""Callers who leave: nobody works on an answer that nobody reads."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from services.core.kit.errors import CallerLeft

Answer = TypeVar("Answer")

LOOK_S = 0.2


class Caller(Protocol):
    async def is_disconnected(self) -> bool: ...


async def while_there(caller: Caller, work: Coroutine[Any, Any, Answer]) -> Answer:
    """
    What the work gives; it is cancelled when the caller leaves.

    Raises:
        CallerLeft: nobody reads this.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=LOOK_S))[0]:
            if await caller.is_disconnected():
                raise CallerLeft("The caller has left.")
        return task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
