"""Plays a ticketing system: builds each system's webhook body, signs it, posts it, and asks for the decisions."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.cli.target import Api
from services.core.connectors import lenient, standard_webhooks
from services.core.connectors.door import Call, Door
from services.core.connectors.registry import ConnectorsSettings
from services.core.connectors.zendesk import inbound as zendesk
from services.core.contracts.decision import Triaged
from services.core.history.rows import Row
from services.core.kit.errors import Unavailable
from services.core.kit.settings import read_settings
from services.local.home import Home, LocalSettings

IN_FLIGHT = 16
POLL_S = 0.25
ASK_FOR = 500  # ids in one question
PAUSES_S = (0.5, 1, 2, 4, 8, 15, 15, 15)  # a minute: a gateway that restarts takes seconds, its database a little more
TRIES = 5


class ConnectorName(StrEnum):
    GENERIC = "generic"
    ZENDESK = "zendesk"
    JSON = "json"


class SenderSettings(BaseSettings):
    """The connectors' secrets as the gateway has them; without them this machine's own are used."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", env_nested_delimiter="__", frozen=True, extra="ignore")

    connectors: ConnectorsSettings = ConnectorsSettings()


@dataclass(frozen=True)
class Sent:
    """A row that the gateway has taken in."""

    row: Row
    ticket_id: str

    def as_json(self) -> str:
        return json.dumps({"external_id": self.row.external_id, "ticket_id": self.ticket_id})


@dataclass
class Submitted:
    accepted: list[Sent] = field(default_factory=list)
    failed: list[tuple[Row, str]] = field(default_factory=list)


class Sender:
    """One run against one hook. The same run name sends the same ids: what was taken in before is not taken twice."""

    def __init__(self, api: Api, connector: ConnectorName, run: str) -> None:
        self.run = run
        self._api = api
        self._connector = connector
        self.url = f"{api.url}{'/webhook/ticket' if connector is ConnectorName.JSON else f'/hooks/{connector}'}"

    async def send(self, rows: list[Row], *, on_sent: Callable[[], object]) -> Submitted:
        """Posts every row; the result lists those refused, with the reason."""
        done = Submitted()
        gate = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(timeout=30) as http:

            async def one(row: Row) -> Sent | tuple[Row, str]:
                async with gate:
                    result = await self._post(http, row)
                on_sent()
                return result

            for result in await asyncio.gather(*(one(row) for row in rows)):
                if isinstance(result, Sent):
                    done.accepted.append(result)
                else:
                    done.failed.append(result)
        return done

    def decisions(self, sent: list[Sent], *, timeout_s: float, say: Callable[[str], object]) -> Iterator[Triaged]:
        """
        The decision of each ticket as soon as it is there; `say` hears of a gateway that is away meanwhile.

        Raises:
            Unavailable: none came for `timeout_s`, or no gateway answered for a minute; says how many are missing.
        """
        waiting = {entry.ticket_id: entry.row for entry in sent}
        deadline = time.monotonic() + timeout_s
        while waiting:
            found = self._ask(list(waiting)[:ASK_FOR], say)
            for ticket in found:
                yield _triaged(ticket, waiting.pop(ticket["id"]))
            if found:
                deadline = time.monotonic() + timeout_s
            elif time.monotonic() > deadline:
                raise Unavailable(
                    f"{len(waiting)} tickets are not decided yet. Is a worker running? See: pointsman status"
                )
            else:
                time.sleep(POLL_S)

    def _ask(self, ticket_ids: list[str], say: Callable[[str], object]) -> list[dict[str, Any]]:
        """Those that are decided; a gateway that is away for a moment is asked again."""
        for pause_s in PAUSES_S:
            try:
                return self._ask_once(ticket_ids)
            except Unavailable as exc:
                say(f"{exc.message} Asking again in {pause_s:g} s.")
                time.sleep(pause_s)
        return self._ask_once(ticket_ids)

    def _ask_once(self, ticket_ids: list[str]) -> list[dict[str, Any]]:
        listed = self._api.post("/api/tickets/lookup", json={"ids": ticket_ids})
        return [ticket for ticket in listed if ticket["decision"] or ticket["state"] in ("filtered", "erased")]

    async def _post(self, http: httpx.AsyncClient, row: Row) -> Sent | tuple[Row, str]:
        """A sender retries what may help (429, 503, no answer), as ticketing systems do."""
        why = ""
        for attempt in range(TRIES):
            body, headers = self._call(row)
            try:
                answer = await http.post(self.url, content=body, headers=headers)
            except httpx.HTTPError as exc:
                why = f"no answer ({type(exc).__name__})"
            else:
                if answer.is_success:
                    return Sent(row, answer.json()["ticket_id"])
                why = f"{answer.status_code}: {_message(answer)}"
                if answer.status_code not in (429, 503):
                    break
            await asyncio.sleep(0.3 * 2**attempt)
        return row, why

    def _call(self, row: Row) -> tuple[bytes, dict[str, str]]:
        external_id = f"{row.external_id}~{self.run}"
        build = {ConnectorName.GENERIC: _generic, ConnectorName.ZENDESK: _zendesk, ConnectorName.JSON: self._json}
        return build[self._connector](row, external_id)

    def _json(self, row: Row, external_id: str) -> tuple[bytes, dict[str, str]]:
        content = {
            "title": row.subject or row.body[:80],
            "description": row.body,
            "email": row.requester,
            "priority": lenient.priority(row.priority),
            "source": "submit",
        }
        headers = {**self._api.headers, "content-type": "application/json", "idempotency-key": external_id}
        return json.dumps(content).encode(), headers


