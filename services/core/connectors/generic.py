"""
Any ticketing system that can sign a webhook: Standard Webhooks in, and, where configured, a signed callback out.

It cannot be asked for a ticket, so what its calls carry is all we know, and it is the receiver that keeps the keys.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from services.core.connectors import outbound, standard_webhooks, ticket_events
from services.core.connectors.door import Call
from services.core.connectors.hearing import OWN_ACTOR, Told
from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, WebhookSecret
from services.core.connectors.writing import Opened, WriteResult
from services.core.contracts.base import Contract
from services.core.contracts.ticket import NewTicket, TicketUpdate
from services.core.kit.database import Pool
from services.core.kit.errors import ConnectorRejected

NAME = "generic"
UPDATE_TYPE = "ticket.update_requested"
OPEN_TYPE = "ticket.open_requested"


def utc_now() -> datetime:
    return datetime.now(UTC)


class GenericSettings(ConnectorSettings):
    """`callback_url` makes it writable; the callback is signed by `callback_secret`, or by the first of `secrets`."""

    secrets: tuple[WebhookSecret, ...] = ()
    callback_url: HttpUrl | None = None
    callback_secret: WebhookSecret | None = None

    def build(self, http: httpx.AsyncClient, pool: Pool) -> "Generic":
        return Generic(self, http)


class Generic(Connector):
    """
    Writes are messages: their webhook-id is the letter's key, and a receiver that follows the standard drops the second
    of two. It alone can compare `seen` with its ticket, and may answer that a person was faster.
    """

    name = NAME
    system = "The receiver"
    door = standard_webhooks.DOOR
    own_actors = frozenset({OWN_ACTOR})

    def __init__(
        self, settings: GenericSettings, http: httpx.AsyncClient, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(settings)
        self.can = (
            Can.WRITE | Can.FIELDS | Can.NOTES | Can.ATOMIC | Can.GUARDED | Can.OPEN
            if settings.callback_url
            else Can(0)
        )
        self._secret = settings.callback_secret or next(iter(settings.secrets), None)
        self._url = settings.callback_url or ""
        self._http = http
        self._clock = clock

    def understand(self, event: Any, call: Call) -> Told:
        return ticket_events.understand(NAME, event)

    async def write(self, update: TicketUpdate) -> WriteResult:
        """It may answer `{"status", "stamp", "url", "why"}`; a 2xx with nothing useful in it counts as written."""
        if Can.WRITE not in self.can:
            return WriteResult("unwritable")
        return _result(await self._tell(UPDATE_TYPE, update.key, update))

    async def open(self, new: NewTicket) -> Opened:
        """It must answer `{"id": ...}`, the same for the same key."""
        if Can.OPEN not in self.can:
            return await super().open(new)  # which refuses
        said = await self._tell(OPEN_TYPE, new.key, new)
        if not said.get("id"):
            raise ConnectorRejected(f"The receiver took {OPEN_TYPE} but named no ticket. Answer with an id.")
        return Opened(str(said["id"]), _text(said, "url"), was_known=said.get("status") == "already")

    async def _tell(self, event_type: str, key: str, what: Contract) -> Mapping[str, Any]:
        now = self._clock()
        data = what.model_dump(mode="json", exclude_none=True)
        body = json.dumps({"type": event_type, "timestamp": now.isoformat(), "data": data}).encode()
        if self._secret is None:
            raise ConnectorRejected("The callback has no secret to sign with. Set generic.secrets.")
        # Keys are ours and plain; quoting keeps a ticket id with odd characters from breaking the header.
        delivery_id = quote(key, safe="/:_-.~")
        headers = standard_webhooks.DOOR.sign(self._secret, Call({}, body), delivery_id=delivery_id, now=now)
        timeout_s = self.settings.timeout_s
        request = self._http.build_request("POST", self._url, content=body, headers=headers, timeout=timeout_s)
        response = await outbound.send(self._http, request, system=NAME)
        try:
            said = response.json()
        except (ValueError, RecursionError):
            said = None
        return said if isinstance(said, dict) else {}


def _result(said: Mapping[str, Any]) -> WriteResult:
    status = said.get("status")
    return WriteResult(
        status="already" if status == "already" else "superseded" if status == "superseded" else "written",
        stamp=_text(said, "stamp"),
        url=_text(said, "url"),
        why=_text(said, "why") or "",
    )


def _text(said: Mapping[str, Any], key: str) -> str | None:
    value = said.get(key)
    return value if isinstance(value, str) else None
