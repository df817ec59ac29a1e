"""
The `Connector` for Redmine 5, through its REST interface.

Fields and private note are one call. Redmine drops what our user may not set without a word, the note's privacy
included: so rights are looked at before each write, and only what is read back counts.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from services.core.connectors import lenient, outbound, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import changed_at
from services.core.connectors.hearing import Told
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.redmine.settings import RedmineSettings
from services.core.connectors.writing import Change, Priorities, Standing, mark_of, marked, unmarked
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import ENDED, Comment, NewTicket, Requester, Status, Ticket
from services.core.kit.errors import ConnectorRejected

NAME = "redmine"
PAGE = 100  # Redmine gives no more
FIELDS = {"category": "category_id", "assignee": "assigned_to_id", "project": "project_id"}
KINDS = {"issue.created": DeliveryKind.CREATED, "issue.deleted": DeliveryKind.DELETED}
RIGHTS = {"edit_issues", "add_issue_notes", "set_notes_private", "view_private_notes"}
STATUSES = {**lenient.STATUSES, "in progress": Status.OPEN, "feedback": Status.PENDING}
REQUESTER = "\n\n-- \n"  # Redmine's issues have an author, who is our user; who asks stands below this line


class Redmine(Connector):
    """Without a base URL it only listens."""

    name = NAME
    system = "Redmine"
    door = Signed(signature_header="x-redmine-signature-256", prefix="sha256=")

    def __init__(self, settings: RedmineSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        base_url, key = settings.base_url or "", settings.api_key.get_secret_value() if settings.api_key else ""
        self.can = Can.USUAL | Can.ATOMIC | Can.GROUPS | Can.OPEN | Can.POLL if base_url else Can(0)
        self.own_actors = frozenset({settings.user_id or "nobody"})
        self._api = Api(
            self.system, base_url, http, settings.timeout_s, {"x-redmine-api-key": key}, None, _said, _is_conflict
        )
        self._project, self._group_is = settings.project or "", settings.group_is
        self.priorities = Priorities(settings.priority_names)

    def understand(self, event: Any, call: Call) -> Told:
        told, data = lenient.text(event.get("type")), lenient.child(event, "data")
        issue, journal = lenient.child(data, "issue"), lenient.child(data, "journal")
        actor = lenient.optional_id((lenient.child(journal, "user") or lenient.child(issue, "author")).get("id"))
        kind = self._changed_how(issue, journal) if told == "issue.updated" else KINDS.get(told, DeliveryKind.IGNORED)
        return Told(
            kind=kind,
            external_id=lenient.external_id(issue.get("id"), where="data.issue.id"),
            actors=(actor,) if actor and told != "issue.deleted" else (),
            occurred_at=lenient.time(event.get("timestamp")),
            why_ignored=f"events of type {told[:100]!r} are not used" if kind is DeliveryKind.IGNORED else None,
        )

    async def read(self, external_id: str) -> Ticket:
        issue = await self._issue(external_id)
        comments = tuple(self._comment(journal) for journal in issue.get("journals", ()) if journal.get("notes"))
        ticket = self._ticket(issue, await self._own_groups())
        return ticket.model_copy(update={"comments": comments, "stamp": _stamp(issue)})

    async def standing(self, external_id: str, key: str) -> Standing:
        issue = await self._issue(external_id)
        # Whoever it is assigned to counts here: a person's name is not overwritten by a group.
        ticket = self._ticket(issue, None if self._group_is == "assignee" else await self._own_groups())
        notes = [one for one in issue.get("journals", ()) if one["private_notes"]]
        is_marked = any(mark_of(key) in lenient.text(note.get("notes")) for note in notes)
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, _stamp(issue), raw=issue)

    async def groups(self) -> Mapping[str, str]:
        if self._group_is == "category":
            path = f"projects/{self._project}.json"
            found = await self._api.object("GET", path, params={"include": "issue_categories"})
            rows = found["project"].get("issue_categories") or []
        elif self._group_is == "assignee":
            members = await self._all(f"projects/{self._project}/memberships.json", "memberships")
            rows = [member["group"] for member in members if "group" in member]
        else:
            rows = [one for one in await self._all("projects.json", "projects") if one["identifier"] != self._project]
        return {row["name"]: str(row["id"]) for row in rows}

    async def save(self, change: Change, standing: Standing) -> None:
        projects = {str(standing.raw["project"]["id"])}
        if self._group_is == "project" and change.group_id:
            projects.add(change.group_id)
        await self._require_rights(projects)
        fields = await self._fields(change.group_id, change.priority)
        issue = fields | {"notes": change.marked_note, "private_notes": True}
        await self._api.send("PUT", f"issues/{segment(change.external_id)}.json", json={"issue": issue})

    async def find(self, key: str) -> str | None:
        found = await self._page("issues.json", "issues", 0, status_id="*", description=f"~{mark_of(key)}")
        return next((str(issue["id"]) for issue in found), None)

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        who = f"{new.requester.name or ''} <{new.requester.email or ''}>"
        fields = {"project_id": self._project} | await self._fields(group_id, new.priority)
        fields |= {"subject": new.subject[:255], "description": marked(f"{new.body}{REQUESTER}{who}", new.key)}
        made = await self._api.object("POST", "issues.json", json={"issue": fields})
        return str(made["issue"]["id"])

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        groups, scope = await self._own_groups(), {} if self._group_is == "project" else {"project_id": self._project}
        query = scope | {"status_id": "*", "updated_on": f">={after.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}

        async def page(start: int) -> list[Changed]:
            rows = await self._page("issues.json", "issues", start, **query, sort="updated_on,id")
            ids = ",".join(str(row["id"]) for row in rows)
            mine = {"status_id": "*", "issue_id": ids, "last_updated_by": "me"}
            ours = {row["id"] for row in await self._page("issues.json", "issues", 0, **mine)} if ids else set()
            [actor] = self.own_actors
            tickets = [(self._ticket(row, groups), actor if row["id"] in ours else None) for row in rows]
            return [Changed(changed_at(ticket, "updated_on"), ticket, by) for ticket, by in tickets]

        return await polling.by_time(page, after, until=until)

    def ticket_url(self, external_id: str) -> str:
        return f"{self._api.base_url}/issues/{external_id}"

    async def _issue(self, external_id: str) -> dict[str, Any]:
        found = await self._api.object("GET", f"issues/{segment(external_id)}.json", params={"include": "journals"})
        return lenient.storable(lenient.child(found, "issue"), system=NAME)

    async def _page(self, path: str, rows: str, start: int, **query: str) -> list[dict[str, Any]]:
        params = {**query, "offset": start, "limit": PAGE}
        return (await self._api.object("GET", path, params=params)).get(rows) or []

    async def _all(self, path: str, rows: str) -> list[dict[str, Any]]:
        async def page(number: int, start: int) -> outbound.Page:
            found = await self._api.object("GET", path, params={"offset": start, "limit": PAGE})
            shown = lenient.objects(found.get(rows))
            return outbound.Page(shown, bool(shown) and start + len(shown) < int(found.get("total_count") or 0))

        return await outbound.every(page)

    async def _fields(self, group_id: str | None, priority: Any) -> dict[str, Any]:
        ids = await self._all("enumerations/issue_priorities.json", "issue_priorities") if priority else []
        wanted = self.priorities.word(priority)
        found = next((one["id"] for one in ids if one["name"] == wanted), None)
        if priority and found is None:
            raise ConnectorRejected(f"Redmine has no priority {wanted!r}. Set priority_names.")
        return lenient.given(**{FIELDS[self._group_is]: group_id}, priority_id=found)

    async def _require_rights(self, projects: set[str]) -> None:
        """Raises ConnectorRejected: what we may not set would be dropped, and our note be public."""
        me = (await self._api.object("GET", "users/current.json", params={"include": "memberships"}))["user"]
        for project in () if me.get("admin") else projects:
            ours = [one["roles"] for one in me["memberships"] if str(one["project"]["id"]) == project]
            numbers = {role["id"] for roles in ours for role in roles}
            roles = [(await self._api.object("GET", f"roles/{number}.json"))["role"] for number in numbers]
            if missing := RIGHTS - {right for role in roles for right in role["permissions"]}:
                raise ConnectorRejected(f"Our user lacks {', '.join(sorted(missing))} in Redmine's project {project}.")

    async def _own_groups(self) -> Mapping[str, str] | None:
        """What counts as a group when read: neither a person as assignee, nor the project where tickets arrive."""
        return None if self._group_is == "category" else await self.groups()

    def _changed_how(self, issue: Mapping[str, Any], journal: Mapping[str, Any]) -> DeliveryKind:
        changed = {lenient.text(one.get("prop_key")) for one in lenient.objects(journal.get("details"))}
        if "status_id" in changed and _status(issue) in ENDED:
            return DeliveryKind.SOLVED
        if changed & {FIELDS[self._group_is], "assigned_to_id"}:
            return DeliveryKind.ASSIGNED
        return DeliveryKind.UPDATED if changed or not journal.get("notes") else DeliveryKind.COMMENTED

    def _ticket(self, issue: Mapping[str, Any], groups: Mapping[str, str] | None) -> Ticket:
        priority = _name(issue, "priority")
        body, _, below = lenient.long_text(issue.get("description")).replace("\r\n", "\n").rpartition(REQUESTER)
        is_ours = unmarked(below) != below
        return Ticket(
            connector=NAME,
            external_id=str(issue["id"]),
            subject=lenient.subject(issue.get("subject")),
            body=body if is_ours else lenient.long_text(issue.get("description")),
            requester=_requester(issue, unmarked(below) if is_ours else ""),
            status=_status(issue),
            priority=self.priorities.read(priority) or lenient.priority(priority),
            group=self._group(issue, groups),
            assignee_id=lenient.optional_id(lenient.child(issue, "assigned_to").get("id")),
            created_at=lenient.time(issue.get("created_on")),
            updated_at=lenient.time(issue.get("updated_on")),
        )

    def _group(self, issue: Mapping[str, Any], groups: Mapping[str, str] | None) -> str | None:
        field = {"category": "category", "assignee": "assigned_to", "project": "project"}[self._group_is]
        name = _name(issue, field)
        return name if name and (groups is None or name in groups) else None

    def _comment(self, journal: Mapping[str, Any]) -> Comment:
        return Comment(
            body=unmarked(lenient.long_text(journal["notes"])),
            public=not journal.get("private_notes"),
            author_id=self.author(lenient.child(journal, "user").get("id")),
            at=lenient.time(journal.get("created_on")),
        )


def _name(issue: Mapping[str, Any], field: str) -> str:
    return lenient.text(lenient.child(issue, field).get("name"))


def _status(issue: Mapping[str, Any]) -> Status | None:
    """By its name where we know it, else by whether it ends an issue."""
    if not (name := _name(issue, "status")):
        return None
    is_closed = lenient.child(issue, "status").get("is_closed")
    return STATUSES.get(name.lower()) or (Status.CLOSED if is_closed else Status.OPEN)


def _stamp(issue: Mapping[str, Any]) -> str:
    """Every change leaves a journal; `updated_on` alone counts whole seconds."""
    return f"{issue.get('updated_on')}/{max((one['id'] for one in issue.get('journals', ())), default=0)}"


def _requester(issue: Mapping[str, Any], below: str) -> Requester:
    """Who asks: as we wrote it below the text, else the issue's author."""
    if not below:
        author = lenient.child(issue, "author")
        return Requester(id=lenient.optional_id(author.get("id")), name=lenient.text(author.get("name")) or None)
    name, _, email = below.partition("<")
    return Requester(name=name.strip() or None, email=email.strip(" >\n") or None)


def _said(answer: Any) -> str:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    return ". ".join(map(lenient.text, errors)) if isinstance(errors, list) else ""


def _is_conflict(status: int, answer: Any) -> bool:
    """Redmine's own lock found another save in the same moment: it refuses and names no error."""
    return status == 409 or (status == 422 and isinstance(answer, dict) and answer.get("errors") == [])
