"""
A double of HubSpot's CRM API 3: tickets with properties, notes and contacts by association, a search by time.

Written from the vendor's pages: https://developers.hubspot.com/docs/api-reference/. Only properties that are asked for
come back, an option that a dropdown does not have is refused, and what is deleted is not found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import ASGIApp

from services.local.doubles.double import Answer, Asked, Double, Refusal, bearer, indexed, utc_now

TEAMS = ("Billing", "Support")
OPTIONS = {"support_team": {*TEAMS}, "hs_ticket_priority": {"LOW", "MEDIUM", "HIGH", "URGENT"},
           "hs_pipeline_stage": {"1", "2", "3", "4"}}  # fmt: skip
KNOWN = {"subject", "content", "hs_pipeline", "hubspot_owner_id", "pointsman_key", *OPTIONS}
SOURCES = {"pointsman": "1234567", "bo": "userId:42"}
CONTACTS = {"501": {"email": "ana@example.com", "firstname": "Ana", "lastname": ""}}
MAX_PAGE = 3  # of a search: small, so that a test meets the second


@dataclass
class HubSpotDouble:
    """`pointsman-token` is the private app's, `bo-token` stands for a user of the CRM."""

    clock: Callable[[], datetime] = utc_now
    lag_s: float = 0  # of the search
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    linked: list[tuple[str, str, str]] = field(default_factory=list)  # ticket, what, number

    def app(self) -> ASGIApp:
        users = {bearer(f"{name}-token"): name for name in SOURCES}
        wrong = {
            "status": "error",
            "category": "INVALID_AUTHENTICATION",
            "message": "Authentication credentials not found.",
        }
        crm = "/crm/v3"
        return Double(users, clock=self.clock, unauthorized=wrong).build(
            [
                ("GET", f"{crm}/properties/tickets/support_team", _property),
                ("POST", f"{crm}/objects/tickets", self._create),
                ("POST", f"{crm}/objects/tickets/search", self._search),
                ("GET", f"{crm}/objects/tickets/{{id}}", lambda asked: self._shown(self._one(asked), asked)),
                ("PATCH", f"{crm}/objects/tickets/{{id}}", self._update),
                ("DELETE", f"{crm}/objects/tickets/{{id}}", self._delete),
                ("POST", f"{crm}/objects/notes", self._add_note),
                ("POST", f"{crm}/objects/notes/batch/read", self._read_notes),
                ("GET", f"{crm}/objects/contacts/{{id}}", _contact),
            ]
        )

    def _one(self, asked: Asked) -> dict[str, Any]:
        name, wanted = asked.query("idProperty", "hs_object_id"), asked.path("id")
        found = [one for one in self.tickets.values() if one.get(name) == wanted]
        if not found:
            raise Refusal(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"})
        return found[0]

    def _shown(self, ticket: dict[str, Any], asked: Asked) -> dict[str, Any]:
        names = {"hs_object_id", "createdate", "hs_lastmodifieddate", *asked.query("properties").split(",")}
        number, wanted = ticket["hs_object_id"], [name for name in asked.query("associations").split(",") if name]
        linked = {
            what: {
                "results": [
                    {"id": other, "type": "t"} for one, kind, other in self.linked if (one, kind) == (number, what)
                ]
            }
            for what in wanted
        }
        shown = {"id": number, "properties": {name: ticket.get(name) for name in names if name}, "archived": False}
        return shown | ({"associations": linked} if wanted else {})

    def _create(self, asked: Asked) -> Answer:
        given = _checked(asked.body["properties"])
        key = given.get("pointsman_key")
        if key and any(one.get("pointsman_key") == key for one in self.tickets.values()):
            raise Refusal(409, {"status": "error", "category": "CONFLICT", "message": "has that value"})
        number = str(4_000 + len(self.tickets))
        for link in asked.body.get("associations", []):
            self.linked.append((number, "contacts", link["to"]["id"]))
        self.tickets[number] = {
            "hs_object_id": number,
            "createdate": self._now(),
            "hs_lastmodifieddate": self._now(),
            **given,
        }
        return 201, self._shown(self.tickets[number], asked)

    def _update(self, asked: Asked) -> Answer:
        ticket = self._one(asked)
        ticket |= _checked(asked.body["properties"]) | {"hs_lastmodifieddate": self._now()}
        return self._shown(ticket, asked)

    def _delete(self, asked: Asked) -> Answer:
        del self.tickets[self._one(asked)["hs_object_id"]]
        return 204, None

    def _search(self, asked: Asked) -> Answer:
        [[condition]] = [group["filters"] for group in asked.body["filterGroups"]]
        since, start = int(condition["value"]), int(asked.body.get("after", "0"))
        found = indexed(list(self.tickets.values()), _updated, self.clock(), self.lag_s)
        rows = [one for one in found if _ms(one["hs_lastmodifieddate"]) >= since]
        rows.sort(key=lambda one: (one["hs_lastmodifieddate"], -int(one["hs_object_id"])))  # ties in no order of ours
        page = rows[start : start + min(asked.body["limit"], MAX_PAGE)]
        names = {"hs_lastmodifieddate", *asked.body["properties"]}
        shown = [{"id": one["hs_object_id"], "properties": {name: one.get(name) for name in names}} for one in page]
        return {"total": len(rows), "results": shown}

    def _add_note(self, asked: Asked) -> Answer:
        number, links = str(9_000 + len(self.notes)), asked.body.get("associations", [])
        if any(link["types"][0]["associationTypeId"] != 228 or link["to"]["id"] not in self.tickets for link in links):
            raise Refusal(400, {"status": "error", "category": "VALIDATION_ERROR", "message": "invalid association"})
        body = {"hs_note_body": asked.body["properties"]["hs_note_body"], "hs_createdate": self._now()}
        self.notes[number] = body | {"hs_object_source_id": SOURCES[asked.user]}
        for link in links:
            self.linked.append((link["to"]["id"], "notes", number))
            self.tickets[link["to"]["id"]]["hs_lastmodifieddate"] = self._now()
        return 201, {"id": number, "properties": self.notes[number]}

    def _read_notes(self, asked: Asked) -> Answer:
        numbers, names = [one["id"] for one in asked.body["inputs"]], asked.body["properties"]
        shown = [{"id": one, "properties": {name: self.notes[one].get(name) for name in names}} for one in numbers]
        return {"status": "COMPLETE", "results": shown[::-1]}

    def _now(self) -> str:
        return f"{self.clock():%Y-%m-%dT%H:%M:%S}.{self.clock().microsecond // 1000:03}Z"


def _property(asked: Asked) -> Answer:
    options = [{"label": name, "value": name, "hidden": False} for name in TEAMS]
    return {"name": "support_team", "type": "enumeration", "options": [*options, {"value": "Old", "hidden": True}]}


def _contact(asked: Asked) -> Answer:
    name, wanted = asked.query("idProperty", "id"), asked.path("id")
    for number, contact in CONTACTS.items():
        if wanted in (number if name == "id" else contact.get(name),):
            return {"id": number, "properties": contact}
    raise Refusal(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"})


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if name not in KNOWN or (name in OPTIONS and value not in OPTIONS[name]):
            raise Refusal(400, {"status": "error", "category": "VALIDATION_ERROR", "message": f"{value} was not valid"})
    return given


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _updated(ticket: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(ticket["hs_lastmodifieddate"])
