"""
The `Connector` for Zendesk: reads whole tickets, writes once per key, and believes only what it reads back.

How a write takes effect once (design/adr/0031-zendesk-writes-once.md): the update leaves a tag made from its key in
the same PUT, guarded by `safe_update`. Whoever finds the tag has nothing left to do.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from services.core.connectors import lenient
from services.core.connectors.port import OWN_ACTOR, WriteResult
from services.core.connectors.settings import ConnectorSettings
from services.core.connectors.zendesk import inbound
from services.core.connectors.zendesk.api import ZendeskApi
from services.core.contracts.delivery import Delivery
from services.core.contracts.ticket import Comment, Requester, Ticket, TicketUpdate
from services.core.kit.errors import ConnectorRejected, NotFound, UpdateConflict

CONFLICT_ATTEMPTS = 4  # within one write; after that the caller's retry waits longer
SETTLE_ATTEMPTS = 3  # two seconds; a server whose two clocks differ by more is not waited for
GROUPS_MAX_AGE_S = 300  # a renamed group is known five minutes later; a new one at once (see _group_id)
NAMES_SHOWN_MAX = 20
_METADATA = ("group_id", "organization_id", "brand_id", "ticket_form_id", "type")


class Zendesk:
    """Without a base URL and credentials it only listens: `fetch` answers None and `write` 'unwritable'."""

    name = inbound.NAME

    def __init__(
        self,
        settings: ConnectorSettings,
        http: httpx.AsyncClient,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._api = ZendeskApi(settings, http) if settings.zendesk_base_url else None
        self._pause = pause
        self._groups: Mapping[str, int] = {}
        self._groups_read_at_s = float("-inf")

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        secrets, tolerance_s = self._settings.zendesk_secrets, self._settings.tolerance_s
        inbound.verify(headers, body, secrets=secrets, now=now, tolerance_s=tolerance_s)

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        own_user_id, own_email = self._settings.zendesk_user_id, self._settings.zendesk_email
        return inbound.parse(headers, body, own_user_id=own_user_id, own_email=own_email)

    async def fetch(self, external_id: str) -> Ticket | None:
        if self._api is None:
            return None
        answer, _ = await self._api.ticket(external_id)
        comments = await self._api.comments(external_id)
        return _ticket(external_id, answer, comments, own_user_id=self._settings.zendesk_user_id)

    async def write(self, update: TicketUpdate) -> WriteResult:
        if self._api is None:
            return WriteResult("unwritable")
        try:
            return await self._write(self._api, update)
        except NotFound as exc:
            raise ConnectorRejected(exc.message) from exc

    async def _write(self, api: ZendeskApi, update: TicketUpdate) -> WriteResult:
        group_id = await self._group_id(api, update.group) if update.group else None
        for _ in range(CONFLICT_ATTEMPTS):
            ticket = await self._settled(api, update.external_id)
            if marker_of(update.key) in lenient.tags(ticket.get("tags")):
                return WriteResult("already", stamp=ticket.get("updated_at"), url=api.ticket_url(update.external_id))
            _refuse_closed(ticket, update)
            change = _change(update, ticket, group_id=group_id)
            try:
                saved = await api.update(update.external_id, change)
            except UpdateConflict:
                continue  # someone was faster; read again and decide again
            return await self._read_back(api, update, change=change, saved=saved)
        raise UpdateConflict(f"Zendesk ticket {update.external_id} changed {CONFLICT_ATTEMPTS} times while we wrote.")

    async def _settled(self, api: ZendeskApi, external_id: str) -> dict[str, Any]:
        """
        The ticket, read in a later second than it was last changed in.

        `updated_at` counts whole seconds: a second change within the same one would pass for no change, and
        `safe_update` would not protect us.
        """
        ticket: dict[str, Any] = {}
        for _ in range(SETTLE_ATTEMPTS):
            answer, answered_at = await api.ticket(external_id)
            ticket = lenient.child(answer, "ticket")
            changed_at = lenient.time(ticket.get("updated_at"))
            if answered_at is None or changed_at is None or answered_at >= _next_second(changed_at):
                break
            await self._pause(1.0)
        return ticket

    async def _read_back(
        self, api: ZendeskApi, update: TicketUpdate, *, change: Mapping[str, Any], saved: Mapping[str, Any]
    ) -> WriteResult:
        answer, _ = await api.ticket(update.external_id)
        ticket = lenient.child(answer, "ticket")
        differences = _differences(change, ticket)
        if not differences:
            return WriteResult("written", stamp=ticket.get("updated_at"), url=api.ticket_url(update.external_id))
        found = f"Zendesk took the update of ticket {update.external_id}, but then {'; '.join(differences)}."
        if ticket.get("updated_at") != saved.get("updated_at"):
            raise UpdateConflict(f"{found} Someone changed it right after us.")
        raise ConnectorRejected(f"{found} Look for a trigger that sets it back, or a right our user does not have.")

    async def _group_id(self, api: ZendeskApi, name: str) -> int:
        """The group's id; an unknown name is looked up afresh once, since groups are made at any time."""
        if name not in self._groups or time.monotonic() - self._groups_read_at_s > GROUPS_MAX_AGE_S:
            self._groups = {group["name"]: group["id"] for group in await api.groups()}
            self._groups_read_at_s = time.monotonic()
        if name in self._groups:
            return self._groups[name]
        shown = sorted(self._groups)[:NAMES_SHOWN_MAX]
        raise ConnectorRejected(
            f"Group {name!r} does not exist in Zendesk. It has: {', '.join(shown)}"
            f"{' ...' if len(self._groups) > len(shown) else ''}. Create it there or correct the label catalogue."
        )