def _generic(row: Row, external_id: str) -> tuple[bytes, dict[str, str]]:
    data = {"id": external_id, "subject": row.subject, "body": row.body, "email": row.requester}
    data |= {"priority": lenient.priority(row.priority)}
    now = datetime.now(UTC)
    body = json.dumps({"type": "ticket.created", "timestamp": now.isoformat(), "data": data}).encode()
    return body, _sign("generic", standard_webhooks.DOOR, body, delivery_id=f"submit_{external_id}", now=now)


def _zendesk(row: Row, external_id: str) -> tuple[bytes, dict[str, str]]:
    now = datetime.now(UTC)
    delivery_id = str(uuid.uuid5(uuid.NAMESPACE_URL, external_id))  # the same row and run: the same event
    detail = {
        "id": external_id,
        "subject": row.subject,
        "description": row.body,
        "status": "NEW",
        "priority": priority.name if (priority := lenient.priority(row.priority)) else None,  # in capitals, as theirs
        "created_at": now.isoformat(),
    }
    event = {
        "id": delivery_id,
        "type": "zen:event-type:ticket.created",
        "time": now.isoformat(),
        "detail": detail,
        "event": {},
    }
    body = json.dumps(event).encode()
    return body, _sign("zendesk", zendesk.DOOR, body, delivery_id=delivery_id, now=now)


def _sign(connector: str, door: Door, body: bytes, *, delivery_id: str, now: datetime) -> dict[str, str]:
    return door.sign(_secret(connector), Call({}, body), delivery_id=delivery_id, now=now)


def _secret(connector: str) -> SecretStr:
    configured = read_settings(SenderSettings).connectors.of(connector).secrets
    return configured[0] if configured else SecretStr(Home(read_settings(LocalSettings)).secrets[connector])


def _triaged(ticket: dict[str, Any], row: Row) -> Triaged:
    decision: dict[str, Any] = ticket["decision"] or {
        "group": None,
        "confidence": 0,
        "band": "HUMAN_REVIEW",
        "latency_ms": 0,
    }
    fields: dict[str, Any] = {
        name: decision.get(name)
        for name in ("group", "confidence", "band", "priority", "summary", "model_version", "latency_ms")
    }
    return Triaged(external_id=row.external_id, ticket_id=ticket["id"], top3=decision.get("top3", ()), **fields)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
