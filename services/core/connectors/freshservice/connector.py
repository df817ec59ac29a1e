"""
The `Connector` for Freshservice tickets, through API 2.

Fields and private note are two calls; the note's last line is the mark. Tags are replaced as a whole, so ours join
those that were just read. The list is in no order that it promises: it is read whole and sorted here.
"""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from services.core.connectors import lenient, outbound, polling
from services.core.connectors.door import Call, Shared
from services.core.connectors.fields import CommentFields, TicketFields
from services.core.connectors.freshservice.settings import FreshserviceSettings
from services.core.connectors.hearing import Told, worded
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.writing import Change, Priorities, Standing, mark_of
from services.core.contracts.ticket import Comment, NewTicket, Priority, Status, Ticket
from services.core.kit.errors import ConnectorRejected

NAME = "freshservice"
PAGE = 100
TICKET = TicketFields(
    NAME, id="id", subject="subject", body="description_text", created="created_at", updated="updated_at",
    assignee="responder_id", tags="tags", requester_id="requester_id", requester_name="requester/name",
    requester_email="requester/email",
)  # fmt: skip
COMMENT = CommentFields(body="body_text", author="user_id", created="created_at")
STATUSES = {2: Status.OPEN, 3: Status.PENDING, 4: Status.SOLVED, 5: Status.CLOSED}
PRIORITIES = Priorities({Priority.LOW: 1, Priority.NORMAL: 2, Priority.HIGH: 3, Priority.URGENT: 4})


class Freshservice(Connector):
    """Without a base URL it only listens."""

    name = NAME
    system = "Freshservice"
    finds_after_s = 300  # its filter shows a ticket some minutes after it was made
    door = Shared(header="x-pointsman-token")
    priorities = PRIORITIES

    def __init__(self, settings: FreshserviceSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        self.can = Can.USUAL | Can.GROUPS | Can.TAGS | Can.OPEN | Can.POLL if settings.base_url else Can(0)
        self.own_actors = frozenset({settings.agent_id or "nobody"})
        self._opened_for, self._base_url = settings.opened_for, settings.base_url or ""
        auth = httpx.BasicAuth(settings.api_key.get_secret_value() if settings.api_key else "", "X")
        self._api = Api(self.system, f"{self._base_url}/api/v2", http, settings.timeout_s, auth=auth, reads_error=_said)

    def understand(self, event: Any, call: Call) -> Told:
        return worded(event, id="ticket_id", actor="agent_id")

    async def read(self, external_id: str) -> Ticket:
        ticket = self._ticket(await self._read(external_id), await self._group_names())
        comments = tuple(map(self._comment, await self._conversations(external_id)))
        return ticket.model_copy(update={"comments": comments})

    async def standing(self, external_id: str, key: str) -> Standing:
        raw = await self._read(external_id)
        ticket, said = self._ticket(raw, await self._group_names()), await self._conversations(external_id)
        is_marked = any(
            one.get("private") is True and mark_of(key) in lenient.text(one.get("body_text")) for one in said
        )
        is_locked = ticket.status is Status.DELETED
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, ticket.stamp, is_locked, raw=raw)

    async def groups(self) -> Mapping[str, str]:
        return {group["name"]: str(group["id"]) for group in await self._all("groups", "groups")}

    async def save(self, change: Change, standing: Standing) -> None:
        tags = [*dict.fromkeys([*lenient.tags(standing.raw.get("tags")), *change.tags])]
        fields = _fields(change.group_id, change.priority) | ({"tags": tags} if change.tags else {})
        await self._api.send("PUT", f"tickets/{segment(change.external_id)}", json=fields)

    async def note(self, change: Change) -> None:
        note = {"body": _html(change.marked_note), "private": True}
        await self._api.send("POST", f"tickets/{segment(change.external_id)}/notes", json=note)

    async def find(self, key: str) -> str | None:
        found = await self._api.object("GET", "tickets/filter", params={"query": f"\"tag:'{mark_of(key)}'\""})
        return next((str(ticket["id"]) for ticket in lenient.objects(found.get("tickets"))), None)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        if not (email := new.requester.email or self._opened_for):
            raise ConnectorRejected("Freshservice opens no ticket for nobody. Set opened_for, e.g. chat@example.com.")
        fields = _fields(group_id, new.priority or Priority.NORMAL) | {
            "subject": new.subject, "description": _html(new.body), "email": email, "status": 2, "source": 1,
            "tags": [*new.tags, mark_of(new.key)],
        }  # fmt: skip
        made = await self._api.object("POST", "tickets", json=fields)
        return lenient.external_id(lenient.child(made, "ticket").get("id"), where="ticket.id")

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        since = f"{after.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        rows, names = await self._all("tickets", "tickets", updated_since=since), await self._group_names()
        tickets = [self._ticket(row, names) for row in rows]
        return polling.in_order([Changed(TICKET.changed_at(one), one) for one in tickets], after, until=until)

    def ticket_url(self, external_id: str) -> str:
        return f"{self._base_url}/a/tickets/{segment(external_id)}"

    async def _read(self, external_id: str) -> dict[str, Any]:
        asked = {"include": "requester,tags"}
        found = await self._api.object("GET", f"tickets/{segment(external_id)}", params=asked)
        return lenient.storable(lenient.child(found, "ticket"), system=NAME)

    async def _conversations(self, external_id: str) -> list[dict[str, Any]]:
        return await self._all(f"tickets/{segment(external_id)}/conversations", "conversations")

    async def _all(self, path: str, rows: str, **asked: str) -> list[dict[str, Any]]:
        async def page(number: int, start: int) -> outbound.Page:
            answer = await self._api.send("GET", path, params=asked | {"per_page": str(PAGE), "page": str(number + 1)})
            shown = lenient.storable(lenient.objects(self._api.read(answer).get(rows)), system=NAME)
            return outbound.Page(shown, "link" in answer.headers)  # only a page that is not the last has one

        return await outbound.every(page)

    async def _group_names(self) -> Mapping[str, str]:
        return {number: name for name, number in (await self.groups()).items()}

    def _ticket(self, raw: Mapping[str, Any], groups: Mapping[str, str]) -> Ticket:
        group_id = lenient.optional_id(raw.get("group_id"))
        return TICKET.read(
            raw,
            status=Status.DELETED if raw.get("deleted") is True else STATUSES.get(raw.get("status") or 0),
            priority=PRIORITIES.read(raw.get("priority")),
            group=groups.get(group_id or "", group_id),
        )

    def _comment(self, raw: Mapping[str, Any]) -> Comment:
        return COMMENT.read(raw, public=raw.get("private") is not True, author_id=self.author(COMMENT.who(raw)))


def _fields(group_id: str | None, priority: Priority | None) -> dict[str, Any]:
    return lenient.given(group_id=int(group_id) if group_id else None, priority=PRIORITIES.word(priority))


def _html(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.split("\n"))


def _said(answer: Any) -> str:
    """The fields that were refused, and why; never what was in them."""
    errors = lenient.objects(answer.get("errors")) if isinstance(answer, dict) else []
    return lenient.text(lenient.child({"a": answer}, "a").get("description")) + "".join(
        f" {lenient.text(one.get('field'))}: {lenient.text(one.get('code'))}" for one in errors
    )
