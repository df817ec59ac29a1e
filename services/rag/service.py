"""What happens in a conversation: opened, spoken in, answered once, rated, resolved."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog
from psycopg.rows import DictRow

from services.core.answer.decide import Means, Rules, Search, answer
from services.core.answer.redirect import HELP_DESK, redirected
from services.core.answer.written import Writer
from services.core.contracts.conversation import Action, Answer, Author, Message, Session, SessionState
from services.core.kit.database import Connection, Pool, connection
from services.core.kit.errors import Conflict, NotFound, Unauthenticated
from services.core.kit.stages import Stages
from services.core.llm.ledger import Origin
from services.core.llm.redaction import Redaction
from services.core.llm.reply import Speaker
from services.core.models.client import RouterClient
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.rerank import Reranker, reranked, wide
from services.core.search.retrieve import Found, Question, Scope, search
from services.rag import metrics, repository, states
from services.rag.mail import MailSettings
from services.rag.repository import Said, uuid7
from services.rag.summary import EVERY, is_due, summarise
from services.rag.teams import level_of, suggest

log = structlog.get_logger()

WAITED_S = 5.0  # a turn takes a fraction of it; what is older was left by a server that ended
SWEEP_S = 1.0
MESSAGES_MAX = 1_000  # all of them are read for each turn
SAID_MAX = EVERY  # messages that a language model is told
PREVIOUS_MAX = 6  # turns of the person that a follow-up may refer to


class Learning(StrEnum):
    """What becomes of what an agent resolved: nothing, a case once a person approves it, or a case at once."""

    NOTHING = "nothing"
    APPROVED = "approved"
    EVERYTHING = "everything"

    @classmethod
    def of(cls, index_cases: bool, approve_cases: bool) -> "Learning":
        if not index_cases:
            return cls.NOTHING
        return cls.APPROVED if approve_cases else cls.EVERYTHING


@dataclass(frozen=True)
class Outside:
    """What the service works with; loaded once."""

    pool: Pool
    encoder: TextEncoder
    redaction: Redaction
    rules: Rules
    learns: Learning = Learning.NOTHING
    writer: Writer | None = None
    router: RouterClient | None = None
    reranker: Reranker | None = None
    mail: MailSettings | None = None
    turns: "Turns" = field(default_factory=lambda: Turns())


class Turns:
    """One turn of a conversation at a time in this process; forgets conversations that nobody waits for."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone(self, session_id: UUID) -> AsyncGenerator[None]:
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            yield


@dataclass(frozen=True)
class Turn:
    """A message that is to be answered, with what was said before it."""

    message_id: UUID
    session: DictRow
    before: list[DictRow]
    text: str


@dataclass(frozen=True)
class Opened:
    """A new conversation. `token` is shown once; only its hash is stored."""

    id: str
    token: str


async def open_session(outside: Outside, groups: tuple[str, ...], requester: str | None) -> Opened:
    session_id, token = uuid7(), secrets.token_urlsafe(24)
    async with connection(outside.pool) as conn, conn.transaction():
        await repository.open_session(conn, session_id, _digest(token), groups, requester)
    return Opened(str(session_id), token)


async def open_in_channel(outside: Outside, channel: str, conversation: str) -> UUID:
    """The conversation that a channel calls so; a new one, for documents for everybody, the first time."""
    async with connection(outside.pool) as conn, conn.transaction():
        await repository.lock_channel(conn, channel, conversation)
        known = await repository.session_of(conn, channel, conversation)
        if known is not None:
            return known
        session_id = uuid7()
        await repository.open_session(conn, session_id, _digest(secrets.token_urlsafe(24)), (), None)
        await repository.name_in_channel(conn, channel, conversation, session_id)
        return session_id


async def take_in(outside: Outside, session_id: UUID, token: str | None, message_id: UUID, text: str) -> None:
    """
    Stores a message, verbatim in its own table and redacted in the other; the same id again changes nothing.

    Raises:
        NotFound, Unauthenticated: there is no such conversation, or it is somebody else's.
        Conflict: the id is another conversation's, other words came under it, or the conversation is full.
    """
    async with connection(outside.pool) as conn:
        require(await repository.find(conn, session_id), token)
    await take_in_known(outside, session_id, message_id, text)


