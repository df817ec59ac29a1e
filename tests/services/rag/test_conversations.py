"""Conversations through the container's own door, with the built-in desk behind it."""

import json
import uuid

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from services.core.contracts.conversation import Action, SessionState
from services.core.kit.security import Role, create_key
from services.rag import states
from services.rag.repository import uuid7
from services.worker.repository import erase
from tests.services.rag.conftest import Rag


class Chat:
    """One conversation as its person has it."""

    def __init__(self, rag: Rag, **opened: object) -> None:
        self.http = httpx.Client(base_url=rag.url, timeout=120)
        key = opened.pop("key", None)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made = self.http.post("/sessions", json=opened, headers=headers)
        made.raise_for_status()
        self.id, self.token = made.json()["id"], made.json()["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def say(self, text: str, message_id: str | None = None) -> httpx.Response:
        return self.http.post(f"/sessions/{self.id}/messages", json={"text": text, "id": message_id})

    def answer(self, text: str) -> dict:
        return self.say(text).raise_for_status().json()["answer"]

    def read(self) -> dict:
        return self.http.get(f"/sessions/{self.id}").raise_for_status().json()


async def test_an_answer_cites_and_is_kept(rag: Rag) -> None:
    """The words of the document, its address, and both messages in the conversation afterwards."""
    chat = Chat(rag)
    answer = chat.answer("How do I connect to the VPN with the Harbour client?")
    assert answer["answer"]["action"] == "continue"
    assert answer["answer"]["evidence"][0]["uri"] == "https://help.example/vpn.md"
    assert "Approve the prompt on your phone." in answer["text"]
    read = chat.read()
    assert [one["author"] for one in read["messages"]] == ["user", "assistant"]
    assert read["state"] == "open"


async def test_the_same_message_is_answered_once(rag: Rag) -> None:
    """Sent twice, it is one message with one answer; other words under its id are refused."""
    chat, message_id = Chat(rag), str(uuid.uuid4())
    first = chat.say("How do I reset my password in the account portal?", message_id).json()
    assert chat.say("How do I reset my password in the account portal?", message_id).json() == first
    assert len(chat.read()["messages"]) == 2
    assert chat.say("Something else", message_id).status_code == 409


async def test_another_token_opens_nothing(rag: Rag) -> None:
    """Not read, not written, not rated; an unknown conversation answers the same."""
    chat, other = Chat(rag), Chat(rag)
    headers = {"Authorization": f"Bearer {other.token}"}
    known = chat.http.get(f"/sessions/{chat.id}", headers=headers)
    unknown = chat.http.get(f"/sessions/{uuid.uuid4()}", headers=headers)
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert known.status_code == 401
    written = chat.http.post(f"/sessions/{chat.id}/messages", json={"text": "x"}, headers=headers)
    assert written.status_code == 401


async def test_groups_count_only_with_a_key(rag: Rag) -> None:
    """A page's visitor cannot name groups; a caller with a key can, and then the document is found."""
    question = "At how many crowns does the salary band of a senior engineer begin?"
    with psycopg.connect(rag.database, autocommit=True, row_factory=dict_row) as conn:
        key = create_key(conn, name="portal", role=Role.AGENT)
    assert "71,000" not in json.dumps(Chat(rag, groups=["hr"]).answer(question))
    assert "71,000" in Chat(rag, groups=["hr"], key=key).answer(question)["text"]


def test_a_key_counts_in_either_header(rag: Rag) -> None:
    """As at the gateway; a wrong one is told, never taken for a visitor."""
    with psycopg.connect(rag.database, autocommit=True, row_factory=dict_row) as conn:
        key = create_key(conn, name="portal", role=Role.AGENT)
    opened = {"groups": ["hr"]}
    for header, value in (("X-API-Key", key), ("Authorization", f"Bearer {key}")):
        made = httpx.post(f"{rag.url}/sessions", json=opened, headers={header: value})
        assert made.status_code == 201
        assert rag.rows("select groups from sessions where id = %s", made.json()["id"]) == [(["hr"],)]
        wrong = httpx.post(f"{rag.url}/sessions", json=opened, headers={header: f"{value}x"})
        assert (wrong.status_code, wrong.json()["error"]) == (401, "Unauthenticated")


@pytest.mark.parametrize("broken", ["a\\u0000b", "a\\ud800b"])
def test_text_that_cannot_be_stored_is_refused(rag: Rag, broken: str) -> None:
    """NUL and lone surrogates, wherever text is taken; told, and nothing is kept."""
    chat = Chat(rag)
    before = rag.rows("select count(*) from sessions")
    fields = (f'"requester": "{broken}"', f'"groups": ["{broken}"]', f'"{broken}": 1')
    bodies = [
        (f"/sessions/{chat.id}/messages", f'{{"text": "{broken}"}}'),
        *(("/sessions", f"{{{f}}}") for f in fields),
    ]
    for path, body in bodies:
        answer = chat.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (422, "InputInvalid"), body
    assert rag.rows("select 1 from messages where session_id = %s", chat.id) == []
    assert rag.rows("select count(*) from sessions") == before


async def test_what_people_write_is_redacted_outside_its_own_table(rag: Rag) -> None:
    """The person sees their own words; the table that models read from has placeholders."""
    chat = Chat(rag)
    chat.say("I am Maria Kowalska, mail maria.kowalska@example.com. How do I add a printer?")
    assert "maria.kowalska@example.com" in chat.read()["messages"][0]["text"]
    ((redacted,),) = rag.rows("select text from messages where author = 'user' and session_id = %s", chat.id)
    assert "maria.kowalska" not in redacted
    log = (rag.objects / "rag.log").read_text()
    assert "maria.kowalska" not in log


async def test_an_answer_streams(rag: Rag) -> None:
    """What is being done, claims, then the message; the same answer as without."""
    chat = Chat(rag)
    path, body = f"/sessions/{chat.id}/messages", {"text": "How do I add a printer in Settings?"}
    with chat.http.stream("POST", path, json=body, headers={"Accept": "text/event-stream"}) as answer:
        events = [line for line in answer.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in events if line.startswith("event: ")]
    done = names.index("claim")
    assert (set(names[:done]), set(names[done:-1]), names[-1]) == ({"doing"}, {"claim"}, "message")
    said = [json.loads(line.removeprefix("data: ")) for line in events if line.startswith("data: ")]
    assert [one["doing"] for one in said[:done]] == ["reading", "searching", "checking"]
    assert json.loads(events[-1].removeprefix("data: "))["answer"]["text"] in [
        m["text"] for m in chat.read()["messages"]
    ]


async def test_a_person_takes_over_and_answers_in_the_chat(rag: Rag) -> None:
    """Asked for with the first words: a ticket with transcript and reason; replies come back, internal notes never."""
    chat = Chat(rag, requester="visitor@example.com")
    told = chat.answer("I want to talk to a human about a lost badge")
    assert told["answer"]["reason"] == "asked_for_human"
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    number = chat.read()["ticket"]
    ((subject, body),) = rag.rows("select subject, body from desk_tickets where id = %s", int(number))
    assert subject == "I want to talk to a human about a lost badge"
    assert "Customer: I want to talk to a human" in body
    notes = rag.rows("select body from desk_comments where ticket_id = %s and not public", int(number))
    assert any("asked_for_human" in note for (note,) in notes)
    assert chat.say("It is about my badge.").json()["answer"] is None
    rag.wait(lambda: bool(rag.rows("select 1 from desk_comments where body like %s", "%my badge%")), "the addition")
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        desk = DeskAgents(pool)
        await desk.comment(number, Said("ana", "Internal: looks like a stolen badge.", public=False))
        await desk.comment(number, Said("ana", "Your badge is ready at the front desk."))
        rag.wait(lambda: "ready at the front desk" in json.dumps(chat.read()), "the reply")
        assert "stolen" not in json.dumps(chat.read())
        await desk.solve(number, Said("ana", "Closing, see you."))
    rag.wait(lambda: chat.read()["state"] == "resolved", "the end")
    said = [one["text"] for one in chat.read()["messages"] if one["author"] == "agent"]
    assert said == ["Your badge is ready at the front desk.", "Closing, see you."]
    assert rag.rows("select count(*) from desk_tickets where subject like %s", "%lost badge") == [(1,)]


async def test_a_handed_over_conversation_is_taken_in_once(rag: Rag) -> None:
    """Its ticket is one of ours, with its text and the workflow that triages it; a killed server opens no second."""
    chat = Chat(rag, requester="visitor@example.com")
    chat.answer("I want to talk to a human about the gate of yard 7")
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    rag.kill()
    # As if killed before it was noted, which is one commit.
    rag.rows("update sessions set ticket = null where id = %s returning id", chat.id)
    rag.rows("delete from session_events where kind = 'ticket_opened' and session_id = %s returning id", chat.id)
    rag.start()
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket again")
    ((ticket, external_id, _),) = rag.rows(
        "select t.id, t.external_id, x.ticket ->> 'body' from tickets t join raw.texts x on x.ticket_id = t.id "
        "where x.ticket ->> 'body' like %s",
        "%gate of yard 7%",
    )
    assert external_id == chat.read()["ticket"]
    assert rag.rows("select name from dbos.workflow_status where workflow_uuid = %s", f"new:{ticket}") == [
        ("new_ticket",)
    ]
    told = rag.rows("select connector, kind from deliveries where external_id = %s", external_id)
    assert told == [("desk", "created")]


async def test_erasing_the_ticket_erases_the_conversation(rag: Rag) -> None:
    """Verbatim, redacted, and as a case; the person is told no more than a stranger. Another's stays."""
    other, chat = Chat(rag), Chat(rag, requester="visitor@example.com")
    other.answer("How do I add a printer in Settings?")
    chat.answer("Please connect me to a real person, the reader at door 12 blinks red")
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        await DeskAgents(pool).solve(chat.read()["ticket"], Said("ana", "It has a new battery."))
    rag.wait(lambda: chat.read()["state"] == "resolved", "the end")
    case = "select 1 from documents where kind = 'case' and title like %s"
    assert rag.rows(case, "%door 12%")
    ((ticket,),) = rag.rows("select id from tickets where external_id = %s", chat.read()["ticket"])
    verbatim = "select count(*) from raw.messages where message_id = any(%s::uuid[])"
    ours, others = ([message["id"] for message in one.read()["messages"]] for one in (chat, other))
    assert rag.rows(verbatim, ours) != [(0,)]
    async with await AsyncConnection.connect(rag.database, row_factory=dict_row) as conn:
        await erase(conn, ticket)
    assert chat.http.get(f"/sessions/{chat.id}").status_code == 401
    both = [chat.id, other.id]
    assert rag.rows("select id::text from sessions where id = any(%s::uuid[])", both) == [(other.id,)]
    kept = rag.rows("select distinct session_id::text from messages where session_id = any(%s::uuid[])", both)
    assert kept == [(other.id,)]
    assert [rag.rows(verbatim, ids) for ids in (ours, others)] == [[(0,)], [(1,)]]
    assert rag.rows(case, "%door 12%") == []


async def test_what_an_agent_resolved_becomes_a_case(rag: Rag) -> None:
    """Redacted, the question its title, the agent's words its text; the same case again is not a second one."""
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        for _ in range(2):
            chat = Chat(rag)
            chat.answer("Please connect me to a real person, the coffee machine Barista 9 shows code E44")
            rag.wait(lambda chat=chat: chat.read()["ticket"] is not None, "the ticket")
            reply = "Hold both buttons for 5 seconds. Questions to maria.kowalska@example.com."
            await DeskAgents(pool).solve(chat.read()["ticket"], Said("ana", reply))
            rag.wait(lambda chat=chat: chat.read()["state"] == "resolved", "the end")
            assert "maria.kowalska@example.com" in json.dumps(chat.read())
    ((text,),) = rag.rows(
        "select c.text from documents d join chunks c on c.document_id = d.id "
        "where d.kind = 'case' and d.title like %s",
        "%shows code E44%",
    )
    assert "Hold both buttons" in text
    assert "maria.kowalska" not in text


async def test_ratings_and_the_end_are_kept(rag: Rag) -> None:
    """A rating is 1 to 5; closing twice is closing once."""
    chat = Chat(rag)
    chat.answer("How do I add a printer in Settings?")
    assert chat.http.post(f"/sessions/{chat.id}/rating", json={"rating": 6}).status_code == 422
    assert chat.http.post(f"/sessions/{chat.id}/rating", json={"rating": 5}).status_code == 204
    assert chat.http.post(f"/sessions/{chat.id}/resolve").status_code == 204
    assert chat.http.post(f"/sessions/{chat.id}/resolve").status_code == 204
    assert (chat.read()["state"], chat.read()["rating"]) == ("resolved", 5)


async def test_a_killed_server_loses_no_message_and_answers_once(rag: Rag) -> None:
    """Messages that were taken in and not answered are answered by the next start, each once."""
    chat = Chat(rag)
    chat.answer("How do I add a printer in Settings?")
    rag.kill()
    with psycopg.connect(rag.database, autocommit=True) as conn:
        for text in ("How do I connect to the VPN with the Harbour client?", "I want to talk to a human"):
            conn.execute(
                "insert into messages (id, session_id, author, text, at) "
                "values (%s, %s, 'user', %s, now() - interval '1 minute')",
                (uuid7(), chat.id, text),
            )
    rag.start()
    rag.wait(lambda: chat.read()["ticket"] is not None, "both turns")
    authors = [one["author"] for one in chat.read()["messages"]]
    assert sorted(authors) == ["assistant"] * 3 + ["user"] * 3
    assert rag.rows(
        "select count(*) from session_events where kind = 'ticket_opened' and session_id = %s", chat.id
    ) == [(1,)]


@pytest.mark.parametrize("action", Action)
def test_every_action_has_a_way_from_every_state_the_machine_speaks_in(action: Action) -> None:
    """And none from the one in which a person does."""
    for state in SessionState:
        if states.is_answered_here(state):
            assert isinstance(states.after(state, action), SessionState)
        else:
            with pytest.raises(KeyError):
                states.after(state, action)


def figures(rag: Rag) -> dict[str, float]:
    lines = httpx.get(f"{rag.url}/metrics").raise_for_status().text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_a_scraper_hears_of_turns_and_ratings_and_nobody_outside_does(rag: Rag) -> None:
    """Counted when it is stored; one that is sent again is no second turn."""
    chat, message_id = Chat(rag), str(uuid.uuid4())
    name = 'pointsman_chat_turns_total{action="continue"}'
    before = figures(rag)
    for _ in range(2):
        chat.say("How do I connect to the VPN with the Harbour client?", message_id).raise_for_status()
    chat.http.post(f"/sessions/{chat.id}/rating", json={"rating": 5}).raise_for_status()
    after = figures(rag)
    assert after[name] - before.get(name, 0) == 1
    seconds = "pointsman_chat_turn_seconds_count"
    assert after[seconds] - before[seconds] == 1
    assert after['pointsman_chat_ratings_total{rating="5"}'] >= 1
    assert after["pointsman_chat_unanswered_messages"] >= 0
    for path in ("/metrics", "/%6Detrics"):
        assert httpx.get(rag.url + path, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404
