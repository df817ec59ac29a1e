"""What may pass is tried again, what cannot is not; nobody's words reach the engine's tables."""

from collections import deque

import pytest

from services.core.kit.errors import DatabaseUnavailable, InputInvalid, PointsmanError, Unforeseen
from services.worker.patience import patiently


class Work:
    """Fails with each of `errors` in turn, then gives its count of calls."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = deque(errors)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.popleft()
        return self.calls


async def test_what_may_pass_is_tried_again() -> None:
    """The database came back at the third try; a defect that passes is as good."""
    assert await patiently("work", Work(DatabaseUnavailable("away"), ValueError("odd")), pauses_s=(0, 0)) == 3


@pytest.mark.parametrize(
    ("errors", "raised", "calls"),
    [
        ([InputInvalid("no text")], InputInvalid, 1),
        ([DatabaseUnavailable("away")] * 3, DatabaseUnavailable, 3),
        ([ValueError("Key (body)=(my password)")] * 3, Unforeseen, 3),
    ],
)
async def test_it_gives_up_in_our_own_words(errors: list[Exception], raised: type[PointsmanError], calls: int) -> None:
    """At once where a retry cannot help; a driver's message, which may quote a ticket, goes no further."""
    work = Work(*errors)
    with pytest.raises(raised) as found:
        await patiently("work", work, pauses_s=(0, 0))
    assert work.calls == calls
    assert "password" not in str(found.value)