async def take_in_known(outside: Outside, session_id: UUID, message_id: UUID, text: str) -> None:
    """As `take_in`, from a channel that has proved itself another way."""
    redacted = await outside.redaction.redact({"text": text})
    async with connection(outside.pool) as conn, conn.transaction():
        await repository.lock(conn, session_id)  # of many messages at once each is counted
        if await repository.count(conn, session_id, but=message_id) >= MESSAGES_MAX:
            raise Conflict(f"This conversation has {MESSAGES_MAX} messages. Open another one.")
        said = Said(message_id, session_id, Author.USER, redacted.fields["text"])
        if await repository.say(conn, said):
            await repository.keep_raw(conn, message_id, text, redacted.vault)
        else:
            await _require_same(conn, session_id, message_id, text)


async def take_turn(
    outside: Outside, session_id: UUID, message_id: UUID, stages: Stages | None = None
) -> Message | None:
    """
    The answer to a message: made now, or the one that was made before. None when a person has the conversation.

    Nothing is held while the answer is made. One transaction then records it with the conversation's new state and its
    event, under a lock on the conversation: a server that is killed leaves all of it or nothing, and another one takes
    the turn; of two that took it, the first to record has answered.
    """
    async with outside.turns.alone(session_id):
        async with connection(outside.pool) as conn:
            session = await repository.find(conn, session_id)
            if session is None:
                raise NotFound(f"There is no conversation {session_id}.")
            known = await repository.reply_to(conn, message_id)
            if known is not None or not states.is_answered_here(SessionState(session["state"])):
                return known
            turn = _turn(session, await repository.messages(conn, session_id), message_id)
        clock = stages or Stages()
        given = await _answer(outside, turn, clock)
        return await _record(outside, turn, given, clock)


async def read(outside: Outside, session_id: UUID, token: str | None) -> Session:
    async with connection(outside.pool) as conn:
        row = require(await repository.find(conn, session_id), token)
        return repository.as_session(row, await repository.messages(conn, session_id))


async def rate(outside: Outside, session_id: UUID, token: str | None, rating: int) -> None:
    async with connection(outside.pool) as conn, conn.transaction():
        require(await repository.lock(conn, session_id), token)
        await repository.rate(conn, session_id, rating)
        await repository.note(conn, session_id, "rated", {"rating": rating})
    metrics.RATINGS.labels(str(rating)).inc()


async def resolve(outside: Outside, session_id: UUID, token: str | None) -> None:
    """
    Closes the conversation; one that is closed stays so.

    Raises:
        Conflict: a person has it; they close it.
    """
    async with connection(outside.pool) as conn, conn.transaction():
        row = require(await repository.lock(conn, session_id), token)
        state = SessionState(row["state"])
        if not states.is_answered_here(state):
            raise Conflict("A person has this conversation. It closes when they have solved it.")
        if state is SessionState.OPEN:
            await repository.move(conn, session_id, SessionState.RESOLVED)
            await repository.note(conn, session_id, "resolved", {"by": Author.USER})


async def sweep(outside: Outside, *, stop: asyncio.Event) -> None:
    """Takes the turns that ended servers have left, until `stop`."""
    while not stop.is_set():
        try:
            await _sweep_once(outside)
        except Exception as exc:  # the loop that every unfinished turn depends on: it goes on
            log.warning("rag.sweep.failed", error=type(exc).__name__)
        try:
            await asyncio.wait_for(stop.wait(), SWEEP_S)
        except TimeoutError:
            continue


async def _sweep_once(outside: Outside) -> None:
    async with connection(outside.pool) as conn:
        left = await repository.waiting(conn, WAITED_S)
    metrics.UNANSWERED.set(len(left))
    for row in left:
        try:
            await take_turn(outside, row["session_id"], row["id"])
        except Exception as exc:  # one that cannot be answered keeps nobody else from it
            log.warning("rag.turn.failed", session_id=str(row["session_id"]), error=type(exc).__name__)


def require(session: DictRow | None, token: str | None) -> DictRow:
    """The conversation, if this is its token. An unknown one and another's look alike."""
    digest = session["token_sha256"] if session else _digest("")
    if not hmac.compare_digest(digest, _digest(token or "\0")) or session is None:
        raise Unauthenticated("This conversation is not known under this token. Open one with: POST /sessions")
    return session


