"""
The built-in ticket desk: tickets in our own Postgres, so that a laptop has a ticketing system to triage for.

`Desk` is the connector; people's side of the desk (open, assign, comment, solve) is `desk_agents.py`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import psycopg
import psycopg_pool
from psycopg import AsyncCursor
from psycopg.rows import tuple_row

from services.core.connectors import standard_webhooks, ticket_events
from services.core.connectors.door import Call
from services.core.connectors.hearing import OWN_ACTOR, Told
from services.core.connectors.polling import Changed, Position
from services.core.connectors.port import Can, Connector
from services.core.connectors.settings import ConnectorSettings, WebhookSecret
from services.core.connectors.writing import Change, Standing
from services.core.contracts.ticket import Comment, NewTicket, Priority, Requester, Status, Ticket
from services.core.kit.database import Pool
from services.core.kit.errors import ConnectorUnavailable, NotFound, PayloadInvalid, UpdateConflict

NAME = "desk"
_BIGINT_MAX = 2**63 - 1

_TICKET = """
select id, subject, body, requester_name, requester_email, status, priority, group_name, assignee, tags, metadata,
       created_at, updated_at
from desk_tickets where id = %(id)s"""
_COMMENTS = "select body, public, author, at from desk_comments where ticket_id = %(id)s order by id"
_STANDING = """
select t.group_name, t.priority, t.status, t.updated_at, exists (select from desk_writes where key = %(key)s) as marked
from desk_tickets t where t.id = %(id)s"""
# A second writer waits here until the first one's transaction has ended, and finds another stamp.
_LOCK = "select updated_at from desk_tickets where id = %(id)s for update"
_CLAIM_KEY = (
    "insert into desk_writes (key, ticket_id) values (%(key)s, %(id)s) on conflict (key) do nothing returning key"
)
_FIND = "select ticket_id from desk_writes where key = %(key)s"
_CREATE = """
with opened as (
    insert into desk_tickets (subject, body, requester_name, requester_email, group_name, priority, tags)
    values (%(subject)s, %(body)s, %(name)s, %(email)s, %(group)s, %(priority)s, %(tags)s)
    returning id
)
insert into desk_writes (key, ticket_id) select %(key)s, id from opened on conflict (key) do nothing returning ticket_id
"""
_CHANGES = """
select id, updated_at from desk_tickets
where (updated_at, id) > (%(at)s, %(after)s) and updated_at <= %(until)s
order by updated_at, id limit 100"""
_NOTE = "insert into desk_comments (ticket_id, body, public, author) values (%(id)s, %(note)s, false, %(author)s)"
# The casts tell Postgres the type of a parameter that may be null. Tags keep their order; each stays once.
_APPLY = """
update desk_tickets set
    group_name = coalesce(%(group)s::text, group_name),
    priority = coalesce(%(priority)s::text, priority),
    tags = tags || array(select tag from unnest(%(tags)s::text[]) as tag where tag <> all (tags)),
    updated_at = clock_timestamp()
