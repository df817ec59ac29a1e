"""
People's side of the built-in desk: open a ticket, take it, talk on it, solve it.

Every function returns the event that the desk tells the world, ready to be signed and sent.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from services.core.connectors import standard_webhooks
from services.core.connectors.door import Call
from services.core.contracts.ticket import Priority
from services.core.kit.errors import NotFound

_OPEN = """
insert into desk_tickets (subject, body, requester_name, requester_email, priority, tags, metadata)
values (%(subject)s, %(body)s, %(requester_name)s, %(requester_email)s, %(priority)s, %(tags)s,
        %(metadata)s)
returning id, updated_at"""
_ASSIGN = """
update desk_tickets set group_name = %(group)s, assignee = %(assignee)s, updated_at = clock_timestamp(),
    status = case when status = 'new' then 'open' else status end
where id = %(id)s returning id, updated_at"""
_SOLVE = """
update desk_tickets set status = 'solved', group_name = coalesce(%(group)s::text, group_name),
    updated_at = clock_timestamp()
where id = %(id)s returning id, updated_at"""
_TOUCH = """
update desk_tickets set updated_at = clock_timestamp()
where id = %(id)s returning id, updated_at"""
_COMMENT = """
insert into desk_comments (ticket_id, body, public, author)
values (%(id)s, %(body)s, %(public)s, %(author)s)"""


@dataclass(frozen=True)
class NewDeskTicket:
    subject: str
    body: str
    requester_name: str | None = None
    requester_email: str | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What someone writes on a ticket."""

    author: str
    body: str
    public: bool = True


@dataclass(frozen=True)
class DeskEvent:
    """What happened on the desk. `delivery_id` stays the same however often it is sent."""

    type: str
    ticket_id: str
    actor_id: str
    at: datetime
    delivery_id: str

    def body(self) -> bytes:
        event = {"type": self.type, "timestamp": self.at.isoformat(), "actor_id": self.actor_id}
        return json.dumps(event | {"data": {"id": self.ticket_id}}).encode()

    def signed(self, secret: SecretStr, *, now: datetime) -> dict[str, str]:
        """The headers that go with `body()`."""
        call = Call({}, self.body())
        return standard_webhooks.DOOR.sign(secret, call, delivery_id=self.delivery_id, now=now)


async def open_ticket(connection: AsyncConnection[Any], ticket: NewDeskTicket) -> str:
    """Opens a ticket in the caller's transaction and returns its number: for callers that tell nobody by webhook."""
    cursor = connection.cursor(row_factory=tuple_row)
    row = await (await cursor.execute(_OPEN, _parameters(ticket))).fetchone()
    assert row is not None  # an insert without a conflict clause returns its row
    return str(row[0])


class DeskAgents:
    """The desk as people use it. The pool belongs to the caller and is open."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def create(self, ticket: NewDeskTicket) -> DeskEvent:
        requester = ticket.requester_email or "requester"
        return await self._run("ticket.created", _OPEN, _parameters(ticket), actor_id=requester)

    async def assign(self, ticket_id: str, *, group: str, assignee: str | None = None) -> DeskEvent:
        """Put it into a group's queue; a new ticket becomes open."""
        parameters = {"id": int(ticket_id), "group": group, "assignee": assignee}
        return await self._run("ticket.assigned", _ASSIGN, parameters, actor_id=assignee or "agent")

    async def comment(self, ticket_id: str, said: Said) -> DeskEvent:
        return await self._run("ticket.commented", _TOUCH, {"id": int(ticket_id)}, actor_id=said.author, said=said)

    async def solve(self, ticket_id: str, said: Said, *, group: str | None = None) -> DeskEvent:
        """Answer and close it; `group` is who really solved it, where that differs."""
        parameters = {"id": int(ticket_id), "group": group}
        return await self._run("ticket.solved", _SOLVE, parameters, actor_id=said.author, said=said)

    async def _run(
        self,
        event_type: str,
        sql: LiteralString,
        parameters: Mapping[str, Any],
        *,
        actor_id: str,
        said: Said | None = None,
    ) -> DeskEvent:
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(row_factory=tuple_row)
            row = await (await cursor.execute(sql, parameters)).fetchone()
            if row is None:
                raise NotFound(f"The desk has no ticket {parameters['id']}.")
            if said is not None:
                await connection.execute(_COMMENT, vars(said) | {"id": row[0]})
        return DeskEvent(event_type, str(row[0]), actor_id, row[1], delivery_id=f"desk_{uuid.uuid4().hex}")


def _parameters(ticket: NewDeskTicket) -> dict[str, Any]:
    return vars(ticket) | {"tags": list(ticket.tags), "metadata": Jsonb(dict(ticket.metadata))}
