"""
Which thread a mail belongs to, where the mails of a thread lie, and what we sent: two tables of hashes.

Everything may be done twice: a mail that is read again finds its own row, under whatever UID it lies now.
"""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
import psycopg_pool
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from services.core.connectors.email.mailbox import Folder, Place
from services.core.connectors.email.reading import Mail
from services.core.kit.database import Pool
from services.core.kit.errors import ConnectorUnavailable

_BEGIN = """
insert into mailboxes as known (name, uidvalidity, next_uid, begun_at)
values (%(mailbox)s, %(validity)s, %(next_uid)s, %(begun_at)s)
on conflict (name) do update set uidvalidity = excluded.uidvalidity,
    next_uid = case when known.uidvalidity = excluded.uidvalidity then known.next_uid else excluded.next_uid end
returning next_uid, begun_at
"""
# A mail that others named before it came belongs where they are; else the nearest that it names itself decides.
_THREAD = """
select thread from mails
where mailbox = %(mailbox)s and (key = %(key)s or message_id = any(%(references)s::text[])
                                 or (message_id = %(message_id)s and kind = 'named'))
order by key = %(key)s desc, kind = 'named',
    array_position(%(references)s::text[], message_id) desc nulls last, at desc
limit 1
"""
_KEEP = """
insert into mails (mailbox, key, kind, message_id, thread, uidvalidity, uid, person, "group", priority, at)
values (%(mailbox)s, %(key)s, %(kind)s, %(message_id)s, %(thread)s, %(validity)s::bigint, %(uid)s::bigint, %(person)s,
        %(group)s, %(priority)s, coalesce(%(at)s::timestamptz, now()))
on conflict (mailbox, key) do update set uidvalidity = excluded.uidvalidity, uid = excluded.uid
"""
_NAME = """
insert into mails (mailbox, key, kind, message_id, thread)
select %(mailbox)s, 'named:' || id, 'named', id, %(thread)s from unnest(%(references)s::text[]) as id
where not exists (select from mails m where m.mailbox = %(mailbox)s and m.message_id = id)
on conflict do nothing
"""
_ROWS = """
select key, kind, message_id, uidvalidity, uid, person, "group", priority, at from mails
where mailbox = %(mailbox)s and thread = %(thread)s and kind <> 'named'
order by kind <> 'opened', at, uid
"""
_MOVED = """
update mails set uidvalidity = %(validity)s, uid = %(uid)s
where mailbox = %(mailbox)s and message_id = %(message_id)s and kind = 'opened'
"""
_ANSWERED = """
select count(*) as answers from mails
where mailbox = %(mailbox)s and person = %(person)s and kind = 'answered' and at > now() - interval '1 hour'
"""
_HANDED_OVER = """
select thread from mails where mailbox = %(mailbox)s and message_id = %(message_id)s and kind = 'handed_over'
"""
_SENT = "select thread from mails where mailbox = %(mailbox)s and message_id = %(message_id)s and kind <> 'named'"


@dataclass(frozen=True)
class Sent:
    """A mail of ours. `newest` is the last mail that was in a hand-over, or where an opened ticket's own mail lies."""

    kind: str
    message_id: str
    thread: str
    newest: Place | None = None
    person: str | None = None
    group: str | None = None
    priority: str | None = None


@dataclass(frozen=True)
class Threads:
    """The threads of one mailbox; the pool is the caller's."""

    pool: Pool
    mailbox: str

    async def begin(self, folder: Folder, begun_at: datetime) -> tuple[int, datetime]:
        """The first UID that came since this UIDVALIDITY was first seen, and since when we listen at all."""
        row = await self._one(_BEGIN, validity=folder.validity, next_uid=folder.next_uid, begun_at=begun_at)
        assert row is not None
        return row["next_uid"], row["begun_at"]

    async def thread_of(self, mail: Mail) -> str | None:
        """The thread that this mail is in or answers."""
        row = await self._one(_THREAD, **_named(mail))
        return row["thread"] if row else None

    async def keep(self, mail: Mail, thread: str, kind: str = "heard") -> None:
        """The mail and what it names, in this thread; where it lies now."""
        person = hashed(mail.sender.email) if mail.sender.email else None
        values = _named(mail) | {"thread": thread, "kind": kind, "person": person, "at": mail.raw.at}
        place = {"validity": mail.raw.place.validity, "uid": mail.raw.place.uid, "group": None, "priority": None}
        async with self._cursor() as cursor:
            await cursor.execute(_KEEP, values | place | {"mailbox": self.mailbox})
            await cursor.execute(_NAME, values | {"mailbox": self.mailbox})

    async def moved(self, mail: Mail) -> None:
        """Where a mail lies now, if it is a ticket that we opened."""
        await self._one(_MOVED, **_named(mail), validity=mail.raw.place.validity, uid=mail.raw.place.uid)

    async def rows(self, thread: str) -> Sequence[DictRow]:
        """What was heard and sent, the oldest first."""
        async with self._cursor() as cursor:
            return await (await cursor.execute(_ROWS, {"mailbox": self.mailbox, "thread": thread})).fetchall()

    async def sent(self, mail: Sent) -> None:
        """Notes that a mail of ours is out."""
        place = {"validity": mail.newest.validity if mail.newest else None, "uid": mail.newest and mail.newest.uid}
        message_id = hashed(mail.message_id)
        await self._one(_KEEP, **vars(mail) | place | {"key": message_id, "message_id": message_id, "at": None})

    async def find(self, message_id: str) -> str | None:
        """The thread of a mail of ours."""
        row = await self._one(_SENT, message_id=hashed(message_id))
        return row["thread"] if row else None

    async def handed_over(self, message_id: str) -> str | None:
        """The thread of this hand-over of ours; None where it is none."""
        row = await self._one(_HANDED_OVER, message_id=hashed(message_id))
        return row["thread"] if row else None

    async def answers(self, address: str) -> int:
        """How many this address was sent in the last hour."""
        row = await self._one(_ANSWERED, person=hashed(address))
        return row["answers"] if row else 0

    async def _one(self, statement: LiteralString, **values: Any) -> DictRow | None:
        async with self._cursor() as cursor:
            await cursor.execute(statement, values | {"mailbox": self.mailbox})
            return await cursor.fetchone() if cursor.description else None

    @asynccontextmanager
    async def _cursor(self) -> AsyncGenerator[AsyncCursor[DictRow], None]:
        try:
            async with self.pool.connection() as connection, connection.transaction():
                yield connection.cursor(row_factory=dict_row)
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as exc:
            raise ConnectorUnavailable(f"The table of mails does not answer ({type(exc).__name__}).") from exc


def hashed(name: str) -> str:
    """A Message-ID or an address as the tables have it."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]


def _named(mail: Mail) -> dict[str, Any]:
    return {
        "key": mail.key,
        "message_id": hashed(mail.message_id or mail.key),
        "references": [hashed(one) for one in mail.references],
    }
