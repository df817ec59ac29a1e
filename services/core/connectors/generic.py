"""
Any ticketing system that can sign a webhook: Standard Webhooks in, and, where configured, a signed callback out.

It cannot be asked for a ticket, so what its calls carry is all we know.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from services.core.connectors import outbound, standard_webhooks, ticket_events
from services.core.connectors.port import WriteResult
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.delivery import Delivery
from services.core.contracts.ticket import Ticket, TicketUpdate

NAME = "generic"
UPDATE_TYPE = "ticket.update_requested"


def utc_now() -> datetime:
    return datetime.now(UTC)


def sign(secret: SecretStr, body: bytes, *, delivery_id: str, now: datetime) -> dict[str, str]:
    """The sender's side: headers for `body`. Sending again keeps `delivery_id`."""
    return standard_webhooks.sign(secret, delivery_id, body, now=now) | {"content-type": "application/json"}


class Generic:
    """The `Connector` for Standard Webhooks."""

    name = NAME

    def __init__(
        self, settings: ConnectorSettings, http: httpx.AsyncClient, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        secrets, tolerance_s = self._settings.generic_secrets, self._settings.tolerance_s
        standard_webhooks.verify(headers, body, secrets=secrets, now=now, tolerance_s=tolerance_s)

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        return ticket_events.parse(NAME, headers, body)

    async def fetch(self, external_id: str) -> Ticket | None:
        return None

    async def write(self, update: TicketUpdate) -> WriteResult:
        """
        Post the update to the callback. Its webhook-id is the update's key: a receiver that follows the standard
        drops the second of two, which is what makes this once. It may answer `{"status", "stamp", "url"}`.
        """
        settings = self._settings
        if settings.generic_callback_url is None:
            return WriteResult("unwritable")
        response = await outbound.send(self._http, self._request(update), system=NAME)
        return _result(response)

    def _request(self, update: TicketUpdate) -> httpx.Request:
        now = self._clock()
        body = _callback_body(update, now=now)
        secret = self._settings.generic_callback_secret or self._settings.generic_secrets[0]
        # Keys are ours and plain; quoting keeps a ticket id with odd characters from breaking the header.
        headers = sign(secret, body, delivery_id=quote(update.key, safe="/:_-.~"), now=now)
        url = self._settings.generic_callback_url or ""
        return self._http.build_request("POST", url, content=body, headers=headers, timeout=self._settings.timeout_s)


def _callback_body(update: TicketUpdate, *, now: datetime) -> bytes:
    data = update.model_dump(mode="json", exclude_none=True)
    return json.dumps({"type": UPDATE_TYPE, "timestamp": now.isoformat(), "data": data}).encode()


def _result(response: httpx.Response) -> WriteResult:
    """What the receiver said about it; a 2xx with nothing useful in it counts as written."""
    try:
        said = response.json()
    except (ValueError, RecursionError):
        said = None
    said = said if isinstance(said, dict) else {}
    stamp, url = said.get("stamp"), said.get("url")
    return WriteResult(
        status="already" if said.get("status") == "already" else "written",
        stamp=stamp if isinstance(stamp, str) else None,
        url=url if isinstance(url, str) else None,
    )
