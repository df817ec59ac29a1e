"""A caller who leaves ends the work that was done for them."""

import asyncio

import pytest

from services.core.kit.errors import CallerLeft
from services.core.kit.leaving import while_there


class Caller:
    """Stays for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    async def is_disconnected(self) -> bool:
        self.looks -= 1
        return self.looks < 0


async def test_work_ends_with_its_caller() -> None:
    """It is cancelled, not left to run."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(CallerLeft):
        await while_there(Caller(1), work())
    assert ended == ["cancelled"]


async def test_whoever_stays_gets_the_answer_or_its_error() -> None:
    """As if it had been awaited."""

    async def work(fails: bool) -> str:
        await asyncio.sleep(0)
        if fails:
            raise ValueError("no")
        return "yes"

    assert await while_there(Caller(99), work(fails=False)) == "yes"
    with pytest.raises(ValueError, match="no"):
        await while_there(Caller(99), work(fails=True))
