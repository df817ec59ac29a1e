"""What can be made to go wrong, one request at a time: `POST /double/faults {"kind": "status", "status": 503}`."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Fault(BaseModel):
    """
    `status`: answer with it and do nothing. `hang_after_effect`: do it, then never answer.
    `break_after_effect`: do it, then drop the connection in mid-answer. `other_saves_first`: somebody saves the
    ticket just before this request. `group_set_back`: a business rule undoes the group that was just set.
    `not_json`: a page from something in between, with 200.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal[
        "status", "hang_after_effect", "break_after_effect", "other_saves_first", "group_set_back", "not_json"
    ]
    status: int = Field(default=500, ge=400, le=599)
    retry_after: str | None = None
    count: int = Field(default=1, ge=1)
    method: str = Field(default="PUT", description="only requests with this method; * for all")


@dataclass
class Faults:
    """The faults that are waiting to happen, oldest first."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.waiting += [fault] * fault.count

    def take(self, method: str) -> Fault | None:
        """The next fault for this request, used up by taking it."""
        for position, fault in enumerate(self.waiting):
            if fault.method in ("*", method):
                return self.waiting.pop(position)
        return None


class Hanging(Response):
    """Says nothing until the client goes away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()


class Broken(Response):
    """Promises more bytes than it sends, so that the client sees the connection break."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"ticket":', "more_body": True})
