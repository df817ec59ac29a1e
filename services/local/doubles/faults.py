"""What can be made to go wrong, one request at a time: `POST /double/faults {"kind": "status", "status": 503}`."""

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Fault(BaseModel):
    """
    `status`: answer with it and do nothing. `hang_after_effect`: do it, then never answer. `hang`: not even do it.
    `break_after_effect`: do it, then drop the connection in mid-answer. `other_saves_first`: somebody saves the
    ticket just before this request. `group_set_back`: a business rule undoes the group that was just set.
    `not_json`: a page from something in between, with 200.

    It meets the first request that fits `method` (`write` for all that change something, `*` for all) and `path`, a
    regular expression, after `skip` others that fit: so a fault can strike between the calls of one write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal[
        "status", "hang", "hang_after_effect", "break_after_effect", "other_saves_first", "group_set_back", "not_json"
    ]
    status: int = Field(default=500, ge=400, le=599)
    retry_after: str | None = None
    count: int = Field(default=1, ge=1)
    method: str = "write"
    path: str = ""
    skip: int = Field(default=0, ge=0)

    def fits(self, method: str, path: str) -> bool:
        is_method = self.method in ("*", method) or (self.method == "write" and method in WRITES)
        return is_method and re.search(self.path, path) is not None


@dataclass
class Faults:
    """The faults that are waiting to happen, oldest first."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.waiting += [fault] * fault.count

    def take(self, method: str, path: str = "") -> Fault | None:
        """The next fault for this request, used up by taking it; one that still skips lets this request pass."""
        for position, fault in enumerate(self.waiting):
            if fault.fits(method, path):
                if fault.skip:
                    self.waiting[position] = fault.model_copy(update={"skip": fault.skip - 1})
                    return None
                return self.waiting.pop(position)
        return None


def answered(fault: Fault | None, answer: Response) -> Response:
    """The answer to a request that was carried out, or what the fault makes of it."""
    kind = fault.kind if fault else None
    if kind == "hang_after_effect":
        return Hanging()
    if kind == "break_after_effect":
        return Broken()
    if kind == "not_json":
        return PlainTextResponse("<html>one moment please</html>")
    return answer


def refused(fault: Fault | None) -> Response | None:
    """The answer instead of carrying the request out; None where the fault lets it through."""
    if fault is not None and fault.kind == "status":
        headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
        return JSONResponse({"error": "A fault was switched on"}, fault.status, headers)
    return Hanging() if fault is not None and fault.kind == "hang" else None


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
