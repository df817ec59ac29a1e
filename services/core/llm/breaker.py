"""A circuit breaker: after several failures in a row, stop asking for a while, then let one call try."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.core.kit.errors import LlmUnavailable

T = TypeVar("T")


class Breaker:
    """
    One per model and process. Only `LlmUnavailable` counts as a failure: a wrong answer comes from a model that works.

    Closed: calls pass. Open (`failures` in a row): calls are refused for `rest_s`. Then one call is let through: it
    closes the breaker or opens it again.
    """

    def __init__(self, *, failures: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = failures
        self._rest_s = rest_s
        self._clock = clock
        self._failed = 0
        self._open_until: float | None = None
        self._trying = False

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """
        The answer of `ask`.

        Raises:
            LlmUnavailable: from `ask`, or at once while the breaker is open, with the seconds left.
        """
        trial = self._admit()
        try:
            answer = await ask()
        except LlmUnavailable:
            self._note_failure()
            raise
        finally:
            if trial:
                self._trying = False
        self._failed, self._open_until = 0, None
        return answer

    def _admit(self) -> bool:
        """True when this call is the trial after a rest."""
        if self._open_until is None:
            return False
        left = self._open_until - self._clock()
        if left > 0 or self._trying:
            raise LlmUnavailable(
                f"The language model failed {self._failed} times in a row and is not asked for a while.",
                retry_after_s=max(left, 1.0),
            )
        self._trying = True
        return True

    def _note_failure(self) -> None:
        self._failed += 1
        if self._failed >= self._allowed:
            self._open_until = self._clock() + self._rest_s
