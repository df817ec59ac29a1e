"""A turn as server-sent events: what is being done, then the sentences that passed the gate, then the whole message."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from services.core.contracts.conversation import Message
from services.core.kit.errors import PointsmanError
from services.core.kit.stages import Stages
from services.rag import service
from services.rag.service import Outside

DOING = {"understand": "reading", "search": "searching", "judge": "checking", "write": "writing"}
DOING |= {"check": "checking", "route": "checking"}
RUNNING: set[asyncio.Task[Any]] = set()  # a turn goes on when its reader leaves; asyncio itself holds tasks weakly


async def stream(outside: Outside, session_id: UUID, message_id: UUID) -> AsyncGenerator[str]:
    """
    `doing` each time something else begins, a `claim` each, then the `message`; `error` in its place when it fails.

    Nothing of an answer is sent before all of it has passed the gate.
    """
    doing: asyncio.Queue[str | None] = asyncio.Queue()
    turn = asyncio.create_task(service.take_turn(outside, session_id, message_id, Stages(doing.put_nowait)))
    RUNNING.add(turn)
    turn.add_done_callback(RUNNING.discard)
    turn.add_done_callback(lambda _: doing.put_nowait(None))
    said = ""
    while (stage := await doing.get()) is not None:
        if (now := DOING[stage]) != said:
            yield _event("doing", {"doing": now})
            said = now
    try:
        answered = await turn
    except PointsmanError as exc:
        yield _event("error", {"error": type(exc).__name__, "message": exc.message})
        return
    for claim in answered.answer.claims if answered and answered.answer else ():
        yield _event("claim", claim.model_dump(mode="json"))
    yield _event("message", {"id": str(message_id), "answer": plain(answered)})


def plain(message: Message | None) -> dict[str, Any] | None:
    return None if message is None else message.model_dump(mode="json")


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
