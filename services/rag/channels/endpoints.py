"""HTTP for the channels: who calls is proved as each channel does it, before anything of the text is looked at."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from services.core.kit.errors import NotFound, TokenRefused
from services.core.kit.security import Role, key_in, require
from services.core.kit.sign_in import counting_failures, sign_in
from services.rag.channels import bot_framework, dialogflow, lex, spoken
from services.rag.channels.bot_framework import Activity, BotDoor
from services.rag.channels.dialogflow import WebhookRequest
from services.rag.channels.lex import LexEvent
from services.rag.channels.spoken import Spoken, Told
from services.rag.service import Outside

# The vendors say what these look like.
router = APIRouter(prefix="/channels", include_in_schema=False)


async def signed_in(request: Request) -> None:
    """By an API key in a header, or as the password of basic authentication."""
    require(await sign_in(request, _basic(request) or key_in(request.headers)), Role.AGENT)


@router.post("/lex", dependencies=[Depends(signed_in)])
async def from_lex(request: Request, event: LexEvent) -> dict[str, Any]:
    return lex.response(event, await _hear(request, lex.spoken(event)))


@router.post("/dialogflow", dependencies=[Depends(signed_in)])
async def from_dialogflow(request: Request, body: WebhookRequest) -> dict[str, Any]:
    said = dialogflow.spoken(body)
    return dialogflow.response(body, await _hear(request, said)) if said.text.strip() else dialogflow.nothing_said(body)


async def bot_door(request: Request) -> BotDoor:
    """Asked before the activity is looked at, which the door needs to verify the token."""
    door: BotDoor | None = request.app.state.bot_door
    if door is None:
        raise NotFound("The Bot Framework is not switched on. Set POINTSMAN_RAG_BOT__APP_ID.")
    if not request.headers.get("authorization"):
        raise TokenRefused("The Bot Connector signs its calls: a bearer token in the header Authorization.")
    return door


@router.post("/bot-framework")
async def from_bot_framework(
    request: Request, door: Annotated[BotDoor, Depends(bot_door)], activity: Activity
) -> dict[str, Any]:
    """An empty answer once the replies are posted."""
    with counting_failures(request):
        await door.verify(request.headers.get("authorization"), activity)
    if activity.type != "message" or not activity.text.strip():
        return {}
    told = await _hear(request, bot_framework.spoken(activity))
    if activity.deliveryMode == "expectReplies":
        return {"activities": bot_framework.replies(activity, told)}
    await door.post(activity, told)
    return {}


async def _hear(request: Request, said: Spoken) -> Told:
    state = request.app.state
    state.relaying.pass_or_refuse(said.channel)  # by address a vendor's data centre would be one person
    state.saying.pass_or_refuse(f"{said.channel}/{said.conversation}")
    outside: Outside = state.outside
    return await spoken.hear(outside, said)


def _basic(request: Request) -> str | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
