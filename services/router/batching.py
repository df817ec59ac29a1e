"""
In-process micro-batching: what waits while one batch runs becomes the next batch; an idle router never waits.

A fixed window would add its length to every lone ticket; KServe's own batcher is a sidecar for protocol v1.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.core.models.bundle import Inference

T = TypeVar("T")  # a text, or one with what belongs to it


class Overloaded(Exception):
    """The queue is full; the sender may try again."""


@dataclass(frozen=True)
class _Waiting(Generic[T]):
    texts: Sequence[T]
    answer: "asyncio.Future[Inference]"


class MicroBatcher(Generic[T]):
    """
    State: the queue and the one thread that runs the model.

    `infer` is looked up for each batch, so that a new model takes over between two batches.
    """

    def __init__(self, infer: Callable[[Sequence[T]], Inference], *, batch_max: int, queue_max: int) -> None:
        self._infer = infer
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._queue: deque[_Waiting[T]] = deque()
        self._queued_texts = 0
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="infer")

    @property
    def queued_texts(self) -> int:
        return self._queued_texts

    async def submit(self, texts: Sequence[T]) -> Inference:
        """
        The answers for `texts`, in order.

        Raises:
            Overloaded: the queue holds `queue_max` texts; one request larger than that still passes an empty queue.
        """
        if self._queue and self._queued_texts + len(texts) > self._queue_max:
            raise Overloaded(f"{self._queued_texts} texts are waiting; send again in a second, or add replicas.")
        waiting = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_texts += len(texts)
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return await waiting.answer

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = self._take()
            texts = [text for waiting in batch for text in waiting.texts]
            if not texts:
                continue
            try:
                found = await loop.run_in_executor(self._thread, self._infer, texts)
            except Exception as exc:  # a batch that fails must fail its senders, not the loop
                _refuse(batch, exc)
            else:
                _deliver(batch, found)
        self._running = None

    def _take(self) -> list[_Waiting[T]]:
        """Requests from the front of the queue, at least one, up to `batch_max` texts; cancelled ones are dropped."""
        batch: list[_Waiting[T]] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].texts) <= self._batch_max):
            waiting = self._queue.popleft()
            self._queued_texts -= len(waiting.texts)
            if not waiting.answer.done():
                batch.append(waiting)
                size += len(waiting.texts)
        return batch


def _deliver(batch: list[_Waiting[T]], found: Inference) -> None:
    start = 0
    for waiting in batch:
        end = start + len(waiting.texts)
        if not waiting.answer.done():
            waiting.answer.set_result(Inference(found.predictions[start:end], found.embeddings[start:end]))
        start = end


def _refuse(batch: list[_Waiting[T]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
