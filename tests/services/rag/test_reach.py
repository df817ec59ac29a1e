"""What reaches further than the chat page: teams' mailboxes, other channels, agents' tickets, writers of documents."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg_pool import AsyncConnectionPool

from services.core.connectors.desk_agents import DeskAgents, Said
from services.core.kit.security import Role, create_key
from services.core.search.encoder import TextEncoder
from tests.conftest import free_port, fresh_database
from tests.services.rag.conftest import TIMEOUT_S, Rag, index_pages
from tests.services.rag.test_conversations import Chat

FIXTURES = Path(__file__).with_name("channels")
APP_ID = "8a1f0c6e-1111-4222-8333-444455556666"
VPN = "How do I connect to the VPN with the Harbour client?"


@dataclass
class Outside:
    """The router, the Bot Connector with its keys and tokens, and a mail server, as the container meets them."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    posted: list[tuple[str, str, dict]] = field(default_factory=list)
    mails: list[Any] = field(default_factory=list)
    refuses: bool = False
    url: str = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "550 no such box"
        self.mails.append(envelope)
        return "250 OK"

    def answer(self, path: str, body: bytes, authorization: str) -> dict:
        if path == "/keys":
            numbers = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
            return {"keys": [numbers | {"kid": "k1", "endorsements": ["msteams", "webchat"]}]}
        if path == "/token":
            return {"access_token": "ours", "expires_in": 3600, "token_type": "Bearer"}
        if path.endswith("/infer"):
            return ROUTED
        self.posted.append((path, authorization, json.loads(body)))
        return {"id": "posted"}


