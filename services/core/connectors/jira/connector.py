"""
The `Connector` for Jira Service Management, through REST 3.

Fields and internal comment are two calls: only the comment's own resource takes the property that keeps it internal.
The mark of a letter is a second property of its comment.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from services.core.connectors import lenient, outbound, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import TicketFields, at
from services.core.connectors.hearing import Told
from services.core.connectors.jira import adf
from services.core.connectors.jira.settings import JiraSettings
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.writing import Change, Priorities, Standing, mark_of
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import ENDED, Comment, NewTicket, Priority, Status, Ticket

NAME = "jira"
PAGE = 50  # Jira gives fewer where it wants to; none of its lists is capped below this
INTERNAL = "sd.public.comment"  # Jira Service Management's own property
MARK = "pointsman"
FIELDS = "summary,description,status,priority,assignee,reporter,labels,created,updated"
TICKET = TicketFields(
    NAME, id="id", subject="fields/summary", created="fields/created", updated="fields/updated",
    assignee="fields/assignee/accountId", tags="fields/labels", stamp="fields/updated",
    requester_id="fields/reporter/accountId", requester_name="fields/reporter/displayName",
    requester_email="fields/reporter/emailAddress",
)  # fmt: skip
KINDS = {
    "jira:issue_created": DeliveryKind.CREATED, "jira:issue_deleted": DeliveryKind.DELETED,
    "comment_created": DeliveryKind.COMMENTED,
}  # fmt: skip
STATUSES = {**lenient.STATUSES, "waiting for customer": Status.PENDING, "canceled": Status.CLOSED}
CATEGORIES = {"new": Status.NEW, "indeterminate": Status.OPEN, "done": Status.SOLVED}


class Jira(Connector):
    """Without a base URL it only listens."""

    name = NAME
    system = "Jira"
    finds_after_s = 60  # its search shows an issue some seconds after it was made
    heard_after_s = 60  # and a change as late
    door = Signed(signature_header="x-hub-signature", prefix="sha256=")

    def __init__(self, settings: JiraSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        self.can = Can.USUAL | Can.GROUPS | Can.TAGS | Can.OPEN | Can.POLL if settings.base_url else Can(0)
        self.own_actors = frozenset({(settings.account_id or "nobody").lower()})
        self._configured, self.priorities = settings, Priorities(settings.priority_names)
        token = settings.api_token.get_secret_value() if settings.api_token else ""
        auth = httpx.BasicAuth(settings.email or "", token)
        base_url = f"{settings.base_url or ''}/rest/api/3"
        self._api = Api(self.system, base_url, http, settings.timeout_s, auth=auth, reads_error=_said)

    def understand(self, event: Any, call: Call) -> Told:
        told, issue = lenient.text(event.get("webhookEvent")), lenient.child(event, "issue")
        comment = lenient.child(event, "comment")
        actor = lenient.optional_id((lenient.child(event, "user") or lenient.child(comment, "author")).get("accountId"))
        kind = self._changed_how(event, issue) if told == "jira:issue_updated" else KINDS.get(told)
        return Told(
            kind=kind or DeliveryKind.IGNORED,
            external_id=lenient.external_id(issue.get("id"), where="issue.id"),
            comment=self._comment(comment) if "jsdPublic" in comment else None,
            actors=(actor,) if actor else (),
            occurred_at=lenient.time_ms(event.get("timestamp")),
            why_ignored=None if kind else f"events of type {told[:100]!r} are not used",
        )

    async def read(self, external_id: str) -> Ticket:
        ticket = self._ticket(await self._issue(external_id))
        comments = tuple(self._comment(comment) for comment in await self._comments(external_id))
        return ticket.model_copy(update={"comments": comments})

    async def standing(self, external_id: str, key: str) -> Standing:
        ticket, comments = self._ticket(await self._issue(external_id)), await self._comments(external_id)
        is_marked = any(_property(one, MARK) == mark_of(key) and not _is_public(one) for one in comments)
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, ticket.stamp)

    async def groups(self) -> Mapping[str, str]:
        path = f"issue/createmeta/{self._configured.project}/issuetypes/{self._configured.issue_type}"

        fields = await self._all(path, "fields")
        values = [field.get("allowedValues") for field in fields if field["fieldId"] == self._configured.group_field]
        return {_name(value): str(value["id"]) for value in lenient.objects(values[0] if values else None)}

    async def save(self, change: Change, standing: Standing) -> None:
        body: dict[str, Any] = {"fields": self._fields(change.group_id, change.priority)}
        if change.tags:
            body["update"] = {"labels": [{"add": tag} for tag in map(_label, change.tags)]}
        await self._api.send("PUT", f"issue/{segment(change.external_id)}", json=body)

    async def note(self, change: Change) -> None:
        properties = [{"key": INTERNAL, "value": {"internal": True}}, {"key": MARK, "value": {"mark": change.mark}}]
        comment = {"body": adf.write(change.note or ""), "properties": properties}
        await self._api.send("POST", f"issue/{segment(change.external_id)}/comment", json=comment)

    async def find(self, key: str) -> str | None:
        found = await self._search(f'labels = "{mark_of(key)}"', fields="id")
        return next((str(issue["id"]) for issue in lenient.objects(found.get("issues"))), None)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        ours, who = self._configured, await self._account(new.requester.email or "")
        fields = self._fields(group_id, new.priority) | {
            "project": {"key": ours.project},
            "issuetype": {"id": ours.issue_type},
            "summary": " ".join(new.subject.split())[:255],
            "description": adf.write(new.body),
            "labels": [*map(_label, new.tags), mark_of(new.key)],
        }
        fields |= {"reporter": {"id": who}} if who else {}
        fields |= {ours.request_type_field: ours.request_type} if ours.request_type else {}
        return str((await self._api.object("POST", "issue", json={"fields": fields}))["id"])

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        since = f"{after.at.astimezone(UTC):%Y/%m/%d %H:%M}"  # JQL counts minutes; what was heard before is dropped
        jql, token = f'project = {self._configured.project} AND updated >= "{since}" ORDER BY updated ASC', ""

        async def page(start: int) -> list[Changed]:
            nonlocal token
            if start and not token:
                return []
            more = {"nextPageToken": token} if start else {}
            found = await self._search(jql, fields=f"{self._asked},comment,creator", expand="changelog", **more)
            token = lenient.text(found.get("nextPageToken"))
            return [self._changed(issue) for issue in lenient.objects(found.get("issues"))]

        return await polling.by_time(page, after, until=until)

    def ticket_url(self, external_id: str) -> str:
        return f"{self._configured.base_url}/issues/?jql={quote(f'id={external_id}', safe='')}"

    @property
    def _asked(self) -> str:
        return f"{FIELDS},{self._configured.group_field}"

    async def _issue(self, external_id: str) -> dict[str, Any]:
        found = await self._api.object("GET", f"issue/{segment(external_id)}", params={"fields": self._asked})
        return lenient.storable(found, system=NAME)

    async def _comments(self, external_id: str) -> list[dict[str, Any]]:
        return await self._all(
            f"issue/{segment(external_id)}/comment", "comments", orderBy="created", expand="properties"
        )

    async def _all(self, path: str, rows: str, **asked: str) -> list[dict[str, Any]]:
        async def page(number: int, start: int) -> outbound.Page:
            found = await self._api.object("GET", path, params=asked | {"startAt": start, "maxResults": PAGE})
            shown = lenient.storable(lenient.objects(found.get(rows)), system=NAME)
            return outbound.Page(shown, bool(shown) and start + len(shown) < int(found.get("total") or 0))

        return await outbound.every(page)

    async def _search(self, jql: str, **asked: str) -> dict[str, Any]:
        found = await self._api.object("GET", "search/jql", params={"jql": jql, "maxResults": PAGE, **asked})
        return lenient.storable(found, system=NAME)

    async def _account(self, email: str) -> str | None:
        found = await self._api.json("GET", "user/search", params={"query": email}) if email else []
        users = [
            user for user in lenient.objects(found) if lenient.text(user.get("emailAddress")).lower() == email.lower()
        ]
        return lenient.text(users[0].get("accountId")) if len(users) == 1 else None

    def _fields(self, group_id: str | None, priority: Priority | None) -> dict[str, Any]:
        field, word = self._configured.group_field, self.priorities.word(priority)
        group = None if group_id is None else [{"id": group_id}] if field == "components" else {"id": group_id}
        return lenient.given(**{field: group}, priority={"name": word} if word else None)

    def _changed_how(self, event: Mapping[str, Any], issue: Mapping[str, Any]) -> DeliveryKind:
        items = lenient.objects(lenient.child(event, "changelog").get("items"))
        changed = {lenient.text(item.get("fieldId")) or lenient.text(item.get("field")) for item in items}
        if "status" in changed and _status(lenient.child(issue, "fields")) in ENDED:
            return DeliveryKind.SOLVED
        is_assigned = changed & {"assignee", self._configured.group_field}
        return DeliveryKind.ASSIGNED if is_assigned else DeliveryKind.UPDATED

    def _changed(self, issue: Mapping[str, Any]) -> Changed:
        ticket, fields = self._ticket(issue), lenient.child(issue, "fields")
        at_last = TICKET.changed_at(ticket)
        done = [(lenient.time(one.get("created")), one.get("author")) for one in (
            *lenient.objects(lenient.child(issue, "changelog").get("histories")),
            *lenient.objects(lenient.child(fields, "comment").get("comments")),
        )]  # fmt: skip
        last = [author for when, author in done if when and when >= at_last]
        is_new = ticket.updated_at == ticket.created_at
        author = last[-1] if last else fields.get("creator") if is_new else None
        return Changed(at_last, ticket, lenient.optional_id(at({"author": author}, "author/accountId")))

    def _ticket(self, issue: Mapping[str, Any]) -> Ticket:
        fields = lenient.child(issue, "fields")
        group = fields.get(self._configured.group_field)
        first = lenient.objects(group if isinstance(group, list) else [group])[:1]
        priority = _name(lenient.child(fields, "priority"))
        return TICKET.read(
            issue,
            body=lenient.long_text(adf.read(fields.get("description"))),
            status=_status(fields),
            priority=self.priorities.read(priority) or lenient.priority(priority),
            group=_name(first[0]) or None if first else None,
            metadata=lenient.given(key=issue.get("key")),
        )

    def _comment(self, raw: Mapping[str, Any]) -> Comment:
        return Comment(
            body=lenient.long_text(adf.read(raw.get("body"))),
            public=_is_public(raw),
            author_id=self.author(lenient.child(raw, "author").get("accountId")),
            at=lenient.time(raw.get("created")),
        )


def _name(value: Mapping[str, Any]) -> str:
    """A component's or priority's name, or the value of a select field's option."""
    return lenient.text(value.get("name")) or lenient.text(value.get("value"))


def _label(tag: str) -> str:
    return "_".join(tag.split())  # labels hold no blanks


def _property(comment: Mapping[str, Any], key: str) -> Any:
    found = [one for one in lenient.objects(comment.get("properties")) if one.get("key") == key]
    return next((lenient.child(one, "value").get({INTERNAL: "internal"}.get(key, "mark")) for one in found), None)


def _is_public(comment: Mapping[str, Any]) -> bool:
    return comment.get("jsdPublic") is not False and _property(comment, INTERNAL) is not True


def _status(fields: Mapping[str, Any]) -> Status | None:
    """By its name where we know it, else by its category."""
    status = lenient.child(fields, "status")
    category = lenient.text(lenient.child(status, "statusCategory").get("key"))
    return STATUSES.get(lenient.text(status.get("name")).lower()) or CATEGORIES.get(category)


def _said(answer: Any) -> str:
    errors = lenient.child(answer, "errors")
    listed = answer.get("errorMessages") if isinstance(answer, dict) else None
    return ". ".join(map(lenient.text, [*(listed if isinstance(listed, list) else []), *errors.values()]))
