"""
What a person's answer in the review queue changes, and how it is taken back.

An answer may name what was seen of the ticket: one whose text or decision changed since is not answered unread. Its
letter waits for a moment, so that most answers are taken back before anybody was told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

from psycopg.rows import DictRow

from services.core.connectors import write_back
from services.core.connectors.write_back import About
from services.core.contracts.decision import Decision
from services.core.contracts.prediction import NO_GROUP
from services.core.contracts.ticket import ENDED, Seen
from services.core.kit import audit
from services.core.kit.database import Connection
from services.core.kit.errors import Conflict, InputInvalid, NotFound
from services.core.kit.security import Principal
from services.gateway import repository
from services.gateway.metrics import CORRECTIONS

Verdict = Literal["group", "no_group", "not_a_ticket"]
State = Literal["accepted", "corrected", "no_group", "not_a_ticket"]
UNDO_MINUTES = 15  # afterwards people work on what was written; feedback corrects it
WORDS: Mapping[State, str] = {
    "accepted": "Accepted",
    "corrected": "Corrected",
    "no_group": "None of the groups",
    "not_a_ticket": "Not a ticket",
}

# What was read when an answer was given: the newest decision, and the text.
SEEN: LiteralString = "d.id || '-' || left(md5(coalesce(t.subject, '') || chr(31) || coalesce(t.body, '')), 16)"
ANSWERABLE: LiteralString = "select t.id, t.connector, t.external_id, t.seen, d.decision, "
OF_TICKET: LiteralString = """ as mark from tickets t
left join lateral (select id, decision from decisions where ticket_id = t.id order by id desc limit 1) d on true
where t.id = %s and t.state <> 'erased' for share of t
"""
PROPOSED: LiteralString = ANSWERABLE + SEEN + OF_TICKET
CLOSE = """
update reviews set state = %(state)s, "group" = %(group)s, closed_by = %(by)s, closed_at = now(), answers = answers + 1
where ticket_id = %(ticket_id)s and state = 'open' returning answers
"""
LABEL = """
insert into labels (ticket_id, "group", source, by) values (%(ticket_id)s, %(group)s, %(source)s, %(by)s)
on conflict (ticket_id, source) do update set "group" = excluded."group", by = excluded.by, at = now()
"""
UNLABEL = "delete from labels where ticket_id = %s and source = 'review'"
ANSWERED = """
select r.state, r.answers, r.closed_by, r.closed_at > now() - make_interval(mins => %(minutes)s) as is_fresh, t.status
from reviews r join tickets t on t.id = r.ticket_id
where r.ticket_id = %(ticket_id)s and t.state <> 'erased' for update of r
"""
REOPEN = """
update reviews set state = 'open', "group" = null, closed_by = null, closed_at = null where ticket_id = %s
"""
LETTER = "select id, state, attempts from outbox where key = %s for update"
RECALL = "update outbox set state = 'superseded', settled_at = now(), result = 'taken back' where id = %s"
# What an answer that was taken back had written before: the next one is compared with that.
WRITTEN = """
select payload ->> 'group' as "group", payload ->> 'priority' as priority from outbox
where ticket_id = %s and key like %s and state = 'sent' order by settled_at desc limit 1
"""


@dataclass(frozen=True)
class Answered:
    """`number`: how often the ticket has been answered; names this answer to `undo`."""

    ticket_id: int
    state: State
    group: str | None
    number: int

    @property
    def words(self) -> str:
        return f"{WORDS[self.state]}: {self.group}" if self.group else WORDS[self.state]


async def close_review(
    conn: Connection,
    ticket_id: int,
    who: Principal,
    *,
    group: str | None = None,
    verdict: Verdict = "group",
    mark: str | None = None,
    hold_s: float = 0,
) -> Answered:
    """
    A person accepts the proposed group, names another, or says that none fits or that it is no ticket at all; the
    answer is written back after `hold_s` seconds and becomes a label.

    Raises:
        NotFound: no such ticket.
        Conflict: its review is closed already, or it is not any more what `mark` says that was seen.
        InputInvalid: the group is not in the label catalogue, or nothing was proposed that could be accepted.
    """
    async with conn.transaction():
        proposed = await _proposed(conn, ticket_id)
        if mark is not None and mark != proposed["mark"]:
            raise Conflict(f"Ticket {ticket_id} changed since you looked at it. Look again.")
        decided: dict[str, Any] = proposed["decision"] or {}
        final, state = await _final(conn, verdict, group, decided.get("group"))
        values = {"state": state, "group": final, "by": who.name, "ticket_id": ticket_id}
        row = await (await conn.execute(CLOSE, values)).fetchone()
        if row is None:
            raise Conflict(f"Ticket {ticket_id} is not waiting for a review. Use feedback to correct it afterwards.")
        await conn.execute(LABEL, {**values, "group": final or NO_GROUP, "source": "review"})
        done = Answered(ticket_id, state, final, row["answers"])
        await _write_back(conn, proposed, done, by=who.name, hold_s=hold_s)
        await audit.append(
            conn, entry(who, ticket_id, f"review.{state}", {"group": final, "proposed": decided.get("group")})
        )
    CORRECTIONS.labels(state).inc()
    return done


async def undo(conn: Connection, ticket_id: int, who: Principal, *, number: int) -> None:
    """
    Takes a person's own answer back: the review is open again, the label is gone, and so is the letter if it has not
    left. What was written already stays until the next answer is written over it.

    Raises:
        NotFound: no such ticket. Conflict: it is not theirs, not the newest, too long ago, or being written.
    """
    async with conn.transaction():
        await _proposed(conn, ticket_id)
        found = await (await conn.execute(ANSWERED, {"ticket_id": ticket_id, "minutes": UNDO_MINUTES})).fetchone()
        if found is None or (why := _why_not(found, who, number)):
            raise Conflict(f"Ticket {ticket_id}: {why if found else 'it never waited for a review.'}")
        was_recalled = await _recall(conn, letter_key(ticket_id, number))
        await conn.execute(UNLABEL, (ticket_id,))
        await conn.execute(REOPEN, (ticket_id,))
        detail = {"was": found["state"], "number": number, "letter": "recalled" if was_recalled else "had left"}
        await audit.append(conn, entry(who, ticket_id, "review.undone", detail))
    CORRECTIONS.labels("undone").inc()


async def give_feedback(conn: Connection, ticket_id: int, who: Principal, *, group: str) -> str | None:
    """
    A person says afterwards which group was right: a label to learn from; nothing is written back. The decided group.

    Raises:
        NotFound, InputInvalid: as in `close_review`.
    """
    async with conn.transaction():
        proposed = await _proposed(conn, ticket_id)
        final = await require_group(conn, group)
        await conn.execute(LABEL, {"ticket_id": ticket_id, "group": final, "source": "feedback", "by": who.name})
        await audit.append(conn, entry(who, ticket_id, "feedback.given", {"group": final}))
    return (proposed["decision"] or {}).get("group")


async def require_group(conn: Connection, group: str | None) -> str:
    """
    Raises:
        InputInvalid: it is not in the label catalogue.
    """
    names = [row["name"] for row in await repository.groups(conn)]
    if group is None or group not in names:
        raise InputInvalid(f"Group '{group}' is not in the label catalogue. It has: {', '.join(names) or 'none yet'}.")
    return group


def letter_key(ticket_id: int, number: int) -> str:
    """The first answer's letter has the stage's plain key; one after an undo its own."""
    return f"{ticket_id}:review" if number == 1 else f"{ticket_id}:review:{number}"


def entry(who: Principal, ticket_id: int, action: str, detail: dict[str, Any]) -> audit.Entry:
    return audit.Entry(f"user/{who.name}", action, f"ticket/{ticket_id}", detail)


async def _final(
    conn: Connection, verdict: Verdict, group: str | None, proposed: str | None
) -> tuple[str | None, State]:
    if verdict != "group":
        if group is not None:
            raise InputInvalid(f"An answer is a group or '{verdict}', not both. Leave one out.")
        return None, verdict
    final = await require_group(conn, group or proposed)
    return final, "accepted" if final == proposed else "corrected"


async def _proposed(conn: Connection, ticket_id: int) -> DictRow:
    row = await (await conn.execute(PROPOSED, (ticket_id,))).fetchone()
    if row is None:
        raise NotFound(f"There is no ticket {ticket_id}.")
    return row


def _why_not(found: DictRow, who: Principal, number: int) -> str:
    if found["state"] == "open":
        return "its review is open."
    if found["closed_by"] != who.name:
        return f"{found['closed_by']} answered it. Only they can take that back; feedback corrects it."
    if found["answers"] != number:
        return "it was answered again since. Look at its newest answer."
    if not found["is_fresh"]:
        return f"it was answered more than {UNDO_MINUTES} minutes ago. Feedback corrects it."
    if found["status"] in ENDED:
        return f"it is {found['status']} by now. Feedback corrects the label."
    return ""


async def _recall(conn: Connection, key: str) -> bool:
    """
    Whether nothing had left.

    Raises:
        Conflict: a worker has the letter in its hands, or will again: two letters could pass each other.
    """
    letter = await (await conn.execute(LETTER, (key,))).fetchone()
    if letter is None or letter["state"] != "pending":
        return letter is None
    if letter["attempts"]:
        raise Conflict("Its ticketing system is being told of the answer and has not taken it yet. Try again later.")
    await conn.execute(RECALL, (letter["id"],))
    return True


async def _write_back(conn: Connection, proposed: DictRow, done: Answered, *, by: str, hold_s: float) -> None:
    if proposed["decision"] is None:
        return
    decision = Decision.stored(proposed["decision"])
    seen = Seen.stored(proposed["seen"] or {})
    if done.number > 1:
        seen = await _seen_since(conn, seen, done)
    about = About(proposed["id"], proposed["connector"], proposed["external_id"], seen)
    update = write_back.answered(decision, about, group=done.group, verdict=done.state, by=by)
    if update is not None:
        update = update.model_copy(update={"key": letter_key(done.ticket_id, done.number)})
        await write_back.put(conn, update, about, hold_s=hold_s)


async def _seen_since(conn: Connection, seen: Seen, done: Answered) -> Seen:
    """As it was seen, with what an answer that was taken back has written since."""
    values = (done.ticket_id, f"{done.ticket_id}:review%")
    row = await (await conn.execute(WRITTEN, values)).fetchone()
    written = {name: value for name, value in (row or {}).items() if value is not None}
    return Seen.model_validate({**seen.model_dump(), "stamp": None, **written}) if written else seen
