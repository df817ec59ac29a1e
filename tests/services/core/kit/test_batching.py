"""What waits together is asked together; one bad question does not take the others with it."""

import asyncio
from collections.abc import Sequence

import pytest

from services.core.kit.batching import Batcher
from services.core.kit.errors import DatabaseUnavailable, InputInvalid


class Asked:
    """Doubles numbers, and keeps what it was asked; `failures` says what a number makes of the whole call."""

    def __init__(self, failures: dict[int, Exception] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self._failures = failures or {}

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        await self.gate.wait()
        for number in numbers:
            if number in self._failures:
                raise self._failures[number]
        return [2 * number for number in numbers]


async def run(asked: Asked, count: int, batch_max: int = 8) -> list[int | BaseException]:
    """All numbers submitted while the first call is held back."""
    batcher = Batcher(asked, batch_max=batch_max)
    tasks = [asyncio.create_task(batcher.submit(number)) for number in range(count)]
    await asked.begun.wait()
    asked.gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_goes_together_and_everyone_gets_their_own_answer() -> None:
    """No call holds more than the limit, and none is split without need."""
    asked = Asked()
    assert await run(asked, 20) == [2 * number for number in range(20)]
    assert [len(batch) for batch in asked.batches] == [8, 8, 4]


async def test_an_idle_batcher_asks_at_once() -> None:
    """One question alone is a batch of one, also after an earlier one."""
    asked = Asked()
    asked.gate.set()
    batcher = Batcher(asked, batch_max=8)
    assert [await batcher.submit(3), await batcher.submit(4)] == [6, 8]
    assert asked.batches == [[3], [4]]


@pytest.mark.parametrize("error", [ValueError("not storable"), InputInvalid("not storable")])
async def test_a_bad_question_fails_alone(error: Exception) -> None:
    """The others of its batch are asked again, each by itself."""
    answers = await run(Asked({5: error}), 8)
    assert answers[5] is error
    assert [answer for number, answer in enumerate(answers) if number != 5] == [0, 2, 4, 6, 8, 12, 14]


async def test_what_a_later_try_may_mend_fails_for_all_at_once() -> None:
    """A database that is down is not asked again for each of those who wait."""
    asked = Asked({5: DatabaseUnavailable("down")})
    answers = await run(asked, 8)
    assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
    assert len(asked.batches) == 1


async def test_who_gave_up_is_not_asked_for() -> None:
    """A cancelled question that still waits is dropped, and the batcher goes on."""
    asked = Asked()
    batcher = Batcher(asked, batch_max=1)
    first, second = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await asked.begun.wait()
    second.cancel()
    asked.gate.set()
    assert await first == 2
    assert await batcher.submit(3) == 6
    assert asked.batches == [[1], [3]]
