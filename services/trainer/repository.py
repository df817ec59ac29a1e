"""Closed tickets out of Postgres: imported history, and our own tickets with the group they turned out to need."""

from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from services.core.models.texts import join_text
from services.trainer.prepare import Example

HISTORY = """
    select subject, body, "group", coalesce(solved_at, created_at) as at, 'history/' || id as ref
    from history where coalesce("group", '') <> ''
"""

# a person's correction outranks the group at close, which outranks plain feedback
LABELS = """
    select distinct on (t.id) t.subject, t.body, l."group", l.at, 'ticket/' || t.id as ref
    from labels l join tickets t on t.id = l.ticket_id
    where t.state <> 'erased' and coalesce(t.subject, t.body) is not null
    order by t.id, array_position(array['review', 'close', 'feedback'], l.source), l.at desc
"""


def read_examples(conn: Connection[Any]) -> list[Example]:
    """Every closed ticket, redacted, oldest first."""
    rows: list[dict[str, Any]] = []
    for statement in (HISTORY, LABELS):
        rows += conn.cursor(row_factory=dict_row).execute(statement).fetchall()
    examples = [Example(join_text(r["subject"] or "", r["body"] or ""), r["group"], r["at"], r["ref"]) for r in rows]
    return sorted(examples, key=lambda row: (row.at is not None, row.at))
