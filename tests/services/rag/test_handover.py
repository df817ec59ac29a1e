"""Conversations that people have: what may go wrong between a chat and its ticket, on one container."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from services.core.contracts.conversation import MESSAGE_MAX_CHARS
from services.core.search.encoder import TextEncoder
from services.rag.handover import TRANSCRIPT_MAX_CHARS
from services.worker.repository import erase
from tests.services.rag.conftest import Rag, running_rag
from tests.services.rag.test_conversations import Chat

HUMAN = "I want to talk to a human"


@pytest.fixture(scope="module")
def rag(postgres: Any, template: str, objects: Path, text_encoder: TextEncoder, tmp_path_factory: Any) -> Iterator[Rag]:
    limits = {"POINTSMAN_RAG_MESSAGES_PER_MINUTE": "1000"}
    yield from running_rag(postgres, template, objects, text_encoder, tmp_path_factory.mktemp("pages"), **limits)


@pytest.fixture
async def desk(rag: Rag) -> Any:
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        yield DeskAgents(pool)


def ticket_of(rag: Rag, chat: Chat, *, but: str | None = None) -> str:
    rag.wait(lambda: chat.read()["ticket"] not in (None, but), "the ticket")
    return chat.read()["ticket"]


def said_to(chat: Chat, author: str) -> list[str]:
    return [one["text"] for one in chat.read()["messages"] if one["author"] == author]


def is_said(chat: Chat, author: str, *texts: str) -> Callable[[], bool]:
    return lambda: said_to(chat, author)[-len(texts) :] == list(texts)


async def test_a_person_asked_for_after_the_end_gets_a_ticket_that_somebody_sees(rag: Rag, desk: DeskAgents) -> None:
    """Not a note on the solved one: another ticket, its agent heard, the same words too; erasing either erases all."""
    chat = Chat(rag, requester="visitor@example.com")
    chat.answer(HUMAN)
    first = ticket_of(rag, chat)
    await desk.solve(first, Said("ana", "Done, please try again."))
    rag.wait(lambda: chat.read()["state"] == "resolved", "the end")
    assert chat.answer("It failed again, let me talk to a real person")["answer"]["action"] == "handoff"
    second = ticket_of(rag, chat, but=first)
    assert chat.read()["state"] == "escalated"
    ((body,),) = rag.rows("select body from desk_tickets where id = %s", int(second))
    assert "Done, please try again." in body
    notes = rag.rows("select body from desk_comments where not public and ticket_id = %s", int(second))
    assert any(f"Follows ticket {first}, which was solved." in note for (note,) in notes)
    await desk.solve(second, Said("ben", "Done, please try again."))
    rag.wait(lambda: chat.read()["state"] == "resolved", "the second end")
    assert said_to(chat, "agent") == ["Done, please try again."] * 2
    assert [one for one in said_to(chat, "assistant") if one.startswith("Your request was solved")] != []
    ((ticket,),) = rag.rows("select id from tickets where external_id = %s", first)
    async with await AsyncConnection.connect(rag.database, row_factory=dict_row) as conn:
        await erase(conn, ticket)
    assert rag.rows("select 1 from sessions where id = %s", chat.id) == []


async def test_the_customer_hears_what_becomes_of_it(rag: Rag, desk: DeskAgents) -> None:
    """Taken, waiting, taken up again, solved: each told once, however often the ticket is read."""
    chat = Chat(rag)
    chat.answer(HUMAN)
    ticket = ticket_of(rag, chat)
    await desk.assign(ticket, group="Network & VPN", assignee="ana")
    taken = "A person is looking at your request."
    rag.wait(is_said(chat, "assistant", taken), "that it was taken")
    rag.rows("update desk_tickets set status = 'pending' where id = %s returning id", int(ticket))
    rag.wait(lambda: said_to(chat, "assistant")[-1].startswith("Support waits"), "that it waits")
    rag.rows("update desk_tickets set status = 'open' where id = %s returning id", int(ticket))
    rag.wait(is_said(chat, "assistant", taken), "that it goes on")
    await desk.solve(ticket, Said("ana", "Fixed."))
    rag.wait(lambda: chat.read()["state"] == "resolved", "the end")
    assert [text[:12] for text in said_to(chat, "assistant")[1:]] == [
        "A person is ",
        "Support wait",
        "A person is ",
        "Your request",
    ]


async def test_a_long_reply_is_read_whole(rag: Rag, desk: DeskAgents) -> None:
    """Longer than a person may write in the chat: the conversation could never be read again."""
    chat, reply = Chat(rag), "Step by step. " * 1_000
    chat.answer(HUMAN)
    await desk.comment(ticket_of(rag, chat), Said("ana", reply))
    rag.wait(lambda: bool(rag.rows("select 1 from messages where author = 'agent' and length(text) > 9000")), "it")
    assert said_to(chat, "agent") == [reply]


def test_a_conversation_longer_than_a_ticket_is_handed_over(rag: Rag) -> None:
    """Its newest words; as text it was more than any system takes, and stopped every other hand-over, too."""
    chat, words = Chat(rag), "z" * MESSAGE_MAX_CHARS
    chat.answer("How do I add a printer in Settings?")
    rag.rows(
        "insert into messages (id, session_id, author, text, done)"
        " select gen_random_uuid(), %s, 'user', %s, true from generate_series(1, 140) returning id",
        *(chat.id, words),
    )
    chat.answer(HUMAN)
    ((body,),) = rag.rows("select body from desk_tickets where id = %s", int(ticket_of(rag, chat)))
    assert len(body) <= TRANSCRIPT_MAX_CHARS + 100
    assert f"Customer: {HUMAN}" in body
    assert body.splitlines()[0] == "(139 earlier messages left out)"


def test_one_conversation_that_nobody_foresaw_stops_no_other(rag: Rag) -> None:
    """In a hand-over, and among the turns that a server left."""
    broken, other = (str(uuid.uuid4()) for _ in range(2))
    new = "insert into sessions (id, token_sha256, state) values (%s, 'x', %s) returning id"
    rag.rows(new, broken, "escalated")  # nobody has said anything in it
    chat = Chat(rag)
    chat.answer(HUMAN)
    ticket_of(rag, chat)
    rag.rows(new, other, "open")
    say = "insert into messages (id, session_id, author, text, answer, at) values"
    say += " (gen_random_uuid(), %s, %s, %s, %s, now() - interval '1 hour') returning id"
    rag.rows(say, other, "assistant", "As a newer version writes it.", json.dumps({"unknown": 1}))
    rag.rows(say, other, "user", "And now?", None)
    left = Chat(rag)
    rag.rows(say, left.id, "user", "How do I add a printer in Settings?", None)
    try:
        rag.wait(lambda: bool(said_to(left, "assistant")), "the answer that was left")
    finally:
        rag.rows("delete from sessions where id = any(%s::uuid[]) returning id", [broken, other])


async def test_many_handed_over_conversations_leave_none_behind(rag: Rag, desk: DeskAgents) -> None:
    """More than one round looks at: a new one gets its ticket at once, and its agent is heard in its turn."""
    waiting = str(uuid.uuid4())
    rag.rows(
        "insert into sessions (id, token_sha256, state, connector, ticket, requester)"
        " select lpad(n::text, 32, '0')::uuid, 'x', 'escalated', 'desk', '999999', %s"
        " from generate_series(1, 450) n returning id",
        waiting,
    )
    try:
        chat = Chat(rag)
        chat.answer(HUMAN)
        await desk.comment(ticket_of(rag, chat), Said("ana", "Here I am."))
        rag.wait(is_said(chat, "agent", "Here I am."), "the reply")
    finally:
        rag.rows("delete from sessions where requester = %s returning id", waiting)


async def test_what_agents_tell_each_other_never_comes_back(rag: Rag, desk: DeskAgents) -> None:
    """Internal notes, before and after a public reply with the same words; in the event stream neither."""
    chat = Chat(rag)
    chat.answer(HUMAN)
    ticket = ticket_of(rag, chat)
    await desk.comment(ticket, Said("ana", "Same words.", public=False))
    await desk.comment(ticket, Said("ana", "Same words."))
    await desk.comment(ticket, Said("ben", "Looks like fraud.", public=False))
    await desk.comment(ticket, Said("ben", "One moment please."))
    rag.wait(is_said(chat, "agent", "Same words.", "One moment please."), "the replies")
    body, accept = {"text": "Anything else?"}, {"Accept": "text/event-stream"}
    streamed = chat.http.post(f"/sessions/{chat.id}/messages", json=body, headers=accept).text
    assert "fraud" not in streamed + json.dumps(chat.read())
