"""
What Zendesk knows and enforces: tickets, comments, users, groups, tags, stamps. No HTTP here.

Source: https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
"""

import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.local.zendesk_double import audits

PRIORITIES = ("low", "normal", "high", "urgent")
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
GROUPS = ("Support", "Billing", "Infrastructure", "Accounts", "Returns")
AGENT_ID = 902
INTEGRATION_ID = 903
KEYS_LAST = timedelta(hours=2)  # how long Zendesk knows an Idempotency-Key


class ApiError(Exception):
    """An answer Zendesk gives instead of doing it: status, its JSON, and when to come back."""

    def __init__(
        self,
        status: int,
        error: str | dict[str, str],
        description: str = "",
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(description or str(error))
        self.status = status
        self.body: dict[str, Any] = {"error": error} | ({"description": description} if description else {})
        self.body |= {"details": details} if details else {}
        self.headers = {"retry-after": retry_after} if retry_after else {}


@dataclass
class Account:
    """One Zendesk account in memory. `clock` gives UTC times; what is stored counts whole seconds, as Zendesk does."""

    clock: Callable[[], datetime]
    tell: Callable[[dict[str, Any]], None]  # called with every event as it happens
    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    audits: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    users: dict[int, dict[str, Any]] = field(default_factory=dict)
    groups: dict[int, dict[str, Any]] = field(default_factory=dict)
    _ids: Any = field(default_factory=lambda: itertools.count(35_001))
    _created_by_key: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.groups |= {98_700 + n: {"id": 98_700 + n, "name": name, "deleted": False} for n, name in enumerate(GROUPS)}
        self._add_user(AGENT_ID, "Ada Agent", "agent@example.com", role="agent")
        self._add_user(INTEGRATION_ID, "Pointsman", "pointsman@example.com", role="agent")

    def ticket(self, ticket_id: int) -> dict[str, Any]:
        if ticket_id not in self.tickets or ticket_id in self.deleted:
            raise ApiError(404, "RecordNotFound", "Not found")
        return self.tickets[ticket_id]

    def living(self) -> list[dict[str, Any]]:
        return [ticket for ticket_id, ticket in self.tickets.items() if ticket_id not in self.deleted]

    def create(self, given: Mapping[str, Any], *, actor_id: int, key: str | None = None) -> tuple[dict[str, Any], bool]:
        """The ticket, and whether `key` (Idempotency-Key) had been used for it before."""
        known, until = self._created_by_key.get(key or "", (0, self.clock()))
        if self.clock() < until:
            return self.ticket(known), True
        self._validate(given)
        first = (given.get("comment") or {}).get("body") or given.get("description")
        if not first:
            raise _invalid("description", "Description: cannot be blank", "BlankValue")
        ticket_id = next(self._ids)
        requester_id = self._requester(given.get("requester"), default=actor_id)
        self.tickets[ticket_id] = self._blank(ticket_id, given, requester_id=requester_id, description=first)
        comment = self._comment(ticket_id, {"body": first, "public": True}, author_id=requester_id)
        self._audit(ticket_id, audits.tell_creation(self.tickets[ticket_id], comment), author_id=actor_id)
        if key is not None:
            self._created_by_key[key] = (ticket_id, self.clock() + KEYS_LAST)
        self._happened("created", ticket_id, {}, actor_id=requester_id)
        return self.tickets[ticket_id], False

    def update(self, ticket_id: int, change: Mapping[str, Any], *, actor_id: int) -> dict[str, Any]:
        """All of `change` or nothing."""
        ticket = self.ticket(ticket_id)
        if change.get("safe_update") and change.get("updated_stamp") != ticket["updated_at"]:
            raise ApiError(409, "UpdateConflict", "Safe Update prevented the update due to outdated ticket data.")
        if ticket["status"] == "closed":
            raise _invalid("status", "Status: closed prevents ticket update", "InvalidValue")
        self._validate(change)
        previous = dict(ticket)
        ticket |= self._fields(change, ticket)
        ticket["updated_at"] = self._now()
        comment = self._comment(ticket_id, change["comment"], author_id=actor_id) if change.get("comment") else None
        self._audit(ticket_id, audits.tell_change(previous, ticket, comment), author_id=actor_id)
        self._tell_changes(ticket_id, previous, comment=change.get("comment"), actor_id=actor_id)
        return ticket

    def update_many(self, changes: list[dict[str, Any]], *, actor_id: int) -> dict[str, Any]:
        """A job that is done when it is answered; each ticket for itself."""
        job_id = uuid.uuid4().hex
        results = [self._try_update(change, actor_id=actor_id) for change in changes]
        self.jobs[job_id] = {
            "id": job_id, "status": "completed", "total": len(results), "progress": len(results), "results": results,
        }  # fmt: skip
        return self.jobs[job_id]

    def soft_delete(self, ticket_id: int, *, actor_id: int) -> None:
        self.ticket(ticket_id)["updated_at"] = self._now()
        self.deleted.add(ticket_id)
        self._happened("soft_deleted", ticket_id, {}, actor_id=actor_id)

    def erase(self, ticket_id: int, *, actor_id: int) -> None:
        if ticket_id not in self.deleted:
            raise ApiError(404, "RecordNotFound", "Not found")
        self._happened("permanently_deleted", ticket_id, {}, actor_id=actor_id)
        self.deleted.discard(ticket_id)
        del self.tickets[ticket_id], self.comments[ticket_id], self.audits[ticket_id]

    def user_by_email(self, email: str) -> dict[str, Any] | None:
        return next((user for user in self.users.values() if user["email"] == email), None)

    def create_user(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not given.get("name"):
            raise _invalid("name", "Name: cannot be blank", "BlankValue")
        email, role = given.get("email") or "", given.get("role") or "end-user"
        if email and self.user_by_email(email):
            raise _invalid("email", f"Email: {email} is already being used by another user", "DuplicateValue")
        return self.users[self._add_user(next(self._ids), given["name"], email, role=role)]

    def _try_update(self, change: Mapping[str, Any], *, actor_id: int) -> dict[str, Any]:
        ticket_id = _number(change.get("id"))
        try:
            self.update(ticket_id, change, actor_id=actor_id)
        except ApiError as exc:
            return {"id": ticket_id, "success": False, "error": exc.body["error"], "details": str(exc)}
        return {"id": ticket_id, "success": True, "action": "update", "status": "Updated"}

    def _now(self) -> str:
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _blank(
        self, ticket_id: int, given: Mapping[str, Any], *, requester_id: int, description: str
    ) -> dict[str, Any]:
        now = self._now()
        return {
            "id": ticket_id, "created_at": now, "updated_at": now, "description": description,
            "via": {"channel": "api"},
            "subject": given.get("subject") or description[:80], "status": given.get("status", "new"),
            "priority": given.get("priority"), "type": given.get("type"), "group_id": given.get("group_id"),
            "assignee_id": given.get("assignee_id"), "requester_id": requester_id, "submitter_id": requester_id,
            "organization_id": None, "brand_id": 360_001, "ticket_form_id": 360_002,
            "external_id": given.get("external_id"),
            "is_public": True, "tags": _tags(given.get("tags", [])),
        }  # fmt: skip

    def _validate(self, change: Mapping[str, Any]) -> None:
        if change.get("group_id") is not None and _number(change["group_id"]) not in self.groups:
            raise _invalid("group_id", "Group: is invalid", "InvalidValue")
        if change.get("assignee_id") is not None and _number(change["assignee_id"]) not in self.users:
            raise _invalid("assignee_id", "Assignee: is invalid", "InvalidValue")
        if change.get("priority") is not None and change["priority"] not in PRIORITIES:
            raise _invalid("priority", f"Priority: {change['priority']} is not valid", "InvalidValue")
        if "status" in change and change["status"] not in STATUSES:
            raise _invalid("status", f"Status: {change['status']} is not valid", "InvalidValue")

    def _fields(self, change: Mapping[str, Any], ticket: Mapping[str, Any]) -> dict[str, Any]:
        taken = {key: change[key] for key in ("subject", "status", "priority", "type", "external_id") if key in change}
        taken |= {key: _number(change[key]) for key in ("group_id", "assignee_id") if key in change}
        if "tags" in change:
            taken["tags"] = _tags(change["tags"])
        is_taken_up = ticket["status"] == "new" and taken.get("assignee_id") and "status" not in change
        return taken | ({"status": "open"} if is_taken_up else {})

    def _comment(self, ticket_id: int, given: Mapping[str, Any], *, author_id: int) -> dict[str, Any]:
        comment = {
            "id": next(self._ids), "type": "Comment", "author_id": author_id, "body": given.get("body", ""),
            "plain_body": given.get("body", ""), "public": given.get("public", True), "created_at": self._now(),
        }  # fmt: skip
        self.comments.setdefault(ticket_id, []).append(comment)
        return comment

    def _audit(self, ticket_id: int, events: list[dict[str, Any]], *, author_id: int) -> None:
        audit = {"id": next(self._ids), "ticket_id": ticket_id, "created_at": self._now(), "author_id": author_id}
        told = [event | {"id": next(self._ids)} for event in events]
        self.audits.setdefault(ticket_id, []).append(audit | {"via": {"channel": "api"}, "events": told})

    def _requester(self, given: Mapping[str, Any] | None, *, default: int) -> int:
        if not given or not given.get("email"):
            return default
        known = self.user_by_email(given["email"])
        return known["id"] if known else self._add_user(next(self._ids), given.get("name") or "", given["email"])

    def _add_user(self, user_id: int, name: str, email: str, *, role: str = "end-user") -> int:
        now = self._now()
        self.users[user_id] = {
            "id": user_id, "name": name, "email": email, "role": role, "active": True,
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        return user_id

    def _tell_changes(
        self, ticket_id: int, previous: Mapping[str, Any], *, comment: Mapping[str, Any] | None, actor_id: int
    ) -> None:
        ticket = self.tickets[ticket_id]
        for field_name, event_type in _EVENT_OF_FIELD.items():
            if ticket[field_name] != previous[field_name]:
                current, before = _told(field_name, ticket), _told(field_name, previous)
                self._happened(event_type, ticket_id, {"current": current, "previous": before}, actor_id=actor_id)
        if comment:
            told = {"body": comment.get("body"), "is_public": comment.get("public", True), "author": {"id": actor_id}}
            self._happened("comment_added", ticket_id, {"comment": told}, actor_id=actor_id)

    def _happened(self, event_type: str, ticket_id: int, event: Mapping[str, Any], *, actor_id: int) -> None:
        self.tell(
            {
                "account_id": 22_129_848, "id": str(uuid.uuid4()), "type": f"zen:event-type:ticket.{event_type}",
                "subject": f"zen:ticket:{ticket_id}", "time": self._now(), "zendesk_event_version": "2022-11-06",
                "detail": _detail(self.tickets[ticket_id], actor_id=actor_id), "event": dict(event),
            }
        )  # fmt: skip


_EVENT_OF_FIELD = {
    "status": "status_changed",
    "priority": "priority_changed",
    "group_id": "group_assignment_changed",
    "assignee_id": "agent_assignment_changed",
    "tags": "tags_changed",
    "subject": "subject_changed",
}


def _invalid(field_name: str, description: str, error: str) -> ApiError:
    details = {field_name: [{"description": description, "error": error}]}
    return ApiError(422, "RecordInvalid", "Record validation errors", details=details)


def _detail(ticket: Mapping[str, Any], *, actor_id: int) -> dict[str, Any]:
    """As event webhooks spell a ticket: ids as strings, words in upper case."""
    ids = ("id", "group_id", "assignee_id", "requester_id", "submitter_id", "organization_id", "brand_id")
    plain = ("subject", "description", "tags", "via", "external_id", "is_public", "created_at", "updated_at")
    return (
        {key: None if ticket[key] is None else str(ticket[key]) for key in ids}
        | {key: ticket[key] for key in plain}
        | {key: _told(key, ticket) for key in ("status", "priority", "type")}
        | {"form_id": str(ticket["ticket_form_id"]), "actor_id": str(actor_id)}
    )


def _told(field_name: str, ticket: Mapping[str, Any]) -> Any:
    value = ticket[field_name]
    if isinstance(value, str) and field_name in ("status", "priority", "type"):
        return value.upper()
    return str(value) if isinstance(value, int) else value


def _tags(given: Any) -> list[str]:
    return sorted({"_".join(str(tag).lower().split()) for tag in given})


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value
