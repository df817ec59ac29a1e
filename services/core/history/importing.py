"""
Closed tickets into the table `history`: in batches, each stored together with the position reached, so that an import
that was killed goes on where it stopped and a repeated one changes nothing.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from services.core.connectors import lenient
from services.core.history.redacting import Batch, Redaction
from services.core.history.rows import BadRow, Row
from services.core.kit.errors import Conflict

BATCH_ROWS = 500
UPSERT = """
    insert into history
        (source, external_id, subject, body, "group", priority, created_at, solved_at, categories,
         outcome, content_hash)
    values (%(source)s, %(external_id)s, %(subject)s, %(body)s, %(group)s, %(priority)s, %(created_at)s,
            %(solved_at)s, %(categories)s, %(outcome)s, %(content_hash)s)
    on conflict (source, external_id) do update set
        subject = excluded.subject, body = excluded.body, "group" = excluded."group", priority = excluded.priority,
        created_at = excluded.created_at, solved_at = excluded.solved_at, categories = excluded.categories,
        outcome = excluded.outcome, content_hash = excluded.content_hash
"""
BEGIN = """
    insert into history_imports as i (source, fingerprint) values (%(source)s, %(fingerprint)s)
    on conflict (source) do update set
        fingerprint = excluded.fingerprint, rows_done = 0, rows_bad = 0, started_at = now(), finished_at = null
    where i.fingerprint <> excluded.fingerprint or not %(resume)s
"""


@dataclass(frozen=True)
class Job:
    """One import. `total` rows are in the source; `limit` stops before its end. Its position is kept per source."""

    source: str
    fingerprint: str
    total: int
    limit: int | None = None
    resume: bool = True
    batch_rows: int = BATCH_ROWS

    @property
    def end(self) -> int:
        return self.total if self.limit is None else min(self.limit, self.total)


@dataclass(frozen=True)
class Outcome:
    """What one run of an import did. `resumed_at`: rows an earlier run had already read."""

    source: str
    rows_total: int
    resumed_at: int
    rows_read: int
    rows_stored: int
    rows_bad: int
    rows_without_group: int
    finished: bool


Observer = Callable[[Batch], None]


def import_rows(
    conn: Connection, job: Job, rows: Iterable[Row | BadRow], redact: Redaction, observe: Observer
) -> Outcome:
    """
    Stores the rows not yet stored, redacted, and reports every batch to `observe` once it is committed.

    Raises:
        Conflict: the same source is being imported by another process.
    """
    with alone(conn, job):
        start = _begin(conn, job)
        stored = bad = without_group = 0
        for batch in redact(_batches(islice(rows, start, job.end), job.batch_rows)):
            good = [row for row in batch if isinstance(row, Row)]
            _store(conn, job, good, read=len(batch))
            stored, bad = stored + len(good), bad + len(batch) - len(good)
            without_group += sum(row.group is None for row in good)
            observe(batch)
        read = stored + bad
        finished = _finish(conn, job, start + read)
    return Outcome(job.source, job.total, start, read, stored, bad, without_group, finished)


def position(conn: Connection, job: Job) -> int:
    """Rows of this very file and mapping that were read before."""
    row = conn.execute(
        "select rows_done from history_imports where source = %s and fingerprint = %s",
        (job.source, job.fingerprint),
    ).fetchone()
    return row[0] if row and job.resume else 0


def group_counts(conn: Connection) -> list[dict[str, Any]]:
    """Closed tickets by group, most first, with the days they cover."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """select "group", count(*) as tickets, count(distinct content_hash) as distinct_texts,
                      min(coalesce(solved_at, created_at)) as oldest, max(coalesce(solved_at, created_at)) as newest
               from history group by "group" order by count(*) desc, "group" """
        ).fetchall()


def known_priority(word: str | None) -> str | None:
    """Our word for the source's; its own where we know none, for numbers mean anything."""
    return lenient.priority(word) or word


def content_hash(row: Row) -> str:
    """Identity of a redacted text, blind to case and spacing."""
    return hashlib.sha256(" ".join(f"{row.subject} {row.body}".casefold().split()).encode()).hexdigest()


def _begin(conn: Connection, job: Job) -> int:
    keys = {"source": job.source, "fingerprint": job.fingerprint, "resume": job.resume}
    conn.execute(BEGIN, keys)
    return position(conn, job) if job.resume else 0


def _batches(rows: Iterable[Row | BadRow], size: int) -> Iterator[Batch]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def _store(conn: Connection, job: Job, rows: list[Row], *, read: int) -> None:
    with conn.transaction():
        conn.cursor().executemany(UPSERT, [record(job, row) for row in rows])
        conn.execute(
            "update history_imports set rows_done = rows_done + %s, rows_bad = rows_bad + %s where source = %s",
            (read, read - len(rows), job.source),
        )


def record(job: Job, row: Row) -> dict[str, Any]:
    return {
        "source": job.source,
        "external_id": row.external_id,
        "subject": row.subject,
        "body": row.body,
        "group": row.group,
        "priority": known_priority(row.priority),
        "created_at": row.created_at,
        "solved_at": row.solved_at,
        "categories": Jsonb(dict(row.categories)),
        "outcome": Jsonb(dict(row.outcome)),
        "content_hash": content_hash(row),
    }


def _finish(conn: Connection, job: Job, done: int) -> bool:
    if done < job.total:
        return False
    conn.execute(
        "update history_imports set finished_at = coalesce(finished_at, now()) where source = %s",
        (job.source,),
    )
    return True


@contextmanager
def alone(conn: Connection, job: Job) -> Generator[None]:
    """Holds the import of this source for this connection; a killed process lets go of it by itself."""
    key = f"history import {job.source}"
    if conn.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone() != (True,):
        raise Conflict(f"'{job.source}' is being imported by another process. Wait for it, or use another --source.")
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (key,))
