"""What is written in one turn of the loop leaves in one piece, in order, also where the connection closes at once."""

import asyncio

from services.core.kit.connections import JoinedWrites


class Recorded(asyncio.Transport):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []
        self.is_gone = False

    def is_closing(self) -> bool:
        return self.is_gone

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("closed")


async def test_head_and_body_leave_together() -> None:
    below = Recorded()
    joined = JoinedWrites(below, asyncio.get_running_loop())
    joined.write(b"head ")
    joined.write(b"body")
    assert below.told == []
    await asyncio.sleep(0)
    joined.write(b"next")
    await asyncio.sleep(0)
    assert below.told == [b"head body", b"next"]


async def test_what_was_written_leaves_before_the_connection_closes() -> None:
    below = Recorded()
    joined = JoinedWrites(below, asyncio.get_running_loop())
    joined.write(b"answer")
    joined.close()
    await asyncio.sleep(0)
    assert below.told == [b"answer", "closed"]


async def test_nothing_is_sent_to_who_has_left_in_the_same_turn() -> None:
    """Written later than it was said, an answer may find the connection gone: that is no error."""
    below = Recorded()
    joined = JoinedWrites(below, asyncio.get_running_loop())
    joined.write(b"answer")
    below.is_gone = True
    await asyncio.sleep(0)
    assert below.told == []
