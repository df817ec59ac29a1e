"""
What waits while one call runs goes together in the next: an idle service never waits, a busy one pays once for many.

A fixed window would add its length to every lone request. It must not know what is asked.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.core.kit.errors import PointsmanError

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """
    State: the queue and the one call that is running. Belongs to one event loop.

    `ask` answers several questions, in order. When it fails for a reason that another try would not mend, each question
    is asked alone, so that one bad one does not take the others with it.
    """

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, batch_max: int) -> None:
        self._ask = ask
        self._batch_max = batch_max
        self._queue: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, question: Q) -> A:
        """The answer to `question`; raises what `ask` raised for it."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append((question, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(self._batch_max, len(self._queue)))]
                await self._settle([(question, answer) for question, answer in batch if not answer.done()])
        finally:
            self._running = None

    async def _settle(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        if not batch:  # all of them gave up waiting
            return
        try:
            found = await self._ask([question for question, _ in batch])
        except Exception as exc:  # whatever it is, it must reach those who wait, not end the loop
            await self._refuse(batch, exc)
        else:
            for (_, answer), value in zip(batch, found, strict=True):
                if not answer.done():
                    answer.set_result(value)

    async def _refuse(self, batch: list[tuple[Q, asyncio.Future[A]]], error: Exception) -> None:
        if len(batch) == 1 or (isinstance(error, PointsmanError) and error.retryable):
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for entry in batch:
            await self._settle([entry])
