"""A mailbox through the worker: mails become deliveries once, and who writes again is passed on."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from services.core.contracts.ticket import TicketUpdate
from services.core.kit import outbox
from services.core.kit.database import build_pool
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import RouterClient
from services.core.text.redact import build_redactor
from services.local.systems.dovecot import MailServer
from services.worker.notify.announce import announce_once
from services.worker.notify.settings import NotifySettings
from services.worker.polling import hear
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside
from tests.conftest import free_port
from tests.services.core.connectors.conformance import letter
from tests.services.core.connectors.email.post import Post, System, body, bounce, reply, written
from tests.services.worker.test_polling import kinds, run

SENT = "update outbox set state = 'sent', settled_at = now() where key = 'k'"
PUT = """
insert into outbox (key, kind, connector, ticket_id, payload) select 'k', 'write', 'email', id, '{}' from tickets
"""
DEAD = "select id, ticket_id, last_error, payload from outbox where state = 'dead'"
WEBHOOK = {
    "kind": "webhook",
    "url": "https://x.invalid/h",
    "secret": "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",
}
OPS = NotifySettings.model_validate({"channels": {"ops": WEBHOOK}, "rules": [{"to": "ops", "events": ["dead_letter"]}]})
USERS = itertools.count(1)


@pytest.fixture
async def both(dovecot: MailServer, database: str) -> AsyncIterator[tuple[System, Outside]]:
    """A mailbox, and a worker that asks it; heard since long ago."""
    post = Post()
    server = Controller(post, hostname="127.0.0.1", port=free_port())
    server.start()
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        await run(pool, "insert into positions values ('email', '2000-01-01', '', '2000-01-01')")
        system = System(dovecot, f"worker-{next(USERS)}", post, server.port, pool)
        redaction = Redaction(build_redactor())
        llm = MeteredLlm(build_llm(LlmConfig()), pool, redaction.hide_in_answer)
        settings = WorkerSettings(database_url=SecretStr(database))
        router = RouterClient("http://127.0.0.1:9", http, 1)
        yield system, Outside(settings, pool, {"email": system.connector}, redaction, router, llm)
    server.stop()


async def turn(outside: Outside) -> int:
    await run(outside.pool, "update positions set read_at = '2000-01-01'")
    return await hear(outside, outside.connectors["email"])


async def test_a_thread_is_one_ticket_and_a_reply_is_passed_on_once(both: tuple[System, Outside]) -> None:
    """A mail, a reply, an absence note; then the position is lost, and nothing comes twice."""
    system, outside = both
    first = written()
    system.deliver(first)
    assert await turn(outside) == 1
    system.deliver(reply(first, "Before anybody has it"))
    await turn(outside)
    await run(outside.pool, PUT)
    await run(outside.pool, SENT)
    system.deliver(reply(first, "It burns again"))
    system.deliver(reply(first, "I am away", Auto_Submitted="auto-replied"))
    assert await turn(outside) == 2
    assert await kinds(outside.pool) == ["created", "commented", "commented"]
    await run(outside.pool, "update positions set at = '2000-01-01', last_id = ''")
    assert await turn(outside) == 4
    assert await kinds(outside.pool) == ["created", "commented", "commented"]
    started = await run(outside.pool, "select name from dbos.workflow_status")
    assert [row["name"] for row in started] == ["new_ticket"]
    [again] = await run(outside.pool, "select payload from outbox where key like '%%:again:%%'")
    assert "It burns again" not in str(again)  # text is read when the letter leaves
    await system.connector.write(TicketUpdate.model_validate(again["payload"]))
    assert len(system.post.to("lead@example.com")) == 1


async def test_the_text_of_a_ticket_is_not_replaced_by_its_replies(both: tuple[System, Outside]) -> None:
    """A comment is thin; the whole thread is fetched when it is needed."""
    system, outside = both
    first = written()
    system.deliver(first)
    system.deliver(reply(first, "And smokes"))
    await turn(outside)
    [text] = await run(outside.pool, "select ticket -> 'body' as body from raw.texts")
    assert text["body"] == "It burns"
    [ticket] = await run(outside.pool, "select external_id, state from tickets")
    assert ticket["state"] == "received"
    await system.connector.write(letter(ticket["external_id"]))
    assert [body(mail) for mail in system.post.to("billing@example.com")] == ["because"]


async def test_a_hand_over_that_comes_back_is_a_dead_letter(both: tuple[System, Outside]) -> None:
    """Once, however often the mailbox is read; people are told, and replayed it goes to the address as it is then."""
    system, outside = both
    await announce_once(outside.pool, OPS, now=datetime.now(UTC))  # a channel hears of what happens from now on
    ticket = await system.ask(written())
    await turn(outside)
    await system.connector.write(letter(ticket))
    [sent] = system.post.to("billing@example.com")
    system.deliver(bounce(sent, action="delayed"))
    assert (await turn(outside), await run(outside.pool, DEAD)) == (1, [])
    system.deliver(bounce(sent))
    for _ in range(2):
        await run(outside.pool, "update positions set at = '2000-01-01', last_id = ''")
        await turn(outside)
    [dead] = await run(outside.pool, DEAD)
    assert dead["last_error"].startswith("Undelivered: the hand-over came back undelivered (status 5.1.1). Correct")
    assert await announce_once(outside.pool, OPS, now=datetime.now(UTC)) == 1
    [told] = await run(outside.pool, "select payload ->> 'title' as title from outbox where kind = 'notice'")
    assert f"A letter to email failed for good (ticket {dead['ticket_id']}): Undelivered." in told["title"]
    moved = system.another(teams={"Billing": {"address": "accounts@example.com", "text": "{note}"}})
    async with outside.pool.connection() as conn:
        assert await outbox.replay(conn, dead["id"]) == 1
    await moved.write(TicketUpdate.model_validate(dead["payload"]))
    assert [body(mail) for mail in system.post.to("accounts@example.com")] == [
        "Sent again: the hand-over came back undelivered (status 5.1.1)."
    ]
