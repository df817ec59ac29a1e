"""
A Pub/Sub topic, by its REST interface: `google.pubsub.v1.Publisher/Publish` in JSON.

Source: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish (2026-11); attributes as in the
CloudEvents binding, https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.core.bus.port import STRUCTURED, post
from services.core.bus.tokens import pubsub_token

WHO = "Pub/Sub"


@dataclass(frozen=True)
class PubSub:
    """`api` and `token` stand in for Google where there is none."""

    topic: str
    http: httpx.AsyncClient
    api: str = "https://pubsub.googleapis.com"
    token: Callable[[], str] = field(default=pubsub_token)

    async def publish(self, event: Mapping[str, Any]) -> None:
        message = {
            "data": b64encode(json.dumps(dict(event)).encode()).decode(),
            "attributes": {"content-type": STRUCTURED, "type": event["type"]},
        }
        headers = {"Authorization": f"Bearer {await asyncio.to_thread(self.token)}"}
        url = f"{self.api}/v1/{self.topic}:publish"
        await post(self.http, WHO, url, json={"messages": [message]}, headers=headers)
