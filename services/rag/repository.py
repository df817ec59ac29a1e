"""The conversations' SQL. Callers commit."""

import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.core.contracts.conversation import Action, Answer, Author, Message, Session, SessionState
from services.core.kit.database import Connection

OPEN = "insert into sessions (id, token_sha256, groups, requester) values (%s, %s, %s, %s)"
SESSION = "select * from sessions where id = %s"
LOCKED = SESSION + " for update"
SAY = """
insert into messages (id, session_id, author, text, answer, replies_to, external, done)
values (%(id)s, %(session_id)s, %(author)s, %(text)s, %(answer)s, %(replies_to)s, %(external)s, %(done)s)
on conflict do nothing returning id
"""
KEEP = "insert into raw.messages (message_id, text, vault) values (%s, %s, %s)"
MESSAGES = """
select m.id, m.session_id, m.author, coalesce(r.text, m.text) as text, m.text as redacted, m.answer, m.at, m.done
from messages m left join raw.messages r on r.message_id = m.id where m.session_id = %s order by m.place
"""
HEARD = "select external from messages where session_id = %s and external is not null"
COUNT = "select count(*) as messages from messages where session_id = %s and id <> %s"
REPLY = "select id, author, text, answer, at from messages where replies_to = %s"
WAITING = """
select m.id, m.session_id from messages m where m.author = 'user' and not m.done
and m.at < now() - make_interval(secs => %s) order by m.place limit 50
"""
DONE = "update messages set done = true where id = %s"
MOVE = """
update sessions set state = %(state)s, reason = coalesce(%(reason)s, reason), updated_at = now() where id = %(id)s
"""
EVENT = "insert into session_events (session_id, kind, detail) values (%s, %s, %s)"
NOTED = "select 1 from session_events where session_id = %s and kind = any(%s) limit 1"
FIRST = UUID(int=0)
ROUND = 200  # conversations; those whose ticket is still to be opened are in each
ESCALATED = """
(select * from sessions where state = 'escalated' and ticket is null order by updated_at limit %(limit)s) union all
(select * from sessions where state = 'escalated' and ticket is not null and id > %(after)s order by id limit %(limit)s)
"""
# The ticket of a solved hand-over stays solved: the next one gets its own.
ANEW = "update sessions set ticket = null where id = %s and state = 'resolved' and ticket is not null"
TICKETS = """
select detail ->> 'ticket' as ticket from session_events where session_id = %s and kind = 'ticket_opened' order by id
"""
TICKET = "update sessions set connector = %s, ticket = %s, updated_at = now() where id = %s and ticket is null"
# The worker's note of kind `related` says that a ticket was assigned and read; older ones are beyond help.
UNDRAFTED = """
select t.id, t.connector, t.external_id, t.subject, t.body from notes n join tickets t on t.id = n.ticket_id
where n.kind = 'related' and n.at > now() - interval '1 day' and t.subject is not null
  and coalesce(t.status, '') not in ('solved', 'closed')
  and not exists (select from notes d where d.ticket_id = n.ticket_id and d.kind = 'draft')
order by n.id limit 20
"""
HOLD = "select 1 from tickets where id = %s and state <> 'erased' for share"
DRAFT = """
insert into notes (ticket_id, kind, workflow_id, body) values (%s, 'draft', %s, %s)
on conflict do nothing returning id
"""
LOCK_CHANNEL = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
SESSION_OF = "select session_id from channel_sessions where channel = %s and conversation = %s"
NAME = "insert into channel_sessions (channel, conversation, session_id) values (%s, %s, %s)"
RATE = "update sessions set rating = %s, updated_at = now() where id = %s"


@dataclass(frozen=True)
class Said:
    """One message to store; `external` names the ticket's comment that it is."""

    id: UUID
    session_id: UUID
    author: Author
    text: str
    answer: Answer | None = None
    replies_to: UUID | None = None
    external: str | None = None

    @property
    def done(self) -> bool:
        return self.author is not Author.USER


def uuid7() -> UUID:
    """
    A UUID that sorts by time: 48 bits of milliseconds, then randomness.

    Source: RFC 9562, section 5.7.
    """
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


async def open_session(
    conn: Connection, session_id: UUID, token_sha256: str, groups: tuple[str, ...], requester: str | None
) -> None:
    await conn.execute(OPEN, (session_id, token_sha256, list(groups), requester))
    await note(conn, session_id, "opened", {})


async def lock_channel(conn: Connection, channel: str, conversation: str) -> None:
    """Two first messages at once must not open two conversations."""
    await conn.execute(LOCK_CHANNEL, (f"{channel}\n{conversation}",))


async def session_of(conn: Connection, channel: str, conversation: str) -> UUID | None:
    row = await (await conn.execute(SESSION_OF, (channel, conversation))).fetchone()
    return row["session_id"] if row else None


async def name_in_channel(conn: Connection, channel: str, conversation: str, session_id: UUID) -> None:
    await conn.execute(NAME, (channel, conversation, session_id))


async def find(conn: Connection, session_id: UUID) -> DictRow | None:
    return await (await conn.execute(SESSION, (session_id,))).fetchone()


