"""The one thread that redacts: pure computing, so several would only wait for each other. It is shared fairly."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.core.kit.batching import Batcher
from services.core.llm.answers import hide_strangers
from services.core.text.redact import Redacted, Redactor
from services.core.text.slices import SLICE_CHARS, redact_in_slices

Found = TypeVar("Found")
Fields = Mapping[str, str]

SHORT_CHARS = 2_000  # a usual ticket; longer ones gain nothing from company, and would keep it waiting
AT_ONCE = 8


class Redaction:
    """
    Redacts beside the event loop: it takes milliseconds during which other tickets' I/O would stand still.

    A long ticket is worked on in slices, one such ticket at a time: whoever comes meanwhile waits for one slice. Short
    ones that wait are read by the name model in one call.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redact")
        self._long = asyncio.Lock()
        self._short = Batcher(self._redact_many, batch_max=AT_ONCE)

    async def redact(self, fields: Fields) -> Redacted:
        chars = sum(map(len, fields.values()))
        if chars <= SHORT_CHARS:
            return await self._short.submit(fields)
        if chars <= SLICE_CHARS:
            return await self._compute(lambda: self._redactor.redact_fields(fields))
        async with self._long:
            work = redact_in_slices(self._redactor, fields)
            while (done := await self._compute(lambda: _advance(work))) is None:
                pass
            return done

    async def _redact_many(self, tickets: Sequence[Fields]) -> Sequence[Redacted]:
        return await self._compute(lambda: self._redactor.redact_many(tickets))

    async def hide_in_answer(self, texts: tuple[str, ...], source: str) -> tuple[str, ...]:
        """What a model said, without personal data that the redacted `source` does not hold."""
        return await self._compute(lambda: tuple(hide_strangers(text, source, self._redactor.find) for text in texts))

    async def _compute(self, work: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _advance(work: Generator[None, None, Redacted]) -> Redacted | None:
    """One slice further; the result after the last one."""
    try:
        next(work)
    except StopIteration as end:
        return end.value
    return None
