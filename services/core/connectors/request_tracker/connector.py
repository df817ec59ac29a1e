"""
The `Connector` for Request Tracker 5, through REST 2.

A queue is a group. Fields and note are two calls; the mark of a letter is the subject of its comment, so that looking
for it opens no attachment. RT answers 200 to a field it did not take, so only what is read back counts.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from services.core.connectors import lenient, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import changed_at
from services.core.connectors.hearing import OWN_ACTOR, Told
from services.core.connectors.html_text import text_of
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.request_tracker.settings import RequestTrackerSettings
from services.core.connectors.writing import Change, Priorities, Standing, mark_of
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Comment, NewTicket, Priority, Requester, Status, Ticket

NAME = "request_tracker"
SYSTEM = "Request Tracker"
PAGE = 100  # REST 2 gives no more
FIELDS = {
    "fields": "Queue,Subject,Status,Priority,Requestor,LastUpdated,LastUpdatedBy,Owner,Created",
    "fields[Queue]": "Name",
    "fields[Requestor]": "EmailAddress,RealName",
}
STATUSES = {"stalled": Status.PENDING, "resolved": Status.SOLVED, "rejected": Status.CLOSED}
# RT's own words are Low 0, Medium 50, High 100; 0 is also what nobody has set.
PRIORITIES = Priorities({Priority.LOW: 10, Priority.NORMAL: 50, Priority.HIGH: 75, Priority.URGENT: 100})
KINDS = {"Create": DeliveryKind.CREATED, "Comment": DeliveryKind.COMMENTED, "Correspond": DeliveryKind.COMMENTED}
MESSAGES = {"Create", "Comment", "Correspond"}
REFERENCE = "https://pointsman.invalid/"  # a link of ours leads nowhere; RT finds tickets by it


class RequestTracker(Connector):
    """Without a base URL it only listens."""

    name = NAME
    system = SYSTEM
    priorities = PRIORITIES
    door = Signed(
        signature_header="x-pointsman-signature", content="{timestamp}.{body}", timestamp_header="x-pointsman-timestamp"
    )

    def __init__(self, settings: RequestTrackerSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        self.can = Can.USUAL | Can.GROUPS | Can.OPEN | Can.POLL if settings.base_url else Can(0)
        self.own_actors = frozenset({settings.user.lower()} if settings.user else ())
        self._intake = settings.intake_queues
        self._api = _api(settings, http)

    def understand(self, event: Any, call: Call) -> Told:
        transaction, actor = lenient.optional_id(event.get("transaction_id")), lenient.optional_id(event.get("by"))
        kind, why = _kind(event)
        return Told(
            kind=kind,
            external_id=lenient.external_id(event.get("ticket_id"), where="ticket_id"),
            key=f"transaction:{transaction}" if transaction else None,
            actors=(actor,) if actor else (),
            occurred_at=lenient.time(event.get("at")),
            why_ignored=why,
        )

    async def read(self, external_id: str) -> Ticket:
        raw, stamp = await self._read(external_id)
        first, *comments = await self._messages(external_id) or [Comment(body="", public=True)]
        read = {"external_id": external_id, "body": first.body, "comments": tuple(comments), "stamp": stamp}
        return self._ticket(raw).model_copy(update=read)  # a merged ticket answers with the id of the other

    async def standing(self, external_id: str, key: str) -> Standing:
        raw, stamp = await self._read(external_id)
        ticket = self._ticket(raw)
        notes = await self._all(f"ticket/{segment(external_id)}/attachments", fields="Subject,Creator")
        is_marked = any(note.get("Subject") == mark_of(key) for note in notes)
        is_locked = ticket.status is Status.DELETED
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, stamp, is_locked)

    async def groups(self) -> Mapping[str, str]:
        queues = await self._all("queues/all", fields="Name,Disabled")
        return {queue["Name"]: str(queue["id"]) for queue in queues if str(queue.get("Disabled")) != "1"}

    async def save(self, change: Change, standing: Standing) -> None:
        fields = lenient.given(Queue=change.group, Priority=PRIORITIES.word(change.priority))
        guard = {"if-match": standing.stamp} if standing.stamp else {}
        if fields:
            await self._api.send("PUT", f"ticket/{segment(change.external_id)}", json=fields, headers=guard)

    async def note(self, change: Change) -> None:
        note = {"Subject": change.mark, "Content": change.note, "ContentType": "text/plain"}
        await self._api.send("POST", f"ticket/{segment(change.external_id)}/comment", json=note)

    async def find(self, key: str) -> str | None:
        query = f"RefersTo = '{REFERENCE}{mark_of(key)}'"
        found = await self._api.object("GET", "tickets", params={"query": query})
        return next((str(item["id"]) for item in found.get("items", ())), None)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        fields = {
            "Queue": new.group or self._intake[0],
            "Subject": new.subject,
            "Content": new.body,
            "ContentType": "text/plain",
            "Requestor": new.requester.email,
            "Priority": PRIORITIES.word(new.priority),
            "RefersTo": REFERENCE + mark_of(new.key),
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return str((await self._api.object("POST", "ticket", json=given))["id"])

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        since = f"{after.at:%Y-%m-%d %H:%M:%S}"
        query = {"query": f"LastUpdated >= '{since}'", "orderby": ["LastUpdated", "id"], "per_page": PAGE}

        async def page(start: int) -> list[Changed]:
            params = {**FIELDS, **query, "page": start // PAGE + 1}
            items = (await self._api.object("GET", "tickets", params=params)).get("items", [])
            return [self._changed(item) for item in items[start % PAGE :]]

        return await polling.by_time(page, after, until=until)

    def ticket_url(self, external_id: str) -> str:
        return f"{self._api.base_url.removesuffix('/REST/2.0')}/Ticket/Display.html?id={external_id}"

    async def _read(self, external_id: str) -> tuple[dict[str, Any], str | None]:
        """The ticket, and its stamp: RT numbers every change."""
        answer = await self._api.send("GET", f"ticket/{segment(external_id)}", params=FIELDS)
        return self._api.read(answer), answer.headers.get("etag")

    async def _messages(self, external_id: str) -> list[Comment]:
        """What people wrote, oldest first, the description before the rest. Files are not opened."""
        history = await self._all(f"ticket/{segment(external_id)}/history", fields="Type,Creator,Created")
        said = {str(row["id"]): row for row in history if row.get("Type") in MESSAGES}
        parts = await self._all(
            f"ticket/{segment(external_id)}/attachments", fields="ContentType,TransactionId,Filename"
        )
        readable = sorted(filter(_worth, reversed(parts)), key=_worth)  # the worthiest last, of those the first
        texts = {str(part["TransactionId"]): part for part in readable}
        return [await self._message(said[number], texts[number]) for number in said if number in texts]

    async def _message(self, said: Mapping[str, Any], part: Mapping[str, Any]) -> Comment:
        found = await self._api.object("GET", f"attachment/{part['id']}")
        author = lenient.text(lenient.child(said, "Creator").get("id"))
        body = base64.b64decode(found.get("Content") or "").decode("utf-8", "replace")
        return Comment(
            body=text_of(body) if part.get("ContentType") == "text/html" else body,
            public=said["Type"] != "Comment",
            author_id=OWN_ACTOR if author.lower() in self.own_actors else author or None,
            at=lenient.time(said.get("Created")),
        )

    async def _all(self, path: str, **params: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for page in range(1, 1_000):
            found = await self._api.object("GET", path, params=params | {"per_page": str(PAGE), "page": str(page)})
            rows += found.get("items", [])
            if len(rows) >= int(found.get("total") or 0) or not found.get("items"):
                break
        return rows

    def _changed(self, raw: Mapping[str, Any]) -> Changed:
        ticket = self._ticket(raw)
        return Changed(
            changed_at(ticket, "LastUpdated"),
            ticket,
            lenient.optional_id(lenient.child(raw, "LastUpdatedBy").get("id")),
        )

    def _ticket(self, raw: Mapping[str, Any]) -> Ticket:
        raw = lenient.storable(dict(raw), system=NAME)
        queue = lenient.text(lenient.child(raw, "Queue").get("Name"))
        owner = lenient.optional_id(lenient.child(raw, "Owner").get("id"))
        status = lenient.text(raw.get("Status"))
        return Ticket(
            connector=NAME,
            external_id=lenient.text(raw.get("id")),
            subject=lenient.subject(raw.get("Subject")),
            requester=_requester(raw.get("Requestor")),
            status=STATUSES.get(status) or lenient.status(status),
            priority=_priority(raw.get("Priority")),
            group=None if queue in self._intake else queue or None,
            assignee_id=None if owner == "Nobody" else owner,
            created_at=lenient.time(raw.get("Created")),
            updated_at=lenient.time(raw.get("LastUpdated")),
        )


def _api(settings: RequestTrackerSettings, http: httpx.AsyncClient) -> Api:
    headers, auth = {}, None
    if settings.token:
        headers = {"authorization": f"token {settings.token.get_secret_value()}"}
    elif settings.user and settings.password:
        auth = httpx.BasicAuth(settings.user, settings.password.get_secret_value())
    base_url = f"{settings.base_url or ''}/REST/2.0"
    return Api(SYSTEM, base_url, http, settings.timeout_s, headers, auth, reads_error=_said)


def _said(answer: Any) -> str:
    return lenient.text(answer.get("message")) if isinstance(answer, dict) else ""


def _kind(event: Mapping[str, Any]) -> tuple[DeliveryKind, str | None]:
    """The transaction's type, and for `Status` and `Set` what was set to what."""
    done, field, value = (lenient.text(event.get(name)) for name in ("type", "field", "value"))
    if done in KINDS:
        return KINDS[done], None
    if done == "Status":
        ended = {"resolved": DeliveryKind.SOLVED, "deleted": DeliveryKind.DELETED}
        return ended.get(value, DeliveryKind.UPDATED), None
    if done == "Set" and field == "Owner":
        return DeliveryKind.ASSIGNED, None
    if done in ("Set", "CustomField", "Subject"):
        return DeliveryKind.UPDATED, None
    return DeliveryKind.IGNORED, f"transactions of type {done or 'none'} are not used"


def _priority(value: Any) -> Priority | None:
    """The nearest of our words below the number; nobody has set 0."""
    number = int(value) if lenient.text(value).isdigit() else 0
    return next((word for word in reversed(Priority) if number >= PRIORITIES.word(word)), None)


def _requester(people: Any) -> Requester:
    first = next((person for person in people or () if isinstance(person, dict)), {})
    email = lenient.text(first.get("EmailAddress")) or lenient.text(first.get("id"))
    return Requester(id=lenient.optional_id(first.get("id")), name=first.get("RealName") or None, email=email or None)


def _worth(part: Mapping[str, Any]) -> int:
    """Plain text before HTML, which RT's own editor writes; 0 for a file."""
    readable = {"text/html": 1, "text/plain": 2}.get(lenient.text(part.get("ContentType")), 0)
    return 0 if part.get("Filename") else readable