where id = %(id)s"""


class DeskSettings(ConnectorSettings):
    """Always on: tickets that come as plain JSON live on the desk, and writing to it needs no secret."""

    secrets: tuple[WebhookSecret, ...] = ()

    @property
    def is_on(self) -> bool:
        return True

    def build(self, http: httpx.AsyncClient, pool: Pool) -> "Desk":
        return Desk(self, pool)


class Desk(Connector):
    """The built-in desk. A write is one transaction that also keeps the key; the pool is the caller's and open."""

    name = NAME
    system = "The desk"
    can = Can.USUAL | Can.ATOMIC | Can.GUARDED | Can.TAGS | Can.OPEN | Can.POLL
    door = standard_webhooks.DOOR
    own_actors = frozenset({OWN_ACTOR})

    def __init__(self, settings: DeskSettings, pool: Pool) -> None:
        super().__init__(settings)
        self._pool = pool

    def understand(self, event: Any, call: Call) -> Told:
        told = ticket_events.understand(NAME, event)
        if _row_id(told.external_id) is None:
            raise PayloadInvalid(f"data.id {told.external_id!r} is not a desk ticket's number. Send e.g. 17.")
        return told

    async def read(self, external_id: str) -> Ticket:
        async with _transaction(self._pool) as cursor:
            parameters = {"id": _row_id(external_id)}
            row = await (await cursor.execute(_TICKET, parameters)).fetchone()
            if row is None:
                raise NotFound(f"The desk has no ticket {external_id!r}.")
            comments = await (await cursor.execute(_COMMENTS, parameters)).fetchall()
        return _ticket(row, comments)

    async def standing(self, external_id: str, key: str) -> Standing:
        async with _transaction(self._pool) as cursor:
            parameters = {"id": _row_id(external_id), "key": key}
            row = await (await cursor.execute(_STANDING, parameters)).fetchone()
        if row is None:
            raise NotFound(f"The desk has no ticket {external_id!r} to write to.")
        group, priority, status, updated_at, is_marked = row
        found = Priority(priority) if priority else None
        return Standing(group, found, Status(status), is_marked, stamp=updated_at.isoformat(), raw=updated_at)

    async def save(self, change: Change, standing: Standing) -> str | None:
        parameters = {**vars(change), "id": _row_id(change.external_id), "author": OWN_ACTOR}
        parameters["tags"] = list(dict.fromkeys(change.tags))
        async with _transaction(self._pool) as cursor:
            row = await (await cursor.execute(_LOCK, parameters)).fetchone()
            if row is None or row[0] != standing.raw:
                raise UpdateConflict(f"Desk ticket {change.external_id} changed meanwhile.")
            if await (await cursor.execute(_CLAIM_KEY, parameters)).fetchone() is None:
                raise UpdateConflict(f"Desk ticket {change.external_id} is being written to under this key.")
            await cursor.execute(_APPLY, parameters)
            if change.note:
                await cursor.execute(_NOTE, parameters)
        return None

    async def find(self, key: str) -> str | None:
        async with _transaction(self._pool) as cursor:
            row = await (await cursor.execute(_FIND, {"key": key})).fetchone()
        return str(row[0]) if row else None

    async def create(self, new: NewTicket, group_id: str | None) -> str:
        parameters = {
            **new.model_dump(mode="json"),
            "name": new.requester.name,
            "email": new.requester.email,
            "tags": list(new.tags),
        }
        async with _transaction(self._pool) as cursor:
            row = await (await cursor.execute(_CREATE, {**parameters, "requester": None})).fetchone()
            if row is None:  # another worker was faster; what we inserted goes with the transaction
                raise UpdateConflict("The desk is opening this ticket already.")
        return str(row[0])

    async def changes(self, after: Position, until: datetime) -> list[Changed]:
        parameters = {"at": after.at, "after": int(after.id or 0), "until": until}
        async with _transaction(self._pool) as cursor:
            rows = await (await cursor.execute(_CHANGES, parameters)).fetchall()
        return [Changed(at, await self.read(str(number))) for number, at in rows]


@asynccontextmanager
async def _transaction(pool: Pool) -> AsyncGenerator[AsyncCursor[tuple[Any, ...]], None]:
    """One transaction; a database that does not answer is a desk that cannot be reached."""
    try:
        async with pool.connection() as connection, connection.transaction():
            yield connection.cursor(row_factory=tuple_row)  # whatever rows the pool's other users prefer
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as exc:
        raise ConnectorUnavailable(f"The desk's database does not answer ({type(exc).__name__}).") from exc


def _row_id(external_id: str) -> int | None:
    """The row's number, or None: such a ticket cannot exist here."""
    number = int(external_id) if external_id.isascii() and external_id.isdecimal() else 0
    return number if 0 < number <= _BIGINT_MAX else None


def _ticket(row: tuple[Any, ...], comments: list[tuple[Any, ...]]) -> Ticket:
    number, subject, body, name, email, status, priority, group, assignee, tags, metadata, created_at, updated_at = row
    return Ticket(
        connector=NAME,
        external_id=str(number),
        subject=subject,
        body=body,
        requester=Requester(name=name, email=email),
        status=status,
        priority=priority,
        group=group,
        assignee_id=assignee,
        tags=tuple(tags),
        comments=tuple(Comment(body=text, public=public, author_id=who, at=at) for text, public, who, at in comments),
        created_at=created_at,
        updated_at=updated_at,
        stamp=updated_at.isoformat(),
        metadata=metadata,
    )