def marker_of(key: str) -> str:
    """The tag that says this update has taken effect. 48 bits: a ticket carries a handful of them."""
    return inbound.MARKER_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:12]


def _change(update: TicketUpdate, ticket: Mapping[str, Any], *, group_id: int | None) -> dict[str, Any]:
    """The PUT's ticket: all or nothing, and only if nobody saved in between."""
    # PUT replaces all tags. The stamp makes that safe: a tag added meanwhile is a conflict, not a loss.
    tags = [*lenient.tags(ticket.get("tags")), *map(_tag, update.tags), marker_of(update.key)]
    change: dict[str, Any] = {
        "safe_update": True,
        "updated_stamp": ticket.get("updated_at"),
        "tags": list(dict.fromkeys(tags)),
    }
    if group_id is not None:
        change["group_id"] = group_id
    if update.priority is not None:
        change["priority"] = update.priority.value
    if update.note:
        change["comment"] = {"body": update.note, "public": False}
    return change


def _tag(tag: str) -> str:
    """As Zendesk keeps tags: lower case, no blanks."""
    return "_".join(tag.lower().split())


def _differences(change: Mapping[str, Any], ticket: Mapping[str, Any]) -> list[str]:
    """What the ticket does not show of the change; ids may come back as string."""
    fields = [field for field in ("group_id", "priority") if field in change]
    wrong = [f"{f} is {ticket.get(f)!r}, not {change[f]!r}" for f in fields if str(ticket.get(f)) != str(change[f])]
    missing = sorted(set(change["tags"]) - set(lenient.tags(ticket.get("tags"))))
    return wrong + ([f"tags {missing} are missing"] if missing else [])


def _refuse_closed(ticket: Mapping[str, Any], update: TicketUpdate) -> None:
    if lenient.text(ticket.get("status")).lower() == "closed":
        raise ConnectorRejected(f"Zendesk ticket {update.external_id} is closed: it can never be changed again.")


def _next_second(at: datetime) -> datetime:
    return at.replace(microsecond=0) + timedelta(seconds=1)


def _ticket(
    external_id: str, answer: Mapping[str, Any], comments: list[dict[str, Any]], *, own_user_id: str | None
) -> Ticket:
    raw = lenient.storable(lenient.child(answer, "ticket"), system=inbound.NAME)
    stamp = lenient.text(raw.get("updated_at"))
    metadata = {key: raw[key] for key in _METADATA if raw.get(key) is not None}
    return Ticket(
        connector=inbound.NAME,
        external_id=external_id,
        subject=lenient.subject(raw.get("subject")),
        body=lenient.long_text(raw.get("description")),
        requester=_requester(_by_id(answer.get("users"), raw.get("requester_id"))),
        status=lenient.status(raw.get("status")),
        priority=lenient.priority(raw.get("priority")),
        group=lenient.text(_by_id(answer.get("groups"), raw.get("group_id")).get("name")) or None,
        assignee_id=lenient.optional_id(raw.get("assignee_id")),
        tags=lenient.tags(raw.get("tags")),
        comments=tuple(
            _comment(lenient.storable(c, system=inbound.NAME), own_user_id=own_user_id) for c in comments[1:]
        ),
        created_at=lenient.time(raw.get("created_at")),
        updated_at=lenient.time(stamp),
        stamp=stamp or None,
        metadata=metadata | {"channel": lenient.text(lenient.child(raw, "via").get("channel")) or None},
    )


def _by_id(items: Any, wanted: Any) -> dict[str, Any]:
    found = [item for item in items or [] if wanted is not None and str(item.get("id")) == str(wanted)]
    return found[0] if found else {}


def _requester(user: Mapping[str, Any]) -> Requester:
    name, email = lenient.text(user.get("name")) or None, lenient.text(user.get("email")) or None
    return Requester(id=lenient.optional_id(user.get("id")), name=name, email=email)


def _comment(raw: Mapping[str, Any], *, own_user_id: str | None) -> Comment:
    author_id = lenient.optional_id(raw.get("author_id"))
    return Comment(
        body=lenient.long_text(raw.get("plain_body") or raw.get("body")),
        public=raw.get("public") is not False,
        author_id=OWN_ACTOR if author_id is not None and author_id == own_user_id else author_id,
        at=lenient.time(raw.get("created_at")),
    )