ROUTED = {
    "model_version": "v1",
    "outputs": [
        {"name": "label", "data": ["Network & VPN", "", ""]},
        {"name": "probability", "data": [0.9, 0.0, 0.0]},
        {"name": "confidence", "data": [0.9]},
        {"name": "similarity", "data": [0.8]},
        {"name": "band", "data": ["HUMAN_REVIEW"]},
        {"name": "reason", "data": ["near"]},
    ],
}


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    known = Outside()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            said = json.dumps(known.answer(self.path, body, self.headers.get("Authorization", ""))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def rag(
    postgres: Any, template: str, objects: Path, text_encoder: TextEncoder, tmp_path_factory: Any, outside: Outside
) -> Iterator[Rag]:
    mailbox = Controller(outside, hostname="127.0.0.1", port=free_port())
    mailbox.start()
    for url in fresh_database(postgres, template):
        asyncio.run(index_pages(url, text_encoder, tmp_path_factory.mktemp("pages")))
        mail = {"host": "127.0.0.1", "port": mailbox.port, "security": "none", "sender": "chat@example.com"}
        mail |= {"address": "desk@example.com", "teams": {"Network & VPN": "network@example.com"}}
        bot = {"app_id": APP_ID, "app_password": "x", "keys_url": f"{outside.url}/keys"}
        settings = {
            "POINTSMAN_RAG_MAIL": json.dumps(mail),
            "POINTSMAN_RAG_BOT": json.dumps(bot | {"token_url": f"{outside.url}/token"}),
            "POINTSMAN_ROUTER_URL": outside.url,
            "POINTSMAN_RAG_DRAFTS": "true",
            "POINTSMAN_RAG_APPROVE_CASES": "true",
            "POINTSMAN_RAG_GAPS_S": "1",
        }
        running = Rag(url, objects, environment=settings)
        running.start()
        yield running
        running.kill()
    mailbox.stop()


@pytest.fixture(scope="module")
def key(rag: Rag) -> str:
    with psycopg.connect(rag.database, autocommit=True, row_factory=psycopg.rows.dict_row) as conn:
        return create_key(conn, name="channel", role=Role.AGENT)


def test_a_hand_over_tells_the_agent_everything_and_mails_the_team(rag: Rag, outside: Outside) -> None:
    """Reason, what it was about, the router's group, what is worth asking, evidence; once, to that group's mailbox."""
    chat = Chat(rag, requester="visitor@example.com")
    chat.answer(VPN)
    chat.answer("I want to talk to a human\r\nBcc: evil@example.com")
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    number = chat.read()["ticket"]
    ((note,),) = rag.rows("select body from desk_comments where not public and ticket_id = %s", int(number))
    for part in ("asked_for_human", "Suggested group: Network & VPN (90%", "Asked: How do I connect", "Answered from:"):
        assert part in note
    assert "https://help.example/vpn.md" in note
    rag.wait(lambda: bool(_mails(outside, number)), "the mail")
    (mail,) = _mails(outside, number)
    assert mail.rcpt_tos == ["network@example.com"]
    assert f"Message-ID: <session-{chat.id}@pointsman>".encode() in mail.content
    events = rag.rows(
        "select detail ->> 'text' from session_events where kind = 'summarised' and session_id = %s", chat.id
    )
    assert "Handed over: asked_for_human" in events[-1][0]


def test_the_help_desk_shows_the_way_and_is_not_written_to(rag: Rag, outside: Outside) -> None:
    """Level 1 in the catalogue: a page first, a person with the next message, no mail. Level 2: the person at once."""
    unsure = "My VPN prompt never reaches my new tablet"
    put = "insert into catalogue (kind, name, support_level, rank) values ('group', %s, 1, 1) returning name"
    rag.rows(put, "Network & VPN")
    try:
        chat = Chat(rag)
        shown = chat.answer(unsure)
        assert (shown["answer"]["action"], shown["answer"]["reason"] is None) == ("clarify", False), shown
        assert shown["answer"]["evidence"][0]["uri"] == "https://help.example/vpn.md"
        assert '"Connect to the VPN"' in shown["text"]
        assert chat.read()["state"] == "open"
        assert chat.answer("That did not help")["answer"]["action"] == "handoff"
        rag.wait(lambda: bool(_events(rag, chat.id, "unmailed")), "the decision not to mail")
        rag.rows("update catalogue set support_level = 2 where name = 'Network & VPN' returning name")
        second = Chat(rag)
        assert second.answer(unsure)["answer"]["action"] == "handoff"
        rag.wait(lambda: bool(_events(rag, second.id, "mailed")), "the mail")
        assert b"For: Network & VPN, level 2" in outside.mails[-1].content
        assert not _events(rag, chat.id, "mailed")
    finally:
        rag.rows("delete from catalogue returning name")


def test_a_mail_server_that_refuses_stops_no_hand_over(rag: Rag, outside: Outside) -> None:
    """The ticket is there, the refusal is logged, and it is not tried for ever."""
    outside.refuses = True
    try:
        chat = Chat(rag)
        chat.answer("Please connect me to a real person")
        rag.wait(lambda: bool(_events(rag, chat.id, "mailed")), "the end of trying")
    finally:
        outside.refuses = False
    assert chat.read()["ticket"] is not None
    assert "rag.mail.refused" in (rag.objects / "rag.log").read_text()


def test_lex_asks_and_is_answered(rag: Rag, key: str) -> None:
    """The documented event; the same event again is the same turn; without a key nothing is looked at."""
    event = json.loads((FIXTURES / "lex.json").read_text("utf-8"))
    assert httpx.post(f"{rag.url}/channels/lex", json=event).status_code == 401
    first = _post(rag, "lex", event, {"X-API-Key": key})
    assert first["sessionState"]["dialogAction"]["type"] == "ElicitIntent"
    assert "Approve the prompt on your phone." in first["messages"][0]["content"]
    assert "https://help.example/vpn.md" in first["messages"][0]["content"]
    assert _post(rag, "lex", event, {"X-API-Key": key}) == first
    person = event | {"inputTranscript": "Let me talk to a human"}
    person["sessionState"] = event["sessionState"] | {"originatingRequestId": "another"}
    ended = _post(rag, "lex", person, {"X-API-Key": key})
    assert ended["sessionState"]["intent"]["state"] == "Fulfilled"
    assert ended["sessionState"]["sessionAttributes"]["pointsman_state"] == "escalated"


def test_a_flood_in_a_channel_is_bounded(rag: Rag, key: str) -> None:
    """All at once: as many as a minute allows are taken and stored, the rest is 429."""
    codes = Counter(_all_at_once(rag, key, _said_in("flood", 60)))
    assert set(codes) == {200, 429}
    assert codes[200] <= 2 * 20  # a minute may end in between
    assert rag.rows(f"select count(*) {FROM_CHANNEL} and author = 'user'", "%/flood") == [(codes[200],)]


def test_a_full_conversation_takes_no_more_however_many_come_at_once(rag: Rag, key: str) -> None:
    """Three places are left, and twelve messages come together."""
    first, *rest = _said_in("full", 13)
    assert _all_at_once(rag, key, [first]) == [200]
    rag.rows(
        "insert into messages (id, session_id, author, text, done)"
        " select gen_random_uuid(), session_id, 'user', 'x', true"
        " from channel_sessions, generate_series(1, 995) where conversation like %s returning id",
        "%/full",
    )  # with the first message and its answer 997
    assert Counter(_all_at_once(rag, key, rest)) == {200: 3, 409: 9}
    assert rag.rows(f"select count(*) {FROM_CHANNEL}", "%/full") == [(1_000,)]


REPLIES = "/v3/conversations/a%3A1_conversation/activities"
BOT_SESSIONS = "select session_id from channel_sessions where channel = 'bot_framework' order by session_id"
FROM_CHANNEL = "from messages join channel_sessions using (session_id) where conversation like %s"


def _said_in(conversation: str, count: int) -> list[dict]:
    event = json.loads((FIXTURES / "lex.json").read_text("utf-8"))
    event |= {"sessionId": conversation, "inputTranscript": "A human, please"}
    return [event | {"sessionState": {"originatingRequestId": f"{number}"}} for number in range(count)]


def _all_at_once(rag: Rag, key: str, events: list[dict]) -> list[int]:
    def say(event: dict) -> int:
        answer = httpx.post(f"{rag.url}/channels/lex", json=event, headers={"X-API-Key": key}, timeout=TIMEOUT_S)
        return answer.status_code

    with ThreadPoolExecutor(20) as people:
        return list(people.map(say, events))


def test_dialogflow_asks_and_is_answered(rag: Rag, key: str) -> None:
    """The documented request, by basic authentication; an agent's reply comes with the next turn."""
    request = json.loads((FIXTURES / "dialogflow.json").read_text("utf-8"))
    wrong = base64.b64encode(b"cx:pm_000000000000_wrong").decode()
    denied = httpx.post(f"{rag.url}/channels/dialogflow", json=request, headers={"Authorization": f"Basic {wrong}"})
    assert denied.status_code == 401
    basic = {"Authorization": f"Basic {base64.b64encode(f'cx:{key}'.encode()).decode()}"}
    texts = _texts(_post(rag, "dialogflow", request, basic))
    assert "Approve the prompt on your phone." in texts[0]
    handed = _post(rag, "dialogflow", request | {"detectIntentResponseId": "2", "text": "I need a real person"}, basic)
    assert handed["sessionInfo"]["parameters"]["pointsman_state"] == "escalated"
    assert "liveAgentHandoff" in handed["fulfillmentResponse"]["messages"][-1]
    event = {name: value for name, value in request.items() if name != "text"} | {"triggerEvent": "sys.no-input"}
    assert _post(rag, "dialogflow", event, basic) == {"sessionInfo": {"session": request["sessionInfo"]["session"]}}
    session = request["sessionInfo"]["session"]
    of = "select s.ticket from sessions s join channel_sessions c on c.session_id = s.id where c.conversation = %s"
    rag.wait(lambda: rag.rows(of, session)[0][0] is not None, "the ticket")
    asyncio.run(_reply(rag, rag.rows(of, session)[0][0], "Ana here: it works again."))
    said = (
        "select 1 from messages join channel_sessions using (session_id) where conversation = %s and author = 'agent'"
    )
    rag.wait(lambda: bool(rag.rows(said, session)), "the reply")
    again = _texts(_post(rag, "dialogflow", request | {"detectIntentResponseId": "3", "text": "hello?"}, basic))
    assert again[0] == "Ana here: it works again."


def test_the_bot_framework_is_believed_by_its_signature_alone(rag: Rag, outside: Outside) -> None:
    """Another key, audience, issuer, address, channel, or a stale token: 403, as documented, and nothing is stored."""
    activity, known = _activity(outside), rag.rows(BOT_SESSIONS)
    other = rsa.generate_private_key(65537, 2048)
    unsigned = jwt.encode(_claims(outside), None, algorithm="none", headers={"kid": "k1"})
    bad = {
        "none": {},
        "other key": {"Authorization": f"Bearer {_token(outside, key=other)}"},
        "unsigned": {"Authorization": f"Bearer {unsigned}"},
        **{
            name: {"Authorization": f"Bearer {_token(outside, **claims)}"}
            for name, claims in {
                "audience": {"aud": "another-bot"},
                "issuer": {"iss": "https://evil.example"},
                "address": {"serviceurl": "https://evil.example"},
                "stale": {"exp": int(time.time()) - 3_600, "nbf": int(time.time()) - 7_200},
            }.items()
        },
    }
    for name, headers in bad.items():
        answer = httpx.post(f"{rag.url}/channels/bot-framework", json=activity, headers=headers, timeout=60)
        assert answer.status_code == 403, name
    elsewhere = httpx.post(
        f"{rag.url}/channels/bot-framework",
        json=activity | {"channelId": "sms"},
        headers={"Authorization": f"Bearer {_token(outside)}"},
        timeout=60,
    )
    assert elsewhere.status_code == 403
    assert rag.rows(BOT_SESSIONS) == known


def test_the_bot_framework_is_answered_where_the_signature_says(rag: Rag, outside: Outside) -> None:
    """With our own token, as a reply to the activity; in place where that is asked for; other types with nothing."""
    headers = {"Authorization": f"Bearer {_token(outside)}"}
    activity = _activity(outside)
    assert _post(rag, "bot-framework", activity, headers) == {}
    path, authorization, reply = outside.posted[-1]
    assert (path, authorization) == (
        f"/emea/v3/conversations/a%3A1_conversation/activities/{activity['id']}",
        "Bearer ours",
    )
    assert (reply["replyToId"], reply["locale"]) == (activity["id"], "en-US")
    assert reply["recipient"]["id"] == activity["from"]["id"]
    assert "Approve the prompt on your phone." in reply["text"]
    assert reply["textFormat"] == "plain"  # Markdown of a document would show a link that looks like our own words
    expecting = activity | {"deliveryMode": "expectReplies", "id": "another"}
    assert "Approve" in _post(rag, "bot-framework", expecting, headers)["activities"][0]["text"]
    assert _post(rag, "bot-framework", activity | {"type": "typing"}, headers) == {}


def test_an_assigned_ticket_gets_a_draft_or_nothing(rag: Rag) -> None:
    """Each sentence with its source, by the outbox; what the documents do not say gives no note at all."""
    known = _ticket(rag, "D-1", "VPN connection", "How do I connect to the VPN with the Harbour client?")
    unknown = _ticket(rag, "D-2", "Mongolia", "What is the capital of Mongolia and who rules it?")
    rag.wait(lambda: len(rag.rows("select 1 from notes where kind = 'draft'")) >= 2, "both drafts")
    letters = dict(rag.rows("select ticket_id, payload ->> 'note' from outbox where key like '%%:draft'"))
    assert set(letters) == {known}
    assert unknown not in letters
    sentences = [line for line in letters[known].splitlines()[2:] if line and not line.startswith("[")]
    assert sentences
    assert all(line.endswith("[1]") for line in sentences)
    assert "[1] Connect to the VPN: https://help.example/vpn.md" in letters[known]


def test_what_nobody_answers_is_a_gap(rag: Rag) -> None:
    """Alike questions are one, the most frequent first, with the nearest document; gone with their conversation."""
    chats = [Chat(rag) for _ in range(3)]
    for chat, words in zip(chats, ("Who repairs the dishwasher?", "Can somebody repair the dishwasher?"), strict=False):
        if chat.answer(words)["answer"]["action"] == "clarify":
            chat.answer(words)
    rag.wait(lambda: bool(_gap(rag, "dishwasher")), "the gap")
    rag.wait(lambda: _gap(rag, "dishwasher")[0][0] == 2, "both questions in one")
    assert _gap(rag, "dishwasher")[0][1] is not None
    listed = _command(rag, "gaps", "--usd-per-ticket", "15")
    (gap,) = [one for one in json.loads(listed.stdout) if "dishwasher" in one["question"]]
    assert (gap["questions"], gap["cost_usd"], gap["title"] is not None) == (2, 30.0, True)
    rag.rows("delete from sessions where id = any(%s) returning id", [chat.id for chat in chats])
    assert _gap(rag, "dishwasher") == []


def test_a_case_waits_for_a_person(rag: Rag) -> None:
    """Nobody is answered from it before; approved, it is found; a second decision is refused."""
    chat = Chat(rag)
    chat.answer("Please connect me to a real person, the coffee machine Barista 9 shows code E44")
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    asyncio.run(_solve(rag, chat.read()["ticket"], "Hold both buttons for 5 seconds."))
    rag.wait(lambda: bool(rag.rows("select 1 from case_drafts where session_id = %s", chat.id)), "the draft")
    assert rag.rows("select 1 from documents where uri = %s", f"case:{chat.id}") == []
    (waiting,) = [one for one in json.loads(_command(rag, "cases").stdout) if one["id"] == chat.id]
    assert waiting["resolution"] == "Hold both buttons for 5 seconds."
    assert _command(rag, "cases", "--approve", chat.id, "--by", "ana").returncode == 0
    decided = "select state, decided_by from case_drafts where session_id = %s"
    assert rag.rows(decided, chat.id) == [("approved", "ana")]
    answer = Chat(rag).answer("The coffee machine Barista 9 shows code E44, what do I do?")
    assert "Hold both buttons for 5 seconds." in answer["text"]
    again = _command(rag, "cases", "--reject", chat.id)
    assert (again.returncode, "No case waits under" in again.stderr) == (1, True)
    assert _command(rag, "cases", "--reject", "not-an-id").returncode == 1


def test_a_rejected_case_answers_nobody(rag: Rag) -> None:
    """It leaves the list, and nothing is indexed."""
    chat = Chat(rag)
    chat.answer("Please connect me to a real person, the vending machine ate my coin")
    rag.wait(lambda: chat.read()["ticket"] is not None, "the ticket")
    asyncio.run(_solve(rag, chat.read()["ticket"], "Kick it twice."))
    rag.wait(lambda: bool(rag.rows("select 1 from case_drafts where session_id = %s", chat.id)), "the draft")
    listed = _command(rag, "cases", "--reject", chat.id)
    assert (listed.returncode, chat.id in listed.stdout) == (0, False)
    assert rag.rows("select 1 from documents where uri = %s", f"case:{chat.id}") == []


def _command(rag: Rag, *words: str) -> subprocess.CompletedProcess[str]:
    """`pointsman rag ...` as its user starts it."""
    ours = {"POINTSMAN_DATABASE_URL": rag.database, "POINTSMAN_OBJECTS_URL": f"file://{rag.objects}"}
    command = [sys.executable, "-m", "services.cli", "rag", *words, "--format", "json"]
    return subprocess.run(command, env=os.environ | ours, capture_output=True, text=True, timeout=TIMEOUT_S)


def test_each_measure_has_its_day(rag: Rag) -> None:
    """First-contact resolution, escalation, re-contact, citations, grounding: shares of what happened, by day."""
    chat = Chat(rag)
    chat.answer(VPN)
    chat.http.post(f"/sessions/{chat.id}/resolve").raise_for_status()
    for name in ("first_contact_resolution", "escalation_rate", "recontact_rate", "citation_rate", "grounding_rate"):
        rows = rag.rows(f"select day, share from conversation_{name}")
        assert len(rows) >= 1, name
        assert all(0 <= share <= 1 for _, share in rows), name
    assert rag.rows("select distinct share from conversation_citation_rate") == [(1.0,)]


def _mails(outside: Outside, number: str) -> list[Any]:
    """Those about a ticket."""
    return [one for one in outside.mails if f"[{number}]".encode() in one.content]


def _gap(rag: Rag, word: str) -> list[tuple]:
    query = "select g.questions, g.uri from gaps g join messages m on m.id = g.example where m.text like %s"
    return rag.rows(query, f"%{word}%")


def _ticket(rag: Rag, external_id: str, subject: str, body: str) -> int:
    """As the worker leaves one that was assigned."""
    ((ticket,),) = rag.rows(
        "insert into tickets (connector, external_id, subject, body, state, status) "
        "values ('generic', %s, %s, %s, 'triaged', 'open') returning id",
        *(external_id, subject, body),
    )
    rag.rows(
        "insert into notes (ticket_id, kind, workflow_id, body) values (%s, 'related', %s, '{}') returning id",
        *(ticket, f"assigned:{ticket}"),
    )
    return ticket


def _events(rag: Rag, session_id: str, kind: str) -> list[tuple]:
    return rag.rows("select 1 from session_events where session_id = %s and kind = %s", session_id, kind)


def _post(rag: Rag, channel: str, body: dict, headers: dict) -> dict:
    answer = httpx.post(f"{rag.url}/channels/{channel}", json=body, headers=headers, timeout=120)
    return answer.raise_for_status().json()


def _texts(response: dict) -> list[str]:
    said = [one["text"]["text"] for one in response["fulfillmentResponse"]["messages"] if "text" in one]
    return [text for texts in said for text in texts]


def _activity(outside: Outside) -> dict:
    return json.loads((FIXTURES / "bot_framework.json").read_text("utf-8")) | {"serviceUrl": f"{outside.url}/emea/"}


def _claims(outside: Outside) -> dict:
    now = int(time.time())
    claims = {"iss": "https://api.botframework.com", "aud": APP_ID, "nbf": now - 60, "exp": now + 3_600}
    return claims | {"serviceurl": f"{outside.url}/emea/"}


def _token(outside: Outside, *, key: rsa.RSAPrivateKey | None = None, **changes: Any) -> str:
    return jwt.encode(_claims(outside) | changes, key or outside.key, algorithm="RS256", headers={"kid": "k1"})


async def _reply(rag: Rag, ticket: str, text: str) -> None:
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        await DeskAgents(pool).comment(ticket, Said("ana", text))


async def _solve(rag: Rag, ticket: str, text: str) -> None:
    async with AsyncConnectionPool(rag.database, min_size=1) as pool:
        await DeskAgents(pool).solve(ticket, Said("ana", text))
