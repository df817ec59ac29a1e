"""
The `Connector` for HubSpot tickets, through the CRM API 3.

Properties and note are two calls; the note's last line is the mark. HubSpot's notes are for its users alone. Its events
carry an id and one property, so everything else is fetched.
"""

import html
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from services.core.connectors import lenient, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import TicketFields
from services.core.connectors.hearing import Told
from services.core.connectors.hubspot.settings import HubSpotSettings
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.writing import Change, Priorities, Standing, mark_of, unmarked
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import ENDED, Comment, NewTicket, Priority, Requester, Ticket
from services.core.kit.errors import NotFound

NAME = "hubspot"
PAGE = 100  # of a search, and the most notes that one call reads
NOTE_TO_TICKET, TICKET_TO_CONTACT = 228, 16  # HubSpot's own kinds of association
KINDS = {
    "ticket.creation": DeliveryKind.CREATED, "ticket.deletion": DeliveryKind.DELETED,
    "ticket.merge": DeliveryKind.UPDATED, "ticket.restore": DeliveryKind.UPDATED,
}  # fmt: skip
FIELDS = ("subject", "content", "hs_pipeline_stage", "hs_ticket_priority", "hubspot_owner_id", "createdate",
          "hs_lastmodifieddate")  # fmt: skip
PRIORITIES = Priorities(
    {Priority.LOW: "LOW", Priority.NORMAL: "MEDIUM", Priority.HIGH: "HIGH", Priority.URGENT: "URGENT"}
)

TICKET = TicketFields(
    NAME, id="id", subject="properties/subject", body="properties/content", created="properties/createdate",
    updated="properties/hs_lastmodifieddate", assignee="properties/hubspot_owner_id",
    stamp="properties/hs_lastmodifieddate",
)  # fmt: skip


