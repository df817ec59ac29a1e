"""Sends the account's events as Zendesk does: signed, at least once, one after the other."""

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

ATTEMPTS = 3  # Zendesk tries again after a time-out, 409, 429 and 5xx
TIMEOUT_S = 10


@dataclass
class Webhook:
    """
    Where events go. `copies` 2 sends every event twice, each a call of its own, as at-least-once delivery may.

    Written from Zendesk's page on signatures, apart from our own code, so that each can prove the other wrong.
    """

    url: str
    secret: str
    clock: Callable[[], datetime]
    copies: int = 1
    sent: list[dict[str, Any]] = field(default_factory=list)
    _queue: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)

    def put(self, event: dict[str, Any]) -> None:
        self._queue.put_nowait(event)

    async def wait_until_sent(self) -> None:
        await self._queue.join()

    async def run(self) -> None:
        """Sends until cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            while True:
                event = await self._queue.get()
                try:
                    for _ in range(self.copies):
                        await self._invoke(http, event)
                finally:
                    self._queue.task_done()

    async def _invoke(self, http: httpx.AsyncClient, event: dict[str, Any]) -> None:
        body, invocation_id = json.dumps(event).encode(), str(uuid.uuid4())
        for _ in range(ATTEMPTS):
            status = await self._attempt(http, body, invocation_id)
            self.sent.append({"type": event["type"], "id": event["id"], "subject": event["subject"], "status": status})
            if status is not None and status < 500 and status not in (409, 429):
                return

    async def _attempt(self, http: httpx.AsyncClient, body: bytes, invocation_id: str) -> int | None:
        timestamp = self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hmac.new(self.secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "X-Zendesk-Account-Id": "22129848",
            "X-Zendesk-Webhook-Id": "01DOUBLE",
            "X-Zendesk-Webhook-Invocation-Id": invocation_id,
            "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": timestamp,
        }
        try:
            return (await http.post(self.url, content=body, headers=headers)).status_code
        except httpx.TransportError:
            return None
