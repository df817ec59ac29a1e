"""
Dialogflow CX: a standard webhook's request, and what it wants back. Configured there with an API key as a request
header; basic authentication is deprecated there, and understood.

A webhook has 5 seconds unless its `timeout` says up to 30. Source: google/cloud/dialogflow/cx/v3/webhook.proto and
response_message.proto in googleapis/googleapis, and the webhooks' reference that is made from them, read 2026-11-21.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.core.contracts.conversation import MESSAGE_MAX_CHARS, SessionState
from services.rag.channels.spoken import Spoken, Told

CHANNEL = "dialogflow"


class SessionInfo(BaseModel):
    model_config = ConfigDict(extra="ignore")

    session: str = Field(min_length=1, max_length=500, description="projects/P/locations/L/agents/A/sessions/S")


class WebhookRequest(BaseModel):
    """
    `detectIntentResponseId` is this turn's. What was typed comes as `text`, speech as `transcript`, keys as
    `dtmfDigits`; an event or a chosen intent says nothing.
    """

    model_config = ConfigDict(extra="ignore")

    detectIntentResponseId: str = Field(min_length=1, max_length=200)
    sessionInfo: SessionInfo
    text: str = Field(default="", max_length=MESSAGE_MAX_CHARS)
    transcript: str = Field(default="", max_length=MESSAGE_MAX_CHARS)
    dtmfDigits: str = Field(default="", max_length=MESSAGE_MAX_CHARS)


def spoken(request: WebhookRequest) -> Spoken:
    text = request.text or request.transcript or request.dtmfDigits
    return Spoken(CHANNEL, request.sessionInfo.session, request.detectIntentResponseId, text)


def nothing_said(request: WebhookRequest) -> dict[str, Any]:
    """To an event or a chosen intent: no response of ours, as is allowed."""
    return {"sessionInfo": {"session": request.sessionInfo.session}}


def response(request: WebhookRequest, told: Told) -> dict[str, Any]:
    """
    Each text a message of its own; what became of the conversation is a parameter that the flow can branch on, and a
    hand-over is marked as Dialogflow counts it.
    """
    messages: list[dict[str, Any]] = [{"text": {"text": [text]}} for text in told.texts]
    if told.state is SessionState.ESCALATED:
        messages.append({"liveAgentHandoff": {"metadata": {}}})
    info = {"session": request.sessionInfo.session, "parameters": {"pointsman_state": str(told.state)}}
    return {"fulfillmentResponse": {"messages": messages}, "sessionInfo": info}
