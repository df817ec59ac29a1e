"""What every channel comes down to: somebody said something in a conversation of theirs, and is told what there is."""

import uuid
from dataclasses import dataclass

from services.core.answer.redirect import shows_sources
from services.core.contracts.conversation import Author, Message, SessionState
from services.core.kit.database import connection
from services.core.kit.errors import InputInvalid
from services.rag import repository, service
from services.rag.service import Outside

NAMES = uuid.UUID("6f1c2a52-7a43-4e0c-9a37-2b5d8f0a9c11")  # of messages: the same call again is the same message
WITH_A_PERSON = "Your message was passed on. A person has this conversation and answers here."


@dataclass(frozen=True)
class Spoken:
    """`conversation` and `key` as the channel names conversation and message."""

    channel: str
    conversation: str
    key: str
    text: str

    @property
    def message_id(self) -> uuid.UUID:
        return uuid.uuid5(NAMES, f"{self.channel}\n{self.conversation}\n{self.key}")


@dataclass(frozen=True)
class Told:
    """What to say now, in order: what agents wrote since the last time, then the answer."""

    texts: tuple[str, ...]
    state: SessionState


async def hear(outside: Outside, spoken: Spoken) -> Told:
    """The conversation goes on, or begins; the same call again tells the same."""
    if "\0" in spoken.conversation + spoken.text or not spoken.text.strip():
        raise InputInvalid("Nothing was said, or not in text: there is a NUL in it.")
    session_id = await service.open_in_channel(outside, spoken.channel, spoken.conversation)
    await service.take_in_known(outside, session_id, spoken.message_id, spoken.text)
    answer = await service.take_turn(outside, session_id, spoken.message_id)
    async with connection(outside.pool) as conn:
        row = await repository.find(conn, session_id)
        said = await repository.messages(conn, session_id)
    state = SessionState(row["state"]) if row else SessionState.RESOLVED
    return Told((*_since_last_time(said, spoken.message_id), _text(answer)), state)


def _since_last_time(said: list, message_id: uuid.UUID) -> list[str]:
    """Agents' words between the person's last message and this one."""
    texts: list[str] = []
    for one in said:
        if one["id"] == message_id:
            break
        if one["author"] == Author.USER:
            texts = []
        elif one["author"] == Author.AGENT:
            texts.append(one["text"])
    return texts


def _text(answer: Message | None) -> str:
    """The answer with the addresses of its sources: a channel shows nothing else."""
    if answer is None:
        return WITH_A_PERSON
    given = answer.answer
    links = dict.fromkeys(one.link for one in given.evidence) if given and shows_sources(given) else ()
    return "\n".join([answer.text, *(f"Source: {link}" for link in links)])