def _turn(session: DictRow, said: list[DictRow], message_id: UUID) -> Turn:
    place = next(i for i, one in enumerate(said) if one["id"] == message_id)
    return Turn(message_id, session, said[:place], said[place]["redacted"])


async def _answer(outside: Outside, turn: Turn, stages: Stages) -> Answer:
    before = repository.without_small_talk(turn.before)
    replies = [one["redacted"] for one in before if one["author"] == Author.ASSISTANT]
    previous = tuple(one["redacted"] for one in before if one["author"] == Author.USER)[-PREVIOUS_MAX:]
    question = Question(turn.text, previous, replies[-1] if replies else "")
    find = finder(outside, tuple(turn.session["groups"]))
    write = None if outside.writer is None else partial(outside.writer.write, **_told(turn))
    means = Means(outside.encoder, outside.rules, find, write)
    asked_back = repository.was_asked_back(turn.before)
    given = await answer(means, question, asked_back=asked_back, stages=stages)
    way = None if asked_back else redirected(given)
    if way is None:
        return given
    with stages.stage("route"):
        suggested = await suggest(outside.router, (*previous, turn.text))
        level = await level_of(outside.pool, suggested.group if suggested else None)
    return way if level == HELP_DESK else given


def finder(outside: Outside, groups: tuple[str, ...]) -> Search:
    """Finds what these groups may read; no connection is held while it is put into order."""
    scope = wide(outside.reranker, Scope(groups=groups))

    async def find(question: Question, vector: Vectors) -> Found:
        async with connection(outside.pool) as conn:
            found = await search(conn, question, vector, outside.encoder.version, scope)
        return await reranked(outside.reranker, found)

    return find


def _told(turn: Turn) -> dict[str, Any]:
    """What a language model is told beside the question, and what its bill says."""
    speakers: dict[str, Speaker] = {Author.USER: "requester", Author.ASSISTANT: "assistant", Author.AGENT: "assistant"}
    said = tuple((speakers[one["author"]], one["redacted"]) for one in turn.before[-SAID_MAX:])
    origin = Origin(f"session/{turn.session['id']}", str(turn.message_id), "answer")
    return {"origin": origin, "said": said, "summary": summarise(turn.before[:-SAID_MAX])}


async def _record(outside: Outside, turn: Turn, given: Answer, stages: Stages) -> Message | None:
    """What counts is the conversation as it is now: it may have been answered, handed over or erased meanwhile."""
    session_id = turn.session["id"]
    async with connection(outside.pool) as conn, conn.transaction():
        session = await repository.lock(conn, session_id)
        if session is None:
            raise NotFound(f"There is no conversation {session_id}.")
        known = await repository.reply_to(conn, turn.message_id)
        state = SessionState(session["state"])
        if known is not None or not states.is_answered_here(state):
            return known
        reply = Said(uuid7(), session_id, Author.ASSISTANT, given.reply, given, replies_to=turn.message_id)
        await repository.say(conn, reply)
        await repository.set_done(conn, turn.message_id)
        if given.action is Action.HANDOFF:
            await repository.begin_anew(conn, session_id)
        await repository.move(conn, session_id, states.after(state, given.action), given.reason)
        await repository.note(conn, session_id, states.EVENTS[given.action], _told_of(turn, given, stages))
        said = await repository.messages(conn, session_id)
        if is_due(said) or given.action is Action.HANDOFF:
            await repository.note(conn, session_id, "summarised", {"text": summarise(said), "messages": len(said)})
        kept = await repository.reply_to(conn, turn.message_id)
    metrics.observe(given, stages.ms)
    return kept


def _told_of(turn: Turn, given: Answer, stages: Stages) -> dict[str, Any]:
    """What a turn's event says: never words."""
    why = {"message": str(turn.message_id), "reason": given.reason, "confidence": round(given.confidence, 4)}
    return why | {"by": given.by, "ms": stages.ms}


async def _require_same(conn: Connection, session_id: UUID, message_id: UUID, text: str) -> None:
    known = {one["id"]: one["text"] for one in await repository.messages(conn, session_id)}
    if known.get(message_id) != text:
        raise Conflict(f"The message id {message_id} was used for other words. Give each message an id of its own.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
