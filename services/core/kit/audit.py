"""
The audit log: append-only, hash-chained in the database, verifiable by anyone who can read it.

An entry is written with what it tells, in one transaction, and waits there to be linked: one lock for the whole chain
would hold every ticket up. The worker links what waits, every half second (services/worker/linking.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row, tuple_row
from psycopg.types.json import Jsonb

APPEND = "select audit_append(%s, %s, %s, %s)"
LINK = "select audit_link(%s) as linked"
LINK_MAX = 500  # entries in one transaction: some 50 ms
WAITING = """
select count(*) as entries, coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8 as oldest_s
from audit_pending
"""

# Compares every row with the hash its content and its predecessor demand, and looks for gaps. Entries before
# 'tenancy.removed' were hashed with the tenant that this entry names.
VERIFY = """
select count(*) as entries, min(seq) filter (where broken) as first_broken,
       (select seq || ':' || hash from audit order by seq desc limit 1) as head,
       (select count(*) from audit_pending) as pending
from (
    select seq,
           hash <> case when seq < removed.at_seq
               then audit_hash(previous, seq, at, removed.tenant, actor, action, subject, detail)
               else audit_hash(previous, seq, at, actor, action, subject, detail) end
           or previous <> coalesce(lag(hash) over (order by seq), '')
           or seq <> coalesce(lag(seq) over (order by seq), 0) + 1 as broken
    from audit left join (
        select seq as at_seq, detail ->> 'tenant' as tenant from audit
        where action = 'tenancy.removed' order by seq limit 1) removed on true) checked
"""


@dataclass(frozen=True)
class ChainReport:
    """
    `first_broken` is the first entry whose hash, link or number is wrong; None when the chain is whole.

    `head` is the newest entry's `number:hash`. Kept elsewhere it is an anchor: a chain that lost its end still looks
    whole in itself. `pending` entries wait to be linked: nothing proves them yet.
    """

    entries: int
    first_broken: int | None
    head: str | None
    pending: int

    @property
    def is_intact(self) -> bool:
        return self.first_broken is None


@dataclass(frozen=True)
class Waiting:
    """What is not in the chain yet; `oldest_s` is the age of what waits longest."""

    entries: int
    oldest_s: float


@dataclass(frozen=True)
class Entry:
    """What happened. `detail` holds ids, hashes, versions and scores; never ticket text."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


async def append(conn: AsyncConnection[Any], entry: Entry) -> None:
    """Adds one entry in the caller's transaction."""
    await conn.execute(APPEND, (entry.actor, entry.action, entry.subject, Jsonb(dict(entry.detail))))


def append_now(conn: Connection, entry: Entry) -> None:
    """As `append`, for commands and jobs."""
    conn.execute(APPEND, (entry.actor, entry.action, entry.subject, Jsonb(dict(entry.detail))))


async def link(conn: AsyncConnection[Any]) -> int:
    """Moves entries that wait into the chain, in their order; how many, 0 also where another is at it."""
    row = await (await conn.cursor(row_factory=tuple_row).execute(LINK, (LINK_MAX,))).fetchone()
    return row[0] if row else 0


async def waiting(conn: AsyncConnection[Any]) -> Waiting:
    """How much is not in the chain yet."""
    row = await (await conn.cursor(row_factory=class_row(Waiting)).execute(WAITING)).fetchone()
    assert row is not None  # an aggregate always has a row
    return row


def has_anchor(conn: Connection, anchor: str) -> bool:
    """Whether the entry that was once the head, `number:hash`, is still there unchanged."""
    number, _, digest = anchor.partition(":")
    found = conn.execute("select 1 from audit where seq::text = %s and hash = %s", (number, digest)).fetchone()
    return found is not None


def verify(conn: Connection) -> ChainReport:
    """Recomputes the whole chain inside the database."""
    with conn.cursor(row_factory=class_row(ChainReport)) as cursor:
        report = cursor.execute(VERIFY).fetchone()
    assert report is not None  # an aggregate always has a row
    return report
