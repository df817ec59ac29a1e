"""
Bot Framework (Teams and others through Azure Bot Service): an activity comes in, signed by the Bot Connector. The
answer is an activity posted to the address that the signature vouches for, or comes back in place where asked for.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication (connector to bot:
issuer, audience, five minutes of leeway, endorsements, `serviceUrl`, 403) and
bot-framework-rest-connector-send-and-receive-messages (a reply goes to the activity it answers, with its locale), read
2026-11-21 in MicrosoftDocs/bot-docs. That the claim is spelled `serviceurl` is from the SDK's AuthenticationConstants.
Bots registered since August 2025 are of one tenant (bot-service-quickstart-registration): `token_url` names it.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.core.contracts.conversation import MESSAGE_MAX_CHARS
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, TokenRefused
from services.rag.channels.spoken import Spoken, Told

CHANNEL = "bot_framework"
ISSUER = "https://api.botframework.com"
LEEWAY_S = 300  # as documented
KEYS_AGE_S = 86_400.0  # keys may be kept for a day
KEYS_AGAIN_S = 60.0  # an unknown key asks for them anew, but not in floods
TIMEOUT_S = 10.0
SCOPE = "https://api.botframework.com/.default"


class BotSettings(BaseModel):
    """Off without `app_id`. The addresses are those of the public cloud."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_id: str = ""
    app_password: SecretStr = SecretStr("")
    keys_url: str = "https://login.botframework.com/v1/.well-known/keys"
    token_url: str = "https://login.microsoftonline.com/botframework.com/oauth2/v2.0/token"  # noqa: S105  # an address


class Named(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=500)
    name: str = ""


class Activity(BaseModel):
    """What is needed of an activity; other types than `message` are answered with nothing."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    type: str
    id: str = Field(default="", max_length=500)
    channelId: str = ""
    serviceUrl: str = Field(default="", max_length=2_000)
    conversation: Named
    sender: Named = Field(alias="from")
    recipient: Named
    text: str = Field(default="", max_length=MESSAGE_MAX_CHARS)
    deliveryMode: str = ""
    locale: str = Field(default="", max_length=100)


class BotDoor:
    """Verifies activities and posts answers. State: the connector's keys, and our token, until they are too old."""

    def __init__(self, settings: BotSettings, http: httpx.AsyncClient) -> None:
        self._settings, self._http = settings, http
        self._keys: Mapping[str, Mapping[str, Any]] = {}
        self._keys_at = float("-inf")
        self._token, self._token_until = "", float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, authorization: str | None, activity: Activity) -> None:
        """
        Raises:
            TokenRefused: not signed by the Bot Connector for us, this channel and this address.
            ConnectorUnavailable: its keys cannot be had.
        """
        import jwt

        scheme, _, token = (authorization or "").partition(" ")
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
            key = await self._key(key_id)
            claims = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm="RS256").key,
                algorithms=["RS256"],
                audience=self._settings.app_id,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": ["exp", "nbf", "iss", "aud"]},
            )
        except jwt.PyJWTError as exc:
            raise TokenRefused(f"Not a token of the Bot Connector for this bot ({type(exc).__name__}).") from exc
        vouched = {name.lower(): value for name, value in claims.items()}.get("serviceurl")
        is_ours = scheme.lower() == "bearer" and vouched == activity.serviceUrl
        if not is_ours or activity.channelId not in key.get("endorsements", [activity.channelId]):
            raise TokenRefused("The token vouches for another address or channel.")

    async def post(self, activity: Activity, told: Told) -> None:
        """Posts each text as a reply. Raises ConnectorUnavailable, ConnectorRejected."""
        parts = urlsplit(activity.serviceUrl)
        where = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        url = f"{where}/v3/conversations/{quote(activity.conversation.id, safe='')}/activities"
        url += f"/{quote(activity.id, safe='')}" if activity.id else ""  # some channels do not name messages
        for reply in replies(activity, told):
            answer = await self._call(
                "POST", url, json=reply, headers={"Authorization": f"Bearer {await self._ours()}"}
            )
            if answer.status_code >= 400:
                kind = ConnectorUnavailable if answer.status_code >= 500 else ConnectorRejected
                raise kind(f"The Bot Connector answered {answer.status_code} to a reply.")

    async def _key(self, key_id: str) -> Mapping[str, Any]:
        async with self._lock:
            age = time.monotonic() - self._keys_at
            if age > KEYS_AGE_S or (key_id not in self._keys and age > KEYS_AGAIN_S):
                found = (await self._call("GET", self._settings.keys_url)).json()
                self._keys = {one["kid"]: one for one in found["keys"] if "kid" in one}
                self._keys_at = time.monotonic()
        if key_id not in self._keys:
            raise TokenRefused("The token is signed with a key that the Bot Connector does not name.")
        return self._keys[key_id]

    async def _ours(self) -> str:
        async with self._lock:  # many answers at once ask for one token
            return await self._current_token()

    async def _current_token(self) -> str:
        if time.monotonic() >= self._token_until:
            form = {"grant_type": "client_credentials", "client_id": self._settings.app_id, "scope": SCOPE}
            form["client_secret"] = self._settings.app_password.get_secret_value()
            answer = await self._call("POST", self._settings.token_url, data=form)
            if answer.status_code >= 400:
                raise ConnectorRejected(f"No token for the bot ({answer.status_code}). Check app id and password.")
            self._token = answer.json()["access_token"]
            self._token_until = time.monotonic() + float(answer.json()["expires_in"]) - LEEWAY_S
        return self._token

    async def _call(self, method: str, url: str, **values: Any) -> httpx.Response:
        try:
            return await self._http.request(method, url, timeout=TIMEOUT_S, **values)
        except httpx.HTTPError as exc:
            raise ConnectorUnavailable(f"The Bot Connector does not answer ({type(exc).__name__}).") from exc


def spoken(activity: Activity) -> Spoken:
    return Spoken(
        CHANNEL, f"{activity.channelId}/{activity.conversation.id}/{activity.sender.id}", activity.id, activity.text
    )


def replies(activity: Activity, told: Told) -> list[dict[str, Any]]:
    """One activity for each text, from us to whom it came from; said to be no Markdown, which would hide links."""
    to = {"type": "message", "replyToId": activity.id, "conversation": {"id": activity.conversation.id}}
    to |= {"from": activity.recipient.model_dump(), "recipient": activity.sender.model_dump()}
    to |= {"locale": activity.locale} if activity.locale else {}
    return [to | {"text": text, "textFormat": "plain"} for text in told.texts]
