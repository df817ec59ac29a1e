"""
The `Connector` for ServiceNow incidents, through the Table API.

Fields and work note are one call. Priority follows from impact and urgency, so those are written. Work notes are read
where they lie, in the journal.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from services.core.connectors import lenient, outbound, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import CommentFields, TicketFields
from services.core.connectors.hearing import Told, worded
from services.core.connectors.oauth import ClientCredentials
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.servicenow.settings import ServiceNowSettings
from services.core.connectors.writing import Change, Priorities, Standing, mark_of
from services.core.contracts.ticket import Comment, NewTicket, Priority, Status, Ticket

NAME = "servicenow"
PAGE = 200
INCIDENTS = "api/now/table/incident"
FIELDS = (
    "sys_id,number,short_description,description,state,priority,impact,urgency,assignment_group,assigned_to,"
    "caller_id,caller_id.email,category,sys_created_on,sys_updated_on,sys_updated_by,sys_mod_count"
)
READ = {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true", "sysparm_fields": FIELDS}
TICKET = TicketFields(
    NAME, id="sys_id/value", subject="short_description/value", body="description/value",
    created="sys_created_on/value", updated="sys_updated_on/value", assignee="assigned_to/value",
    stamp="sys_mod_count/value", requester_id="caller_id/value", requester_name="caller_id/display_value",
    requester_email="caller_id.email/value",
)  # fmt: skip
COMMENT = CommentFields(body="value", author="sys_created_by", created="sys_created_on")
STATES = {
    "1": Status.NEW,
    "2": Status.OPEN,
    "3": Status.PENDING,
    "6": Status.SOLVED,
    "7": Status.CLOSED,
    "8": Status.CLOSED,
}
# Of the matrix that comes with ServiceNow. 5 (3 x 3, planning) is what nobody has set.
PRIORITIES = {"1": Priority.URGENT, "2": Priority.HIGH, "3": Priority.NORMAL, "4": Priority.LOW}
IMPACT_URGENCY = Priorities(
    {Priority.URGENT: (1, 1), Priority.HIGH: (1, 2), Priority.NORMAL: (2, 2), Priority.LOW: (3, 2)}
)


class ServiceNow(Connector):
    """Without a base URL it only listens."""

    name = NAME
    system = "ServiceNow"
    priorities = IMPACT_URGENCY
    door = Signed(
        signature_header="x-pointsman-signature",
        content="{timestamp}.{body}",
        form="base64",
        timestamp_header="x-pointsman-timestamp",
    )

    def __init__(self, settings: ServiceNowSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        is_writable = Can.USUAL | Can.ATOMIC | Can.GROUPS | Can.OPEN | Can.POLL
        self.can = is_writable if settings.base_url else Can(0)
        self.own_actors = frozenset({(settings.user or "nobody").lower()})
        self._by_id = settings.groups_by == "sys_id"
        base_url = settings.base_url or ""
        self._api = Api(self.system, base_url, http, settings.timeout_s, auth=_auth(settings), reads_error=_said)

    def understand(self, event: Any, call: Call) -> Told:
        return worded(event, id="sys_id", actor="by")

    async def read(self, external_id: str) -> Ticket:
        ticket = self._ticket(await self._incident(external_id))
        query = f"element_id={ticket.external_id}^elementINcomments,work_notes^ORDERBYsys_created_on"
        comments = [self._comment(entry) for entry in await self._journal(query)]
        return ticket.model_copy(update={"comments": tuple(comments)})

    async def standing(self, external_id: str, key: str) -> Standing:
        ticket = self._ticket(await self._incident(external_id))
        marked = await self._journal(f"element_id={ticket.external_id}^element=work_notes^valueLIKE{mark_of(key)}")
        is_locked = ticket.status is Status.CLOSED
        return Standing(ticket.group, ticket.priority, ticket.status, bool(marked), ticket.stamp, is_locked)

    async def groups(self) -> Mapping[str, str]:
        asked = {"sysparm_query": "active=true^ORDERBYsys_id", "sysparm_fields": "sys_id,name"}

        async def page(number: int, start: int) -> outbound.Page:
            place = {"sysparm_offset": number * PAGE, "sysparm_limit": PAGE}  # a page lacks what our user may not see
            answer = await self._api.send("GET", "api/now/table/sys_user_group", params=asked | place)
            shown = lenient.objects(self._api.read(answer).get("result"))
            return outbound.Page(shown, (number + 1) * PAGE < int(answer.headers.get("x-total-count", "0")))

        rows = await outbound.every(page)
        names = [row["name"] for row in rows]
        if self._by_id:
            return {row["sys_id"]: row["sys_id"] for row in rows}
        return {row["name"]: row["sys_id"] for row in rows if names.count(row["name"]) == 1}  # of two, neither is meant

    async def save(self, change: Change, standing: Standing) -> None:
        fields = _fields(change.group_id, change.priority if change.priority != standing.priority else None)
        path = f"{INCIDENTS}/{segment(change.external_id)}"
        await self._api.send("PATCH", path, json=fields | {"work_notes": change.marked_note}, params=READ)

    async def find(self, key: str) -> str | None:
        found = await self._rows(INCIDENTS, f"correlation_id={mark_of(key)}", sysparm_fields="sys_id", sysparm_limit=1)
        return next((row["sys_id"] for row in found), None)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        text = {"short_description": new.subject[:160], "description": new.body, "correlation_id": mark_of(new.key)}
        who = lenient.given(caller_id=await self._caller(new.requester.email or ""))
        given = _fields(group_id, new.priority) | text | who
        made = await self._api.object("POST", INCIDENTS, json=given, params=READ)
        return made["result"]["sys_id"]["value"]

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        async def page(query: str) -> list[Changed]:
            rows = await self._rows(INCIDENTS, query, **READ, sysparm_limit=PAGE)
            return [
                Changed(TICKET.changed_at(one := self._ticket(row)), one, _value(row, "sys_updated_by")) for row in rows
            ]

        at = f"{after.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        return await polling.by_key(
            lambda _: page(f"sys_updated_on={at}^sys_id>{after.id}^ORDERBYsys_id"),
            lambda _: page(f"sys_updated_on>{at}^ORDERBYsys_updated_on^ORDERBYsys_id"),
            after,
            until=until,
        )

    def ticket_url(self, external_id: str) -> str:
        return f"{self._api.base_url}/nav_to.do?uri=incident.do?sys_id={segment(external_id)}"

    async def _incident(self, external_id: str) -> dict[str, Any]:
        found = await self._api.object("GET", f"{INCIDENTS}/{segment(external_id)}", params=READ)
        return lenient.storable(lenient.child(found, "result"), system=NAME)

    async def _rows(self, path: str, query: str, **params: Any) -> list[dict[str, Any]]:
        found = await self._api.object("GET", path, params={"sysparm_query": query, **params})
        return lenient.objects(found.get("result"))

    async def _journal(self, query: str) -> list[dict[str, Any]]:
        fields = "element,value,sys_created_by,sys_created_on"
        return await self._rows("api/now/table/sys_journal_field", query, sysparm_fields=fields, sysparm_limit=10_000)

    async def _caller(self, email: str) -> str | None:
        """The user of that address; none where there is none, or where it would say more than an address in a query."""
        if not email or "^" in email:
            return None
        found = await self._rows("api/now/table/sys_user", f"email={email}^active=true", sysparm_fields="sys_id")
        return found[0]["sys_id"] if len(found) == 1 else None

    def _ticket(self, raw: Mapping[str, Any]) -> Ticket:
        return TICKET.read(
            raw,
            status=STATES.get(_value(raw, "state") or ""),
            priority=PRIORITIES.get(_value(raw, "priority") or ""),
            group=_value(raw, "assignment_group") if self._by_id else _shown(raw, "assignment_group"),
            metadata=lenient.given(number=_value(raw, "number"), category=_value(raw, "category")),
        )

    def _comment(self, entry: Mapping[str, Any]) -> Comment:
        entry = lenient.storable(dict(entry), system=NAME)
        public = entry.get("element") == "comments"
        return COMMENT.read(entry, public=public, author_id=self.author(COMMENT.who(entry)))


def _auth(settings: ServiceNowSettings) -> httpx.Auth | None:
    if settings.client_id and settings.client_secret:
        return ClientCredentials(f"{settings.base_url}/oauth_token.do", settings.client_id, settings.client_secret)
    if settings.user and settings.password:
        return httpx.BasicAuth(settings.user, settings.password.get_secret_value())
    return None


def _fields(group_id: str | None, priority: Priority | None) -> dict[str, Any]:
    impact, urgency = IMPACT_URGENCY.word(priority) or (None, None)
    return {
        name: str(value)
        for name, value in lenient.given(assignment_group=group_id, impact=impact, urgency=urgency).items()
    }


def _value(raw: Mapping[str, Any], field: str) -> str | None:
    """What is stored: an id, a number, a time in UTC."""
    return lenient.text(lenient.child(raw, field).get("value")) or None


def _shown(raw: Mapping[str, Any], field: str) -> str | None:
    """What people read: a group's or person's name."""
    return lenient.text(lenient.child(raw, field).get("display_value")) or None


def _said(answer: Any) -> str:
    return lenient.text(lenient.child(answer, "error").get("message"))
