"""What the systems of the suite share that are doubles: faults are switched on over HTTP, and a person has a clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.services.core.connectors.between import FAULTS


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Doubled:
    """A double at `url`; `build` makes a connector to it. `person` is how somebody else signs in there."""

    url: str
    http: httpx.AsyncClient
    double: Any
    build: Callable[..., Any]
    clock: Clock
    person: Mapping[str, str]
    connector: Any = field(init=False)
    faults = tuple(FAULTS)

    def __post_init__(self) -> None:
        self.connector = self.another()

    def another(self, **given: Any) -> Any:
        return self.build(self.url, self.http, **given)

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        (await self.http.post(f"{self.url}/double/faults", json=FAULTS[fault] | {"skip": skip})).raise_for_status()

    async def is_struck(self) -> bool:
        return not (await self.http.get(f"{self.url}/double/faults")).json()["waiting"]

    async def call(self, method: str, path: str, **content: Any) -> Any:
        """As a person would, some seconds after what was before."""
        if method != "GET":
            self.clock.at += timedelta(seconds=0 if method == "POST" else 5)
        headers = {**self.person, **content.pop("headers", {})}
        answer = await self.http.request(method, f"{self.url}/{path}", headers=headers, **content)
        return answer.raise_for_status().json() if answer.content.strip() else None
