"""
Dialogflow CX: a webhook's request, and what it wants back. Configured there with an API key as a header, or as the
password of basic authentication.

Source: cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookRequest and /WebhookResponse,
as remembered: check it against these pages before a bot goes live.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.core.contracts.conversation import MESSAGE_MAX_CHARS
from services.rag.channels.spoken import Spoken, Told

CHANNEL = "dialogflow"


class SessionInfo(BaseModel):
    model_config = ConfigDict(extra="ignore")

    session: str = Field(min_length=1, max_length=500, description="projects/P/locations/L/agents/A/sessions/S")


class WebhookRequest(BaseModel):
    """`detectIntentResponseId` is this turn's. Speech comes as `transcript`, text as `text`."""

    model_config = ConfigDict(extra="ignore")

    detectIntentResponseId: str = Field(min_length=1, max_length=200)
    sessionInfo: SessionInfo
    text: str = Field(default="", max_length=MESSAGE_MAX_CHARS)
    transcript: str = Field(default="", max_length=MESSAGE_MAX_CHARS)


def spoken(request: WebhookRequest) -> Spoken:
    text = request.text or request.transcript
    return Spoken(CHANNEL, request.sessionInfo.session, request.detectIntentResponseId, text)


def response(request: WebhookRequest, told: Told) -> dict[str, Any]:
    """Each text a message of its own; what became of the conversation is a parameter that the flow can branch on."""
    messages = [{"text": {"text": [text]}} for text in told.texts]
    info = {"session": request.sessionInfo.session, "parameters": {"pointsman_state": str(told.state)}}
    return {"fulfillmentResponse": {"messages": messages}, "sessionInfo": info}
