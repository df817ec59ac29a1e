"""
Slack, as much of it as messages need: incoming webhooks and `chat.postMessage`, from its own pages.

Slack refuses with 200 and `ok: false` where a token calls, and with a word in plain text where a webhook does.
Sources: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, /reference/methods/chat.postMessage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from services.local.doubles.double import Asked, Double, bearer

HOOK = "/services/T0001/B0001/{secret}"
SECTION_MAX_CHARS = 3_000
BLOCKS_MAX = 50


class Anyone(dict[str, str]):
    """Slack lets everyone in and tells a stranger so in the body."""

    def get(self, key: object, default: Any = None, /) -> Any:
        return super().get(str(key), "stranger")


@dataclass
class Slack:
    """A workspace with one app: a bot's token, a webhook's secret, the channels that the bot was invited to."""

    token: str
    secret: str
    channels: frozenset[str]
    posted: list[dict[str, Any]] = field(default_factory=list)  # what people see, oldest first
    double: Double = field(init=False)

    def __post_init__(self) -> None:
        self.double = Double(Anyone({bearer(self.token): "bot"}), too_many={"ok": False, "error": "ratelimited"})

    def app(self) -> ASGIApp:
        return self.double.build([("POST", HOOK, self._hook), ("POST", "/api/chat.postMessage", self._post)])

    def _hook(self, asked: Asked) -> Response:
        if asked.path("secret") != self.secret:
            return PlainTextResponse("invalid_token", 403)
        if not isinstance(asked.body, dict) or not (asked.body.get("text") or asked.body.get("blocks")):
            return PlainTextResponse("no_text", 400)
        if (why := problem_with(asked.body)) is not None:
            return PlainTextResponse(why, 400)
        self.posted.append({"channel": "webhook", **asked.body})
        return PlainTextResponse("ok")

    def _post(self, asked: Asked) -> Mapping[str, Any]:
        body = asked.body
        if asked.user != "bot":
            known = asked.request.headers.get("authorization")
            return {"ok": False, "error": "invalid_auth" if known else "not_authed"}
        if body.get("channel") not in self.channels:
            return {"ok": False, "error": "channel_not_found"}
        if not (body.get("text") or body.get("blocks")):
            return {"ok": False, "error": "no_text"}
        if (why := problem_with(body)) is not None:
            return {"ok": False, "error": why}
        self.posted.append(body)
        stamp = f"{1_700_000_000 + len(self.posted)}.000100"
        return {"ok": True, "channel": body["channel"], "ts": stamp}


def problem_with(body: Mapping[str, Any]) -> str | None:
    """Why Slack would not show it."""
    blocks = body.get("blocks") or []
    if len(blocks) > BLOCKS_MAX:
        return "invalid_blocks"
    for block in blocks:
        text = block.get("text", {}).get("text") if isinstance(block, dict) else None
        if block.get("type") != "section" or not text or len(text) > SECTION_MAX_CHARS:
            return "invalid_blocks"
    return None
