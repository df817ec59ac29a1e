"""The audit log: append-only, hash-chained in the database, verifiable by anyone who can read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

APPEND = "select audit_append(%s, %s, %s, %s)"

# Compares every row with the hash its content and its predecessor demand, and looks for gaps. Entries before
# 'tenancy.removed' were hashed with the tenant that this entry names.
VERIFY = """
select count(*) as entries, min(seq) filter (where broken) as first_broken,
       (select seq || ':' || hash from audit order by seq desc limit 1) as head
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
    whole in itself.
    """

    entries: int
    first_broken: int | None
    head: str | None

    @property
    def is_intact(self) -> bool:
        return self.first_broken is None


@dataclass(frozen=True)
class Entry:
    """What happened. `detail` holds ids, hashes, versions and scores; never ticket text."""

    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


async def append(conn: AsyncConnection[Any], entry: Entry) -> None:
    """Adds one entry in the caller's transaction. Call it last there: it holds the chain's lock until commit."""
    await conn.execute(APPEND, (entry.actor, entry.action, entry.subject, Jsonb(dict(entry.detail))))


def append_now(conn: Connection, entry: Entry) -> None:
    """As `append`, for commands and jobs."""
    conn.execute(APPEND, (entry.actor, entry.action, entry.subject, Jsonb(dict(entry.detail))))


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
