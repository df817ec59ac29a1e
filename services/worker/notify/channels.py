"""How a message looks in each channel, and how it is posted there."""

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import httpx

from services.core.connectors import outbound, standard_webhooks
from services.core.connectors.door import Call
from services.core.kit.errors import ConfigurationInvalid, ConnectorRejected, ConnectorUnavailable, PointsmanError
from services.core.kit.outbox import Letter
from services.core.kit.smtp import send_mail
from services.worker.notify.announce import LANE
from services.worker.notify.notices import Line, Message
from services.worker.notify.settings import (
    ChannelSettings,
    Mail,
    NotifySettings,
    Severity,
    SlackBot,
    SlackWebhook,
    Teams,
    Webhook,
)

TIMEOUT_S = 15.0
TEXT_MAX_CHARS = 250  # of one line; ten of them fit into a block of Slack's (3,000) and a card of Teams' (28 KB)
MARKS = {Severity.INFO: "", Severity.WARNING: "⚠ ", Severity.CRITICAL: "🔴 "}
COLOURS = {Severity.INFO: "default", Severity.WARNING: "warning", Severity.CRITICAL: "attention"}
# What Slack answers 200 with, and what will be well by itself (docs.slack.dev, chat.postMessage).
SLACK_LATER = frozenset({"ratelimited", "rate_limited", "service_unavailable", "internal_error", "fatal_error"})


async def tell(settings: NotifySettings, http: httpx.AsyncClient, letter: Letter) -> str:
    """
    Posts one notice.

    Raises:
        ConnectorUnavailable: try again. ConnectorRejected, ConfigurationInvalid: it will never work as it is.
    """
    name = (letter.connector or "").removeprefix(LANE)
    channel = settings.channels.get(name)
    if channel is None:
        raise ConfigurationInvalid(f"The channel {name} was removed from POINTSMAN_NOTIFY__CHANNELS.")
    message = Message.model_validate(letter.payload)
    await POSTERS[type(channel)](channel, message, letter.key, settings.console_url or "", http)
    return "told"


async def _slack_webhook(channel: SlackWebhook, message: Message, key: str, base: str, http: httpx.AsyncClient) -> None:
    await _post(http, "Slack", channel.url.get_secret_value(), slack_content(message, base))


async def _slack_bot(channel: SlackBot, message: Message, key: str, base: str, http: httpx.AsyncClient) -> None:
    url = f"{channel.base_url}/chat.postMessage"
    content = {"channel": channel.channel, "unfurl_links": False, **slack_content(message, base)}
    headers = {"Authorization": f"Bearer {channel.token.get_secret_value()}"}
    answer = await _post(http, "Slack", url, content, headers)
    said = _json(answer)
    if said.get("ok") is not True:
        error = re.sub(r"[^a-z_]", "", str(said.get("error", "")))[:60]
        kind = ConnectorUnavailable if error in SLACK_LATER or not error else ConnectorRejected
        raise kind(f"Slack refused the message: {error or 'no reason given'}. Check token, scope and channel.")


async def _teams(channel: Teams, message: Message, key: str, base: str, http: httpx.AsyncClient) -> None:
    await _post(http, "Teams", channel.url.get_secret_value(), teams_content(message, base))


async def _webhook(channel: Webhook, message: Message, key: str, base: str, http: httpx.AsyncClient) -> None:
    """The id is the letter's key: a receiver that has seen it has had this message."""
    content = {"type": "pointsman.notice.v1", "data": message.model_dump(mode="json")}
    request = http.build_request("POST", channel.url.get_secret_value(), json=content, timeout=TIMEOUT_S)
    now = datetime.now(UTC)
    signed = standard_webhooks.DOOR.sign(channel.secret, Call({}, request.content), delivery_id=key, now=now)
    request.headers.update(signed)
    await _send(http, request, "The webhook")


async def _mail(channel: Mail, message: Message, key: str, base: str, http: httpx.AsyncClient) -> None:
    await send_mail(channel.smtp, mail(channel, message, key, base))


POSTERS: Mapping[type[ChannelSettings], Callable[..., Awaitable[None]]] = {
    SlackWebhook: _slack_webhook,
    SlackBot: _slack_bot,
    Teams: _teams,
    Mail: _mail,
    Webhook: _webhook,
}


def slack_content(message: Message, base: str) -> dict[str, Any]:
    """`text` is what a notification shows; the block is the message. Nothing in it can address or link anybody."""
    lines = [f"• {_slack_link(line, base)}" for line in message.lines]
    lines += [f"_and {message.more:,} more_"] if message.more else []
    head = f"*{_slack_text(MARKS[message.severity] + message.title)}*"
    text = "\n".join([head, *lines])
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": _slack_text(MARKS[message.severity] + message.title), "blocks": [block]}


def teams_content(message: Message, base: str) -> dict[str, Any]:
    """An Adaptive Card as a Workflows flow takes it."""
    title = {"type": "TextBlock", "text": _card_text(message.title), "weight": "Bolder", "wrap": True}
    body: list[dict[str, Any]] = [title | {"color": COLOURS[message.severity]}]
    body += [{"type": "TextBlock", "text": _card_link(line, base), "wrap": True} for line in message.lines]
    if message.more:
        body.append({"type": "TextBlock", "text": f"and {message.more:,} more", "isSubtle": True})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def mail(channel: Mail, message: Message, key: str, base: str) -> EmailMessage:
    """The Message-ID follows from the key: sent twice it is one mail to whoever looks."""
    found = EmailMessage()
    found["From"], found["To"] = channel.smtp.sender, ", ".join(channel.to)
    found["Subject"] = f"[Pointsman] {_one_line(message.title)}"
    found["Message-ID"] = f"<{re.sub('[^A-Za-z0-9]', '.', key)}@{channel.smtp.sender.rpartition('@')[2]}>"
    found["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers it
    lines = [f"- {line.what}" + (f"\n  {base}{line.path}" if base and line.path else "") for line in message.lines]
    lines += [f"and {message.more:,} more"] if message.more else []
    found.set_content("\n".join([message.title, "", *lines]) + "\n")
    return found


async def _post(
    http: httpx.AsyncClient, system: str, url: str, content: Any, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    return await _send(http, http.build_request("POST", url, json=content, headers=headers, timeout=TIMEOUT_S), system)


async def _send(http: httpx.AsyncClient, request: httpx.Request, system: str) -> httpx.Response:
    try:
        return await outbound.send(http, request, system=system, reads_error=_nothing)
    except PointsmanError as exc:  # the path of such an address is a secret
        raise type(exc)(exc.message.replace(request.url.path, "/..."), retry_after_s=exc.retry_after_s) from None


def _nothing(answer: Any) -> str:
    return ""


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as exc:
        raise ConnectorUnavailable("Slack answered something that is not JSON.") from exc
    return found if isinstance(found, dict) else {}


def _slack_text(text: str) -> str:
    return html.escape(_one_line(text), quote=False)


def _slack_link(line: Line, base: str) -> str:
    text = _slack_text(line.what)
    return f"<{base}{line.path}|{text.replace('|', '/')}>" if base and line.path else text


def _card_text(text: str) -> str:
    """Cards read a part of Markdown: nothing of ours may become a link or a heading."""
    return re.sub(r"([\\\[\]()*_#`<>])", r"\\\1", _one_line(text))


def _card_link(line: Line, base: str) -> str:
    text = "- " + _card_text(line.what)
    return f"{text} [open]({base}{line.path})" if base and line.path else text


def _one_line(text: str) -> str:
    return " ".join(text.split())[:TEXT_MAX_CHARS]