async def lock(conn: Connection, session_id: UUID) -> DictRow | None:
    """The session's row, which nobody else changes until the transaction ends: one turn after the other."""
    return await (await conn.execute(LOCKED, (session_id,))).fetchone()


async def say(conn: Connection, said: Said) -> bool:
    """Stores a message; False when it was there already."""
    values = vars(said) | {"done": said.done, "answer": said.answer and Jsonb(said.answer.model_dump(mode="json"))}
    return await (await conn.execute(SAY, values)).fetchone() is not None


async def keep_raw(conn: Connection, message_id: UUID, text: str, vault: dict[str, str]) -> None:
    await conn.execute(KEEP, (message_id, text, Jsonb(vault)))


async def messages(conn: Connection, session_id: UUID) -> list[DictRow]:
    return await (await conn.execute(MESSAGES, (session_id,))).fetchall()


async def heard(conn: Connection, session_id: UUID) -> set[str]:
    """The comments of its ticket that were told before."""
    rows = await (await conn.execute(HEARD, (session_id,))).fetchall()
    return {row["external"] for row in rows}


async def count(conn: Connection, session_id: UUID, *, but: UUID) -> int:
    """The messages there are beside one, which is counted once however often it comes."""
    row = await (await conn.execute(COUNT, (session_id, but))).fetchone()
    return row["messages"] if row else 0


async def reply_to(conn: Connection, message_id: UUID) -> Message | None:
    row = await (await conn.execute(REPLY, (message_id,))).fetchone()
    return None if row is None else as_message(row)


async def waiting(conn: Connection, older_than_s: float) -> list[DictRow]:
    """Messages that nobody has dealt with: their server ended, or their turn could not be finished."""
    return await (await conn.execute(WAITING, (older_than_s,))).fetchall()


async def set_done(conn: Connection, message_id: UUID) -> None:
    await conn.execute(DONE, (message_id,))


async def move(conn: Connection, session_id: UUID, state: SessionState, reason: str | None = None) -> None:
    await conn.execute(MOVE, {"state": state, "reason": reason, "id": session_id})


async def note(conn: Connection, session_id: UUID, kind: str, detail: dict[str, Any]) -> None:
    await conn.execute(EVENT, (session_id, kind, Jsonb(detail)))


async def was_noted(conn: Connection, session_id: UUID, *kinds: str) -> bool:
    return await (await conn.execute(NOTED, (session_id, list(kinds)))).fetchone() is not None


async def escalated(conn: Connection, after: UUID = FIRST) -> list[DictRow]:
    """Those without a ticket, then some of the others, in the order of their ids from `after` on."""
    return await (await conn.execute(ESCALATED, {"limit": ROUND, "after": after})).fetchall()


async def set_ticket(conn: Connection, session_id: UUID, connector: str, ticket: str) -> bool:
    return (await conn.execute(TICKET, (connector, ticket, session_id))).rowcount > 0


async def begin_anew(conn: Connection, session_id: UUID) -> None:
    """A hand-over after a solved one is to be opened as another ticket."""
    await conn.execute(ANEW, (session_id,))


async def tickets(conn: Connection, session_id: UUID) -> list[str]:
    """Those that were opened for it, the oldest first."""
    return [row["ticket"] for row in await (await conn.execute(TICKETS, (session_id,))).fetchall()]


async def rate(conn: Connection, session_id: UUID, rating: int) -> None:
    await conn.execute(RATE, (rating, session_id))


async def undrafted(conn: Connection) -> list[DictRow]:
    """Tickets that were assigned lately and have no drafted reply."""
    return await (await conn.execute(UNDRAFTED)).fetchall()


async def hold(conn: Connection, ticket_id: int) -> bool:
    """Whether the ticket's text is there; keeps an erasure waiting until the caller's transaction ends."""
    return await (await conn.execute(HOLD, (ticket_id,))).fetchone() is not None


async def add_draft(conn: Connection, ticket_id: int, body: dict[str, Any]) -> bool:
    """False when the ticket has one."""
    return await (await conn.execute(DRAFT, (ticket_id, f"draft:{ticket_id}", Jsonb(body)))).fetchone() is not None


def as_message(row: DictRow) -> Message:
    answer = row["answer"] and Answer.stored(row["answer"])
    return Message(id=str(row["id"]), author=row["author"], text=row["text"], at=row["at"], answer=answer)


def as_session(row: DictRow, said: list[DictRow]) -> Session:
    return Session(
        id=str(row["id"]),
        state=row["state"],
        messages=tuple(as_message(one) for one in said),
        ticket=row["ticket"],
        rating=row["rating"],
    )


def was_asked_back(said: list[DictRow]) -> bool:
    """Whether the last thing the machine said was a question back."""
    answers = [one["answer"] for one in said if one["author"] == Author.ASSISTANT and one["answer"]]
    return bool(answers) and answers[-1]["action"] == Action.CLARIFY and bool(answers[-1]["evidence"])


def without_small_talk(said: list[DictRow]) -> list[DictRow]:
    """What a follow-up may refer to: greetings and the like, which were answered without looking, are left out."""
    kept: list[DictRow] = []
    for one in said:
        answer = one["answer"]
        if answer and answer["action"] == Action.CLARIFY and not answer["evidence"]:
            kept = kept[:-1]
        else:
            kept.append(one)
    return kept
