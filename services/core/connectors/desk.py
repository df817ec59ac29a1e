"""
The built-in ticket desk: tickets in our own Postgres, so that a laptop has a ticketing system to triage for.

`Desk` is the connector; people's side of the desk (open, assign, comment, solve) is `desk_agents.py`.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
import psycopg_pool
from psycopg import AsyncCursor
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

from services.core.connectors import standard_webhooks, ticket_events
from services.core.connectors.port import OWN_ACTOR, WriteResult
from services.core.connectors.settings import ConnectorSettings
from services.core.contracts.delivery import Delivery
from services.core.contracts.ticket import Comment, Requester, Ticket, TicketUpdate
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, PayloadInvalid

NAME = "desk"
_BIGINT_MAX = 2**63 - 1

_TICKET = """
select id, subject, body, requester_name, requester_email, status, priority, group_name, assignee, tags, metadata,
       created_at, updated_at
from desk_tickets where id = %(id)s"""
_COMMENTS = "select body, public, author, at from desk_comments where ticket_id = %(id)s order by id"
_CLAIM_KEY = """
insert into desk_writes (key, ticket_id)
select %(key)s, id from desk_tickets where id = %(id)s
on conflict (key) do nothing returning key"""
_STAMP = "select updated_at from desk_tickets where id = %(id)s"
_NOTE = "insert into desk_comments (ticket_id, body, public, author) values (%(id)s, %(note)s, false, %(author)s)"
# The casts tell Postgres the type of a parameter that may be null. Tags keep their order; each stays once.
_APPLY = """
update desk_tickets set
    group_name = coalesce(%(group)s::text, group_name),
    priority = coalesce(%(priority)s::text, priority),
    tags = tags || array(select tag from unnest(%(tags)s::text[]) as tag where tag <> all (tags)),
    updated_at = clock_timestamp()
where id = %(id)s"""


def sign(secret: SecretStr, body: bytes, *, delivery_id: str, now: datetime) -> dict[str, str]:
    """The sender's side: headers for `body`. Sending again keeps `delivery_id`."""
    return standard_webhooks.sign(secret, delivery_id, body, now=now) | {"content-type": "application/json"}


class Desk:
    """The `Connector` for the built-in desk. The pool belongs to the caller and is open."""

    name = NAME

    def __init__(self, settings: ConnectorSettings, pool: AsyncConnectionPool[Any]) -> None:
        self._settings = settings
        self._pool = pool

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        secrets, tolerance_s = self._settings.desk_secrets, self._settings.tolerance_s
        standard_webhooks.verify(headers, body, secrets=secrets, now=now, tolerance_s=tolerance_s)

    def parse(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        delivery = ticket_events.parse(NAME, headers, body)
        if _row_id(delivery.external_id) is None:
            raise PayloadInvalid(f"data.id {delivery.external_id!r} is not a desk ticket's number. Send e.g. 17.")
        return delivery

    async def fetch(self, external_id: str) -> Ticket | None:
        async with _transaction(self._pool) as cursor:
            parameters = {"id": _row_id(external_id)}
            row = await (await cursor.execute(_TICKET, parameters)).fetchone()
            if row is None:
                raise NotFound(f"The desk has no ticket {external_id!r}.")
            comments = await (await cursor.execute(_COMMENTS, parameters)).fetchall()
        return _ticket(row, comments)

    async def write(self, update: TicketUpdate) -> WriteResult:
        parameters = _parameters(update)
        async with _transaction(self._pool) as cursor:
            # A second writer of the same key waits here until the first one's transaction has ended.
            claimed = await (await cursor.execute(_CLAIM_KEY, parameters)).fetchone()
            if claimed is None:
                return await _already(cursor, update, parameters)
            await cursor.execute(_APPLY, parameters)
            if update.note:
                await cursor.execute(_NOTE, parameters)
        # Read back what was committed, not what was sent.
        ticket = await self.fetch(update.external_id)
        return WriteResult("written", stamp=ticket.stamp if ticket else None)


@asynccontextmanager
async def _transaction(pool: AsyncConnectionPool[Any]) -> AsyncGenerator[AsyncCursor[tuple[Any, ...]], None]:
    """One transaction; a database that does not answer is a desk that cannot be reached."""
    try:
        async with pool.connection() as connection, connection.transaction():
            yield connection.cursor(row_factory=tuple_row)  # whatever rows the pool's other users prefer
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as exc:
        raise ConnectorUnavailable(f"The desk's database does not answer ({type(exc).__name__}).") from exc


async def _already(
    cursor: AsyncCursor[tuple[Any, ...]], update: TicketUpdate, parameters: Mapping[str, Any]
) -> WriteResult:
    row = await (await cursor.execute(_STAMP, parameters)).fetchone()
    if row is None:
        raise ConnectorRejected(f"The desk has no ticket {update.external_id!r} to write to.")
    return WriteResult("already", stamp=row[0].isoformat())


def _parameters(update: TicketUpdate) -> dict[str, Any]:
    return {
        "key": update.key,
        "id": _row_id(update.external_id),
        "group": update.group,
        "priority": update.priority,
        "tags": list(dict.fromkeys(update.tags)),
        "note": update.note,
        "author": OWN_ACTOR,
    }


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
