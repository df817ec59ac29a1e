"""
Amazon Lex V2: the event of a fulfilment code hook, and what it wants back.

Lex calls a Lambda function only; that function passes the event on with an API key, and the answer back.
Source: docs.aws.amazon.com/lexv2/latest/dg/lambda-input-format.html, lambda-response-format.html and
lambda-common-structures.html, and for lengths and `originatingRequestId` the model of the runtime API
(botocore, lexv2-runtime 2020-08-07), read 2026-11-21.
"""

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.core.contracts.conversation import MESSAGE_MAX_CHARS, SessionState
from services.rag.channels.spoken import Spoken, Told

CHANNEL = "lex"
TEXT_MAX_CHARS = 1_024  # of one message
MESSAGES_MAX = 10


class LexState(BaseModel):
    model_config = ConfigDict(extra="allow")

    intent: dict[str, Any] = Field(default_factory=dict)
    sessionAttributes: dict[str, str] = Field(default_factory=dict)
    originatingRequestId: str = ""


class LexEvent(BaseModel):
    """`sessionId` is the person's; `originatingRequestId` this turn's."""

    model_config = ConfigDict(extra="ignore")

    sessionId: str = Field(min_length=2, max_length=100)
    inputTranscript: str = Field(min_length=1, max_length=MESSAGE_MAX_CHARS)
    sessionState: LexState = Field(default_factory=LexState)
    bot: dict[str, Any] = Field(default_factory=dict)


def spoken(event: LexEvent) -> Spoken:
    """Sessions of two bots are two conversations."""
    bot = f"{event.bot.get('id', '')}/{event.bot.get('aliasId', '')}"
    turn = event.sessionState.originatingRequestId
    key = turn or hashlib.sha256(repr(event.model_dump()).encode()).hexdigest()
    return Spoken(CHANNEL, f"{bot}/{event.sessionId}", key, event.inputTranscript)


def response(event: LexEvent, told: Told) -> dict[str, Any]:
    """Open conversations go on listening; others close the intent."""
    is_open = told.state is SessionState.OPEN
    intent = event.sessionState.intent | {"state": "InProgress" if is_open else "Fulfilled"}
    state: dict[str, Any] = {
        "dialogAction": {"type": "ElicitIntent" if is_open else "Close"},
        "sessionAttributes": event.sessionState.sessionAttributes | {"pointsman_state": str(told.state)},
    }
    if event.sessionState.intent:
        state["intent"] = intent
    parts = [text[at : at + TEXT_MAX_CHARS] for text in told.texts for at in range(0, len(text), TEXT_MAX_CHARS)]
    messages = [{"contentType": "PlainText", "content": part} for part in parts[-MESSAGES_MAX:]]
    return {"sessionState": state, "messages": messages}
