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

from services.core.connectors import lenient
from services.core.connectors.outbound import Api
from services.core.connectors.zendesk.settings import ZendeskSettings

SYSTEM = "Zendesk"
PAGE_SIZE = 100  # the most Zendesk gives at once
PAGES_MAX = 50  # a ticket holds at most 5,000 comments


class ZendeskApi:
    """One account, one user of ours. `http` belongs to the caller."""

    def __init__(self, settings: ZendeskSettings, http: httpx.AsyncClient) -> None:
        self._base_url = settings.base_url or ""
        self._api = Api(SYSTEM, f"{self._base_url}/api/v2", http, settings.timeout_s, headers=_auth(settings))

    async def ticket(self, external_id: str) -> dict[str, Any]:
        """`{"ticket", "users", "groups", "answered_at"}`; the last is when the server says it answered."""
        response = await self._api.send("GET", _path(external_id), params={"include": "users,groups"})
        return self._api.read(response) | {"answered_at": _answered_at(response)}

    async def comments(self, external_id: str) -> list[dict[str, Any]]:
        """All comments, oldest first; the first one is the ticket's description."""
        return await self._pages(f"tickets/{quote(external_id, safe='')}/comments.json", "comments")

    async def groups(self) -> dict[str, str]:
        found = await self._pages("groups.json", "groups")
        return {group["name"]: str(group["id"]) for group in found if not group.get("deleted")}

    async def export(self, *, cursor: str | None, start: datetime, size: int) -> dict[str, Any]:
        """A page of the tickets that changed, after `cursor` or since `start`: tickets, after_cursor, end_of_stream."""
        place: dict[str, str | int] = {"cursor": cursor} if cursor else {"start_time": int(start.timestamp())}
        return await self._api.object("GET", "incremental/tickets/cursor.json", params=place | {"per_page": size})

    async def update(self, external_id: str, change: dict[str, Any]) -> dict[str, Any]:
        """
        The ticket as saved.

        Raises:
            UpdateConflict: `updated_stamp` in `change` is no longer the ticket's.
        """
        return lenient.child(await self._api.object("PUT", _path(external_id), json={"ticket": change}), "ticket")

    async def create(self, ticket: dict[str, Any], *, key: str) -> str:
        """The new ticket's id; Zendesk answers the same key with the same ticket."""
        headers = {"Idempotency-Key": key}
        made = await self._api.object("POST", "tickets.json", json={"ticket": ticket}, headers=headers)
        return lenient.external_id(lenient.child(made, "ticket").get("id"), where="ticket.id")

    async def find(self, tag: str) -> str | None:
        """The ticket with this tag, as soon as the search knows it: some minutes at most."""
        found = await self._api.object("GET", "search.json", params={"query": f"type:ticket tags:{tag}"})
        return next((lenient.optional_id(ticket.get("id")) for ticket in lenient.objects(found.get("results"))), None)

    def ticket_url(self, external_id: str) -> str:
        """Where an agent opens the ticket."""
        return f"{self._base_url}/agent/tickets/{quote(external_id, safe='')}"

    async def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        # By cursor, never by the `links.next` of the answer: an address in an answer is not followed.
        items: list[dict[str, Any]] = []
        params: dict[str, str | int] = {"page[size]": PAGE_SIZE}
        for _ in range(PAGES_MAX):
            page = await self._api.object("GET", path, params=params)
            items += page.get(key) or []
            meta = page.get("meta") or {}
            if not meta.get("has_more"):
                break
            params["page[after]"] = meta["after_cursor"]
        return items


def _path(external_id: str) -> str:
    return f"tickets/{quote(external_id, safe='')}.json"


def _auth(settings: ZendeskSettings) -> dict[str, str]:
    """The Authorization header: OAuth token, else e-mail with API token."""
    if settings.oauth_token:
        return {"Authorization": f"Bearer {settings.oauth_token.get_secret_value()}"}
    if settings.email and settings.api_token:
        pair = f"{settings.email}/token:{settings.api_token.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _answered_at(response: httpx.Response) -> datetime | None:
    try:
        at = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