class HubSpot(Connector):
    """Without a token it only listens."""

    name = NAME
    system = "HubSpot"
    priorities = PRIORITIES
    heard_after_s = 60  # its search is behind what was written by some seconds
    door = Signed(
        signature_header="x-hubspot-signature-v3",
        content="{method}{url}{body}{timestamp}",
        form="base64",
        timestamp_header="x-hubspot-request-timestamp",
        timestamp_form="ms",
    )

    def __init__(self, settings: HubSpotSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        is_writable = Can.USUAL | Can.GROUPS | Can.POLL | (Can.OPEN if settings.key_property else Can(0))
        self.can = is_writable if settings.token else Can(0)
        self.own_actors = frozenset({settings.app_id or "nobody"})
        self._configured, self._asked = settings, ",".join((*FIELDS, settings.group_property))
        headers = {"authorization": f"Bearer {settings.token.get_secret_value() if settings.token else ''}"}
        self._api = Api(
            self.system, f"{settings.base_url}/crm/v3", http, settings.timeout_s, headers, reads_error=_said
        )

    def events(self, call: Call) -> Sequence[Any]:
        return lenient.read_objects(call.body, system=NAME)

    def understand(self, event: Any, call: Call) -> Told:
        event = lenient.as_object(event, system=NAME)
        told, changed = lenient.text(event.get("subscriptionType")), lenient.text(event.get("propertyName"))
        kind = self._changed_how(event, changed) if told == "ticket.propertyChange" else KINDS.get(told)
        number, actor = lenient.optional_id(event.get("eventId")), lenient.optional_id(event.get("sourceId"))
        external_id = lenient.external_id(event.get("objectId"), where="objectId")
        # The number alone is not unique, HubSpot says; attemptNumber is another in each attempt.
        key = f"{number}:{told}:{external_id}:{changed}:{lenient.text(event.get('occurredAt'))}" if number else None
        return Told(
            kind=kind or DeliveryKind.IGNORED,
            external_id=external_id,
            key=key,
            actors=(actor,) if actor else (),
            occurred_at=lenient.time_ms(event.get("occurredAt")),
            why_ignored=None if kind else f"events of type {told[:100]!r} are not used",
        )

    async def read(self, external_id: str) -> Ticket:
        raw = await self._read(external_id)
        notes, requester = await self._notes(raw), await self._requester(raw)
        comments = tuple(map(self._comment, notes))
        return self._ticket(raw).model_copy(update={"comments": comments, "requester": requester})

    async def standing(self, external_id: str, key: str) -> Standing:
        raw = await self._read(external_id)
        ticket, notes = self._ticket(raw), await self._notes(raw)
        is_marked = any(mark_of(key) in _property(note, "hs_note_body") for note in notes)
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, ticket.stamp)

    async def groups(self) -> Mapping[str, str]:
        found = await self._api.object("GET", f"properties/tickets/{self._configured.group_property}")
        options = [one for one in lenient.objects(found.get("options")) if one.get("hidden") is not True]
        return {option["value"]: option["value"] for option in options}

    async def save(self, change: Change, standing: Standing) -> None:
        properties = self._properties(change.group_id, change.priority)
        path = f"objects/tickets/{segment(change.external_id)}"
        if properties:
            await self._api.send("PATCH", path, json={"properties": properties})

    async def note(self, change: Change) -> None:
        properties = {
            "hs_note_body": _html(change.marked_note),
            "hs_timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        to = _associated(change.external_id, NOTE_TO_TICKET)
        await self._api.send("POST", "objects/notes", json={"properties": properties, "associations": [to]})

    async def find(self, key: str) -> str | None:
        asked = {"idProperty": self._configured.key_property or ""}
        try:
            return str((await self._api.object("GET", f"objects/tickets/{mark_of(key)}", params=asked))["id"])
        except NotFound:
            return None

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        ours = self._configured
        properties = self._properties(group_id, new.priority) | {
            "subject": new.subject, "content": new.body, "hs_pipeline": ours.pipeline,
            "hs_pipeline_stage": next(iter(ours.stages)), ours.key_property: mark_of(new.key),
        }  # fmt: skip
        contact = await self._contact(new.requester.email or "")
        to = [_associated(contact, TICKET_TO_CONTACT)] if contact else []
        made = await self._api.object("POST", "objects/tickets", json={"properties": properties, "associations": to})
        return str(made["id"])

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        since = {
            "propertyName": "hs_lastmodifieddate",
            "operator": "GTE",
            "value": str(int(after.at.timestamp() * 1000)),
        }
        query = {
            "filterGroups": [{"filters": [since]}], "properties": self._asked.split(","), "limit": PAGE,
            "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}],
        }  # fmt: skip

        async def page(start: int) -> list[Changed]:
            found = await self._api.object("POST", "objects/tickets/search", json=query | {"after": str(start)})
            tickets = [
                self._ticket(lenient.storable(row, system=NAME)) for row in lenient.objects(found.get("results"))
            ]
            return [Changed(TICKET.changed_at(one), one) for one in tickets]

        return await polling.by_time(page, after, until=until)

    async def _read(self, external_id: str) -> dict[str, Any]:
        asked = {"properties": self._asked, "associations": "notes,contacts"}
        found = await self._api.object("GET", f"objects/tickets/{segment(external_id)}", params=asked)
        return lenient.storable(found, system=NAME)

    async def _notes(self, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every note, oldest first."""
        numbers, notes = _associations(raw, "notes"), []
        for start in range(0, len(numbers), PAGE):
            inputs = [{"id": number} for number in numbers[start : start + PAGE]]
            asked = {"properties": ["hs_note_body", "hs_createdate", "hs_object_source_id"], "inputs": inputs}
            found = await self._api.object("POST", "objects/notes/batch/read", json=asked)
            notes += lenient.storable(lenient.objects(found.get("results")), system=NAME)
        return sorted(
            notes, key=lambda note: (_property(note, "hs_createdate"), lenient.text(note.get("id")).zfill(20))
        )

    async def _requester(self, raw: Mapping[str, Any]) -> Requester:
        if not (numbers := _associations(raw, "contacts")):
            return Requester()
        asked = {"properties": "email,firstname,lastname"}
        contact = await self._api.object("GET", f"objects/contacts/{segment(numbers[0])}", params=asked)
        name = f"{_property(contact, 'firstname')} {_property(contact, 'lastname')}".strip()
        return Requester(id=numbers[0], name=name or None, email=_property(contact, "email") or None)

    async def _contact(self, email: str) -> str | None:
        try:
            asked = {"idProperty": "email"}
            found = await self._api.object("GET", f"objects/contacts/{segment(email)}", params=asked) if email else {}
        except NotFound:
            return None
        return lenient.optional_id(found.get("id"))

    def _properties(self, group_id: str | None, priority: Priority | None) -> dict[str, Any]:
        priority_word = PRIORITIES.word(priority)
        return lenient.given(**{self._configured.group_property: group_id}, hs_ticket_priority=priority_word)

    def _changed_how(self, event: Mapping[str, Any], changed: str) -> DeliveryKind:
        if changed == "hs_pipeline_stage":
            status = self._configured.stages.get(lenient.text(event.get("propertyValue")))
            return DeliveryKind.SOLVED if status in ENDED else DeliveryKind.UPDATED
        is_assigned = changed in ("hubspot_owner_id", self._configured.group_property)
        return DeliveryKind.ASSIGNED if is_assigned else DeliveryKind.UPDATED

    def _ticket(self, raw: Mapping[str, Any]) -> Ticket:
        return TICKET.read(
            raw,
            status=self._configured.stages.get(_property(raw, "hs_pipeline_stage")),
            priority=PRIORITIES.read(_property(raw, "hs_ticket_priority")),
            group=_property(raw, self._configured.group_property) or None,
        )

    def _comment(self, note: Mapping[str, Any]) -> Comment:
        return Comment(
            body=unmarked(lenient.long_text(_text(_property(note, "hs_note_body")))),
            public=False,
            author_id=self.author(_property(note, "hs_object_source_id")),
            at=lenient.time(_property(note, "hs_createdate")),
        )


def _property(raw: Mapping[str, Any], name: str) -> str:
    return lenient.text(lenient.child(raw, "properties").get(name))


def _associations(raw: Mapping[str, Any], what: str) -> list[str]:
    found = lenient.child(lenient.child(raw, "associations"), what).get("results")
    return list(dict.fromkeys(lenient.text(one.get("id")) for one in lenient.objects(found)))


def _associated(number: str, kind: int) -> dict[str, Any]:
    return {"to": {"id": number}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]}


def _html(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.split("\n"))


def _text(body: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<br\s*/?>|</p>", "\n", body))).rstrip("\n")


def _said(answer: Any) -> str:
    """The kind of refusal; its message may repeat what was sent."""
    return lenient.text(lenient.child({"a": answer}, "a").get("category"))
