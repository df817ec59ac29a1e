"""The one thread that redacts: pure computing, so several would only wait for each other. It is shared fairly."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.core.llm.answers import hide_strangers
from services.core.text.redact import Redacted, Redactor
from services.core.text.slices import SLICE_CHARS, redact_in_slices

Found = TypeVar("Found")


class Redaction:
    """
    Redacts beside the event loop: it takes milliseconds during which other tickets' I/O would stand still.

    A long ticket is worked on in slices, one such ticket at a time: whoever comes meanwhile waits for one slice.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redact")
        self._long = asyncio.Lock()

    async def redact(self, fields: Mapping[str, str]) -> Redacted:
        if sum(map(len, fields.values())) <= SLICE_CHARS:
            return await self._compute(lambda: self._redactor.redact_fields(fields))
        async with self._long:
            work = redact_in_slices(self._redactor, fields)
            while (done := await self._compute(lambda: _advance(work))) is None:
                pass
            return done

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
