"""What is older than the rules keep: one question per kind, asked by the worker in slices and by people as a count."""

from collections.abc import Mapping
from typing import LiteralString, NamedTuple

from services.core.contracts.retention import Kept


class Due(NamedTuple):
    """`rows`: ids older than `until`. `of_slice`, `of_these`: what follows for ids between two, or for some."""

    rows: LiteralString
    of_slice: LiteralString
    of_these: LiteralString

    @property
    def in_slice(self) -> LiteralString:
        return self.rows + self.of_slice

    @property
    def among(self) -> LiteralString:
        return self.rows + self.of_these


def _tickets(rows: LiteralString) -> Due:
    return Due(rows, " and t.id > %(low)s and t.id <= %(high)s order by t.id", " and t.id = any(%(ids)s)")


# A reduced original has no requester; each delivery that brings text brings one.
DUE: Mapping[Kept, Due] = {
    "originals": _tickets("""
select t.id from tickets t join raw.texts x on x.ticket_id = t.id
where t.state <> 'erased' and t.subject is not null and t.status in ('solved', 'closed') and t.updated_at < %(until)s
    and (x.vault <> '{}' or jsonb_exists(x.ticket, 'requester'))
"""),
    "tickets": _tickets("""
select t.id from tickets t
where t.state <> 'erased' and t.status in ('solved', 'closed') and t.updated_at < %(until)s
    and not exists (select from outbox o where o.ticket_id = t.id and o.state = 'pending')
"""),
    "unclosed": _tickets("""
select t.id from tickets t
where t.state <> 'erased' and t.status not in ('solved', 'closed') and t.updated_at < %(until)s
    and not exists (select from outbox o where o.ticket_id = t.id and o.state = 'pending')
"""),
    "history": Due(
        """
select h.id from history h left join history_imports i on i.source = h.source
where coalesce(h.solved_at, h.created_at, i.started_at) < %(until)s
""",
        " and h.id > %(low)s and h.id <= %(high)s order by h.id",
        " and h.id = any(%(ids)s)",
    ),
    "conversations": Due(
        """
select s.id from sessions s
where s.updated_at < %(until)s and not (s.state = 'escalated' and s.ticket is null)
    and (s.requester is not null or exists (select from messages m where m.session_id = s.id))
""",
        " order by s.id",
        " and s.id = any(%(ids)s)",
    ),
}
