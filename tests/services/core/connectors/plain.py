"""
A made-up system that can do little, with its connector and its double: the pattern to write a connector by.

It has no atomic writes, no optimistic lock, no tags and no search; thin events, and a list in the order of time alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from starlette.types import ASGIApp

from services.core.connectors import lenient, polling
from services.core.connectors.door import Call, Signed
from services.core.connectors.fields import CommentFields, TicketFields
from services.core.connectors.hearing import Told, worded
from services.core.connectors.outbound import Api, segment
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings, HttpUrl, PlainSecret
from services.core.connectors.writing import Change, Priorities, Standing, mark_of
from services.core.contracts.ticket import Comment, NewTicket, Priority, Ticket
from services.core.kit.database import Pool
from services.local.doubles.double import Asked, Double, Refusal, basic, utc_now

NAME = "plain"
TICKET = TicketFields(
    NAME, id="id", subject="title", body="text", requester_email="email", updated="changed", stamp="changed"
)
COMMENT = CommentFields(body="text", author="by", created="at")
PRIORITIES = Priorities({Priority.LOW: 1, Priority.NORMAL: 2, Priority.HIGH: 3, Priority.URGENT: 4})


class PlainSettings(ConnectorSettings):
    base_url: HttpUrl | None = None
    user: str = "pointsman"
    password: PlainSecret | None = None

    def build(self, http: httpx.AsyncClient, pool: Pool) -> "Plain":
        return Plain(self, http)


class Plain(Connector):
    name = NAME
    system = "Plain"
    can = Can.USUAL | Can.GROUPS | Can.OPEN | Can.POLL
    door = Signed(signature_header="x-hub-signature", prefix="sha256=")
    priorities = PRIORITIES

    def __init__(self, settings: PlainSettings, http: httpx.AsyncClient) -> None:
        super().__init__(settings)
        self.own_actors = frozenset({settings.user})
        auth = httpx.BasicAuth(settings.user, settings.password.get_secret_value() if settings.password else "")
        self._api = Api("Plain", settings.base_url or "", http, settings.timeout_s, auth=auth)

    def understand(self, event: Any, call: Call) -> Told:
        return worded(event, id="ticket_id", actor="by")

    async def read(self, external_id: str) -> Ticket:
        return self._ticket(await self._api.object("GET", f"tickets/{segment(external_id)}"))

    async def standing(self, external_id: str, key: str) -> Standing:
        raw = await self._api.object("GET", f"tickets/{segment(external_id)}")
        ticket = self._ticket(raw)
        is_marked = any(mark_of(key) in note["text"] and not note["public"] for note in raw["notes"])
        return Standing(ticket.group, ticket.priority, ticket.status, is_marked, ticket.stamp)

    async def groups(self) -> Mapping[str, str]:
        return {team["name"]: str(team["id"]) for team in await self._api.json("GET", "teams")}

    async def save(self, change: Change, standing: Standing) -> None:
        fields = lenient.given(team_id=change.group_id, urgency=self.priorities.word(change.priority))
        await self._api.object("PATCH", f"tickets/{segment(change.external_id)}", json=fields)

    async def note(self, change: Change) -> None:
        await self._api.object(
            "POST", f"tickets/{segment(change.external_id)}/notes", json={"text": change.marked_note}
        )

    async def find(self, key: str) -> str | None:
        found = [row for row in await self._api.json("GET", "tickets") if row.get("reference") == mark_of(key)]
        return str(found[0]["id"]) if found else None

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        fields = {"title": new.subject, "text": new.body, "email": new.requester.email, "reference": mark_of(new.key)}
        return str((await self._api.object("POST", "tickets", json=fields | {"team_id": group_id}))["id"])

    async def changes(self, after: Position, until: datetime) -> Sequence[Changed]:
        async def page(start: int) -> list[Changed]:
            query = {"since": after.at.isoformat(), "start": start}
            rows = await self._api.json("GET", "tickets", params=query)
            return [Changed(datetime.fromisoformat(row["changed"]), self._ticket(row), row["by"]) for row in rows]

        return await polling.by_time(page, after, until=until)

    def _ticket(self, raw: Mapping[str, Any]) -> Ticket:
        return TICKET.read(
            raw,
            status=lenient.status(raw["state"]),
            priority=self.priorities.read(raw["urgency"]),
            group=raw["team"],
            comments=tuple(map(self._comment, raw["notes"])),
        )

    def _comment(self, note: Mapping[str, Any]) -> Comment:
        return COMMENT.read(note, public=note["public"], author_id=self.author(COMMENT.who(note)))


TEAMS = {"1": "Billing", "2": "Support"}
PAGE = 2


@dataclass
class PlainDouble:
    """The system itself: two users, stamps in whole seconds, pages of two."""

    clock: Any = utc_now
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def app(self) -> ASGIApp:
        users = {basic("pointsman", "secret"): "pointsman", basic("bo", "secret"): "bo"}
        return Double(users, clock=self.clock).build(
            [
                ("GET", "/teams", lambda asked: [{"id": int(number), "name": name} for number, name in TEAMS.items()]),
                ("GET", "/tickets", self.list),
                ("POST", "/tickets", self.open),
                ("GET", "/tickets/{id}", lambda asked: self.one(asked)),
                ("PATCH", "/tickets/{id}", self.change),
                ("POST", "/tickets/{id}/notes", self.add_note),
            ]
        )

    def one(self, asked: Asked) -> dict[str, Any]:
        if asked.path("id") not in self.tickets:
            raise Refusal(404, {"error": "no such ticket"})
        return self.tickets[asked.path("id")]

    def list(self, asked: Asked) -> list[dict[str, Any]]:
        rows = sorted(self.tickets.values(), key=lambda row: row["changed"])
        if not asked.query("since"):
            return rows
        start = int(asked.query("start", "0"))
        return [row for row in rows if row["changed"] >= asked.query("since")][start : start + PAGE]

    def open(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        number = str(len(self.tickets) + 1)
        blank = {"id": int(number), "state": "new", "urgency": None, "team": None, "notes": [], "reference": None}
        self.tickets[number] = blank | {name: asked.body.get(name) for name in ("title", "text", "email", "reference")}
        self.touch(number, asked)
        return 201, self.tickets[number]

    def change(self, asked: Asked) -> dict[str, Any]:
        ticket = self.one(asked)
        if "team_id" in asked.body:
            if asked.body["team_id"] not in TEAMS:
                raise Refusal(422, {"error": "no such team"})
            ticket["team"] = TEAMS[asked.body["team_id"]]
        ticket |= {name: asked.body[name] for name in ("urgency", "state") if name in asked.body}
        return self.touch(asked.path("id"), asked)

    def add_note(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        note = {"text": asked.body["text"], "by": asked.user, "public": asked.body.get("public", False)}
        self.one(asked)["notes"].append(note)
        return 201, self.touch(asked.path("id"), asked)

    def touch(self, number: str, asked: Asked) -> dict[str, Any]:
        self.tickets[number] |= {"changed": self.clock().replace(microsecond=0).isoformat(), "by": asked.user}
        return self.tickets[number]
