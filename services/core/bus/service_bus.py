"""
A topic or queue of Azure Service Bus, by its REST interface: a send is one call, and needs no AMQP library.

Source: https://learn.microsoft.com/rest/api/servicebus/send-message-to-queue (2026-11)
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.core.bus.port import STRUCTURED, post
from services.core.bus.tokens import service_bus_token

WHO = "Service Bus"


@dataclass(frozen=True)
class ServiceBus:
    """`url` is sb://NAMESPACE/ENTITY. `api` and `token` stand in for Azure where there is none."""

    url: str
    http: httpx.AsyncClient
    api: str = ""
    token: Callable[[], str] = field(default=service_bus_token)

    async def publish(self, event: Mapping[str, Any]) -> None:
        host, entity = self.url.removeprefix("sb://").split("/")
        # MessageId lets a namespace with duplicate detection drop a repetition; Label is what filters call subject.
        properties = json.dumps({"MessageId": event["id"], "Label": event["type"]})
        headers = {
            "Authorization": f"Bearer {await asyncio.to_thread(self.token)}",
            "Content-Type": STRUCTURED,
            "BrokerProperties": properties,
        }
        api = self.api or f"https://{host}"
        await post(self.http, WHO, f"{api}/{entity}/messages", content=json.dumps(dict(event)), headers=headers)
