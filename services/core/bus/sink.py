"""Any HTTP endpoint that takes CloudEvents: the HTTP protocol binding in structured mode."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from services.core.bus.port import STRUCTURED, post


@dataclass(frozen=True)
class Sink:
    url: str
    http: httpx.AsyncClient

    async def publish(self, event: Mapping[str, Any]) -> None:
        await post(self.http, "The event sink", self.url, json=dict(event), headers={"Content-Type": STRUCTURED})
