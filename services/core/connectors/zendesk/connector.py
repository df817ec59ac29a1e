"""
The `Connector` for Zendesk: reads whole tickets, writes once per key, and believes only what it reads back.

How a write takes effect once (design/adr/0031-zendesk-writes-once.md): the update leaves a tag made from its key in
the same PUT, guarded by `safe_update`. Whoever finds the tag has nothing left to do.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from services.core.connectors import lenient
from services.core.connectors.door import Call
from services.core.connectors.hearing import OWN_ACTOR, Told
from services.core.connectors.port import Can, Connector
from services.core.connectors.writing import Change, Standing, mark_of
from services.core.connectors.zendesk import inbound
from services.core.connectors.zendesk.api import SYSTEM, ZendeskApi
from services.core.connectors.zendesk.settings import ZendeskSettings
from services.core.contracts.ticket import Comment, NewTicket, Requester, Status, Ticket

_METADATA = ("group_id", "organization_id", "brand_id", "ticket_form_id", "type")


CAN = Can.USUAL | Can.ATOMIC | Can.GUARDED | Can.GROUPS | Can.TAGS | Can.OPEN


class Zendesk(Connector):
    """Without a base URL and credentials it only listens."""

    name = inbound.NAME
    system = SYSTEM
    door = inbound.DOOR

    def __init__(self, settings: ZendeskSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        self.can = CAN if settings.base_url else Can(0)
        self.own_actors = frozenset(own.lower() for own in (settings.user_id, settings.email) if own)
        self._own_user_id = settings.user_id
        self._api = ZendeskApi(settings, http)

    def understand(self, event: Any, call: Call) -> Told:
        return inbound.understand(event)

    async def read(self, external_id: str) -> Ticket:
        answer = await self._api.ticket(external_id)
        comments = await self._api.comments(external_id)
        return _ticket(external_id, answer, comments, own_user_id=self._own_user_id)

    async def standing(self, external_id: str, key: str) -> Standing:
        answer = await self._api.ticket(external_id)
        ticket = lenient.child(answer, "ticket")
        status = lenient.status(ticket.get("status"))
        return Standing(
            group=_group(answer),
            priority=lenient.priority(ticket.get("priority")),
            status=status,
            is_marked=mark_of(key) in lenient.tags(ticket.get("tags")),
            stamp=lenient.text(ticket.get("updated_at")) or None,
            is_locked=status is Status.CLOSED,
            settles_in_s=_settles_in_s(ticket, answer["answered_at"]),
            raw=ticket,
        )

    async def groups(self) -> Mapping[str, str]:
        return await self._api.groups()

    async def save(self, change: Change, standing: Standing) -> str | None:
        saved = await self._api.update(change.external_id, _change(change, standing))
        return lenient.text(saved.get("updated_at")) or None

    async def find(self, key: str) -> str | None:
        return await self._api.find(mark_of(key))  # what it does not find yet, Zendesk's own key still covers

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        ticket = {
            "subject": new.subject,
            "comment": {"body": new.body},
            "priority": new.priority,
            "group_id": group_id,
            "tags": [*map(_tag, new.tags), mark_of(new.key)],
            "requester": {"name": new.requester.name or new.requester.email, "email": new.requester.email},
        }
        if not new.requester.email:
            del ticket["requester"]
        return await self._api.create({key: value for key, value in ticket.items() if value}, key=new.key)

    def ticket_url(self, external_id: str) -> str:
        return self._api.ticket_url(external_id)


def _change(change: Change, standing: Standing) -> dict[str, Any]:
    """The PUT's ticket: all or nothing, and only if nobody saved in between."""
    # PUT replaces all tags. The stamp makes that safe: a tag added meanwhile is a conflict, not a loss.
    tags = [*lenient.tags(standing.raw.get("tags")), *map(_tag, change.tags), change.mark]
    wanted: dict[str, Any] = {
        "safe_update": True,
        "updated_stamp": standing.stamp,
        "tags": list(dict.fromkeys(tags)),
    }
    if change.group_id is not None:
        wanted["group_id"] = int(change.group_id)
    if change.priority is not None:
        wanted["priority"] = change.priority.value
    if change.note:
        wanted["comment"] = {"body": change.note, "public": False}
    return wanted


def _tag(tag: str) -> str:
    """As Zendesk keeps tags: lower case, no blanks."""
    return "_".join(tag.lower().split())


def _settles_in_s(ticket: Mapping[str, Any], answered_at: datetime | None) -> float:
    """
    `updated_at` counts whole seconds: a second change within the same one would pass for no change, and `safe_update`
    would not protect us.
    """
    changed_at = lenient.time(ticket.get("updated_at"))
    if answered_at is None or changed_at is None:
        return 0
    return 0 if answered_at >= changed_at.replace(microsecond=0) + timedelta(seconds=1) else 1


def _group(answer: Mapping[str, Any]) -> str | None:
    ticket = lenient.child(answer, "ticket")
    return lenient.text(_by_id(answer.get("groups"), ticket.get("group_id")).get("name")) or None


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
        group=_group(answer),
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
