"""
A double of Freshservice's API 2: tickets, conversations, groups, a filter by tag, and a list in the order of creation.

Written from the vendor's pages: https://api.freshservice.com/. A ticket's tags and requester only come when asked for,
tags are replaced as a whole, and what is in the trash still answers by its id.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from services.local.doubles.double import Answer, Asked, Double, Refusal, basic, indexed, utc_now

GROUPS = {21: "Billing", 22: "Support"}
AGENTS = {"pointsman": 901, "bo": 902}
WRITABLE = {"subject", "description", "group_id", "priority", "status", "responder_id", "tags", "email"}
CHOICES = {"priority": {1, 2, 3, 4}, "status": {2, 3, 4, 5}, "group_id": {None, *GROUPS}}


@dataclass
class FreshserviceDouble:
    """`pointsman-key` and `bo-key` are the keys of two agents."""

    clock: Callable[[], Any] = utc_now
    lag_s: float = 0  # of the filter
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def app(self) -> ASGIApp:
        users = {basic(f"{name}-key", "X"): name for name in AGENTS}
        wrong = {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
        api = "/api/v2"
        return Double(users, clock=self.clock, unauthorized=wrong).build(
            [
                ("GET", f"{api}/groups", lambda asked: paged(asked, "groups", [group(id) for id in GROUPS])),
                ("GET", f"{api}/tickets", self._list),
                ("GET", f"{api}/tickets/filter", self._filter),
                ("POST", f"{api}/tickets", self._create),
                ("GET", f"{api}/tickets/{{id}}", lambda asked: {"ticket": self._shown(self._one(asked), asked)}),
                ("PUT", f"{api}/tickets/{{id}}", self._update),
                ("DELETE", f"{api}/tickets/{{id}}", self._trash),
                ("GET", f"{api}/tickets/{{id}}/conversations", self._conversations),
                ("POST", f"{api}/tickets/{{id}}/notes", self._add_note),
            ]
        )

    def _one(self, asked: Asked) -> dict[str, Any]:
        if asked.path("id") not in self.tickets:
            raise Refusal(404, None)
        return self.tickets[asked.path("id")]

    def _shown(self, ticket: dict[str, Any], asked: Asked) -> dict[str, Any]:
        wanted = asked.query("include").split(",")
        hidden = {name for name in ("tags", "requester") if name not in wanted}
        return {name: value for name, value in ticket.items() if name not in hidden}

    def _list(self, asked: Asked) -> Answer:
        rows = [one for one in self.tickets.values() if one["updated_at"] >= asked.query("updated_since")]
        return paged(asked, "tickets", [self._shown(one, asked) for one in rows if not one["deleted"]])

    def _filter(self, asked: Asked) -> Answer:
        tag = re.fullmatch(r"\"tag:'([^']*)'\"", asked.query("query"))
        if tag is None:
            raise Refusal(400, {"description": "Validation failed", "errors": [{"field": "query", "code": "invalid"}]})
        known = indexed(list(self.tickets.values()), _created, self.clock(), self.lag_s)
        return {"tickets": [self._shown(one, asked) for one in known if tag[1] in one["tags"]]}

    def _create(self, asked: Asked) -> Answer:
        missing = [
            name for name in ("subject", "description", "email", "status", "priority") if not asked.body.get(name)
        ]
        if missing:
            errors = [{"field": name, "code": "missing_field", "message": "It should be a String"} for name in missing]
            raise Refusal(400, {"description": "Validation failed", "errors": errors})
        number = len(self.tickets) + 1
        start: dict[str, Any] = {
            "id": number,
            "group_id": None,
            "responder_id": None,
            "tags": [],
            "deleted": False,
            "spam": False,
        }
        ticket = self.tickets[str(number)] = start | {"requester_id": 700, "created_at": self._now()}
        ticket["requester"] = {"name": asked.body["email"].partition("@")[0], "email": asked.body["email"]}
        self.said[str(number)] = []
        return 201, {"ticket": self._write(ticket, asked)}

    def _update(self, asked: Asked) -> Answer:
        return {"ticket": self._write(self._one(asked), asked)}

    def _trash(self, asked: Asked) -> Answer:
        self._one(asked).update(deleted=True, updated_at=self._now())
        return 204, None

    def _write(self, ticket: dict[str, Any], asked: Asked) -> dict[str, Any]:
        given = asked.body
        wrong = [name for name, known in CHOICES.items() if name in given and given[name] not in known]
        wrong += [name for name in given if name not in WRITABLE | {"source"}]
        if ticket["deleted"] or wrong:
            errors = [
                {"field": name, "code": "invalid_value", "message": "It should be one of these"} for name in wrong
            ]
            raise Refusal(405 if ticket["deleted"] else 400, {"description": "Validation failed", "errors": errors})
        ticket |= {name: given[name] for name in WRITABLE & set(given) - {"email"}}
        ticket |= {"updated_at": self._now(), "description_text": text_of(ticket["description"])}
        return ticket

    def _conversations(self, asked: Asked) -> Answer:
        self._one(asked)
        return paged(asked, "conversations", self.said[asked.path("id")])

    def _add_note(self, asked: Asked) -> Answer:
        ticket = self._one(asked)
        note = {
            "id": len(self.said[asked.path("id")]) + 1, "body": asked.body["body"], "user_id": AGENTS[asked.user],
            "body_text": text_of(asked.body["body"]), "private": asked.body.get("private", True) is True,
            "incoming": False, "created_at": self._now(),
        }  # fmt: skip
        self.said[asked.path("id")].append(note)
        ticket["updated_at"] = note["created_at"]
        return 201, {"conversation": note}

    def _now(self) -> str:
        return f"{self.clock():%Y-%m-%dT%H:%M:%SZ}"


def group(number: int) -> dict[str, Any]:
    return {"id": number, "name": GROUPS[number]}


def paged(asked: Asked, name: str, rows: list[dict[str, Any]]) -> Answer:
    """A page of the list, and where the next one is: the last page tells of none."""
    size, number = min(int(asked.query("per_page", "30")), 100), int(asked.query("page", "1"))
    headers = {"link": f'<?page={number + 1}>; rel="next"'} if number * size < len(rows) else {}
    return JSONResponse({name: rows[(number - 1) * size : number * size]}, headers=headers)


def text_of(body: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", body.replace("<br>", "\n")))


def _created(ticket: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(ticket["created_at"])
