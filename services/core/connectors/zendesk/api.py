"""
The few Zendesk REST calls we make, as dictionaries in Zendesk's own words. Decisions are made in `connector`.

Source: https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
"""

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from services.core.connectors import outbound
from services.core.connectors.settings import ConnectorSettings

SYSTEM = "Zendesk"
PAGE_SIZE = 100  # the most Zendesk gives at once
PAGES_MAX = 50  # a ticket holds at most 5,000 comments


class ZendeskApi:
    """One account, one user of ours. `http` belongs to the caller."""

    def __init__(self, settings: ConnectorSettings, http: httpx.AsyncClient) -> None:
        self._base_url = settings.zendesk_base_url or ""
        self._timeout_s = settings.timeout_s
        self._auth = _auth(settings)
        self._http = http

    async def ticket(self, external_id: str) -> tuple[dict[str, Any], datetime | None]:
        """`{"ticket", "users", "groups"}`, and when the server says it answered."""
        path = f"tickets/{quote(external_id, safe='')}.json"
        response = await self._send("GET", path, params={"include": "users,groups"})
        return outbound.read_json(response, system=SYSTEM), _answered_at(response)

    async def comments(self, external_id: str) -> list[dict[str, Any]]:
        """All comments, oldest first; the first one is the ticket's description."""
        return await self._pages(f"tickets/{quote(external_id, safe='')}/comments.json", "comments")

    async def groups(self) -> list[dict[str, Any]]:
        return [group for group in await self._pages("groups.json", "groups") if not group.get("deleted")]

    async def update(self, external_id: str, change: dict[str, Any]) -> dict[str, Any]:
        """
        The ticket as saved.

        Raises:
            UpdateConflict: `updated_stamp` in `change` is no longer the ticket's.
        """
        path = f"tickets/{quote(external_id, safe='')}.json"
        response = await self._send("PUT", path, json={"ticket": change})
        return outbound.read_json(response, system=SYSTEM).get("ticket") or {}

    def ticket_url(self, external_id: str) -> str:
        """Where an agent opens the ticket."""
        return f"{self._base_url}/agent/tickets/{quote(external_id, safe='')}"

    async def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        # By cursor, never by the `links.next` of the answer: an address in an answer is not followed.
        items: list[dict[str, Any]] = []
        params: dict[str, str | int] = {"page[size]": PAGE_SIZE}
        for _ in range(PAGES_MAX):
            page = outbound.read_json(await self._send("GET", path, params=params), system=SYSTEM)
            items += page.get(key) or []
            meta = page.get("meta") or {}
            if not meta.get("has_more"):
                break
            params["page[after]"] = meta["after_cursor"]
        return items

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        url = f"{self._base_url}/api/v2/{path}"
        request = self._http.build_request(method, url, timeout=self._timeout_s, headers=self._auth, **content)
        return await outbound.send(self._http, request, system=SYSTEM)


def _auth(settings: ConnectorSettings) -> dict[str, str]:
    """The Authorization header: OAuth token, else e-mail with API token."""
    if settings.zendesk_oauth_token:
        return {"Authorization": f"Bearer {settings.zendesk_oauth_token.get_secret_value()}"}
    if settings.zendesk_email and settings.zendesk_api_token:
        pair = f"{settings.zendesk_email}/token:{settings.zendesk_api_token.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _answered_at(response: httpx.Response) -> datetime | None:
    try:
        at = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
