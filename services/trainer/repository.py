"""Closed tickets out of Postgres: imported history, and our own tickets with the group they turned out to need."""

from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row, tuple_row

from services.core.contracts.facts import Facts
from services.core.contracts.sla import SlaRules
from services.core.contracts.ticket import Priority
from services.core.kit import business_time
from services.core.models.texts import join_text
from services.trainer.prepare import Example, Targets, with_queue

HISTORY = """
    select subject, body, "group", coalesce(solved_at, created_at) as at, 'history/' || id as ref,
           source as channel, created_at, solved_at, priority, priority as ranked, categories, outcome
    from history where coalesce("group", '') <> ''
"""

# A person's correction outranks the group at close, which outranks plain feedback. Our own decision says which policy
# a ticket falls under, as it does for the SLA watch; it is nothing to learn a priority from.
LABELS = """
    select distinct on (t.id) t.subject, t.body, l."group", l.at, 'ticket/' || t.id as ref,
           t.connector as channel, t.created_at, null as priority, t.categories, '{}'::jsonb as outcome,
           (select d.priority from decisions d where d.ticket_id = t.id order by d.id desc limit 1) as ranked,
           (select c.at from labels c where c.ticket_id = t.id and c.source = 'close') as solved_at
    from labels l join tickets t on t.id = l.ticket_id
    where t.state <> 'erased' and coalesce(t.subject, t.body) is not null
    order by t.id, array_position(array['review', 'close', 'feedback'], l.source), l.at desc
"""
RULES = "select rules from sla_rules order by id desc limit 1"


def read_examples(conn: Connection[Any]) -> list[Example]:
    """Every closed ticket, redacted, oldest first, with what became of it as far as it is known."""
    rows: list[dict[str, Any]] = []
    for statement in (HISTORY, LABELS):
        rows += conn.cursor(row_factory=dict_row).execute(statement).fetchall()
    found = conn.cursor(row_factory=tuple_row).execute(RULES).fetchone()
    rules = SlaRules.stored(found[0]) if found else SlaRules()
    examples = [_example(row, rules) for row in rows]
    return with_queue(sorted(examples, key=lambda row: (row.at is not None, row.at)))


def _example(row: dict[str, Any], rules: SlaRules) -> Example:
    opened, solved = row["created_at"], row["solved_at"]
    is_timed = opened is not None and solved is not None and solved >= opened
    return Example(
        join_text(row["subject"] or "", row["body"] or ""),
        row["group"],
        row["at"],
        row["ref"],
        facts=Facts(opened_at=opened, categories={"channel": row["channel"], **row["categories"]}),
        targets=Targets(
            hours=row["outcome"].get("hours", (solved - opened).total_seconds() / 3600 if is_timed else None),
            breached=_breached(row, rules, is_timed=is_timed),
            priority=row["priority"] or "",
            impact=row["outcome"].get("impact", ""),
            urgency=row["outcome"].get("urgency", ""),
        ),
    )


def _breached(row: dict[str, Any], rules: SlaRules, *, is_timed: bool) -> bool | None:
    """By the policies of today; where none is for such a ticket what the export said of it, None where it did not."""
    word = row["ranked"]
    policy = rules.policy_for(row["group"], Priority(word) if word in tuple(Priority) else None)
    if policy is None or not is_timed:
        return row["outcome"].get("breached")
    return _due(row["created_at"], policy.target_hours, rules, policy.calendar) < row["solved_at"]


def _due(opened: datetime, hours: float, rules: SlaRules, calendar: str | None) -> datetime:
    return business_time.after(opened, hours, rules.calendars[calendar] if calendar else None)
