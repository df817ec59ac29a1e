"""
A Workflows flow of Microsoft Teams, "when a Teams webhook request is received": one Adaptive Card a message.

The signature in the address is the credential. Source: learn.microsoft.com, "Create incoming webhooks with Workflows";
adaptivecards.io/explorer for the card. A flow answers 202 before the card is posted, so a card that Teams cannot show
is only seen in the flow's history: `unshown`.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

from services.local.doubles.double import Asked, Double, Refusal

PATH = "/workflows/0001/triggers/manual/paths/invoke"
CARD = "application/vnd.microsoft.card.adaptive"
MESSAGE_MAX_BYTES = 28 * 1024
ELEMENTS = frozenset({"TextBlock", "FactSet", "ColumnSet", "Container"})


class Anyone(dict[str, str]):
    """No header signs in: the address does."""

    def get(self, key: object, default: Any = None, /) -> Any:
        return "flow"


@dataclass
class Teams:
    signature: str
    posted: list[dict[str, Any]] = field(default_factory=list)  # the cards that people see
    unshown: list[str] = field(default_factory=list)  # why a card was not shown
    double: Double = field(init=False)

    def __post_init__(self) -> None:
        self.double = Double(Anyone(), too_many={"error": {"code": "WorkflowRunActionThrottled"}})

    def app(self) -> ASGIApp:
        return self.double.build([("POST", PATH, self._run)])

    def _run(self, asked: Asked) -> Any:
        if asked.query("sig") != self.signature:
            raise Refusal(401, {"error": {"code": "DirectApiAuthorizationRequired"}})
        why = problem_with(asked.body)
        if why is None:
            self.posted.append(asked.body["attachments"][0]["content"])
        else:
            self.unshown.append(why)
        return 202, None


def problem_with(body: Any) -> str | None:
    """Why Teams would not show it."""
    attachments = body.get("attachments") if isinstance(body, dict) else None
    if not attachments or body.get("type") != "message":
        return "no message with attachments"
    if len(json.dumps(body).encode()) > MESSAGE_MAX_BYTES:
        return "larger than 28 KB"
    card = attachments[0].get("content") or {}
    if attachments[0].get("contentType") != CARD or card.get("type") != "AdaptiveCard" or "version" not in card:
        return "no Adaptive Card"
    unknown = [element for element in card.get("body", []) if element.get("type") not in ELEMENTS]
    return f"unknown element {unknown[0].get('type')}" if unknown else None if card.get("body") else "an empty card"
