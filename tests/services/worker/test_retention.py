"""What is older than the rules keep goes; what somebody writes to, waits for or has made no rule for stays."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.contracts.retention import KEPT, RetentionRules
from services.core.contracts.ticket import Requester, Ticket
from services.core.kit.database import Pool, connection
from services.core.kit.locks import Lock
from services.core.models.texts import join_text, signed, text_key
from services.worker import repository
from services.worker.retention import enforce

NOW = datetime.now(UTC)
CANARY = "Zzcanary"
TICKET = """
insert into tickets (connector, external_id, status, state, subject, body, updated_at)
values ('generic', %s, %s, 'triaged', 'vpn of <PERSON_1>', 'is down', %s) returning id
"""

Ask = Callable[..., list[Any]]


@pytest.fixture
def ask(database: str) -> Ask:
    def asked(statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(database) as conn:
            cursor = conn.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return asked


def came(ask: Ask, *, days_ago: float, status: str = "closed") -> int:
    """A ticket last changed so long ago, with what its customer wrote."""
    name = str(uuid4())
    [(ticket_id,)] = ask(TICKET, name, status, NOW - timedelta(days=days_ago))
    original = Ticket(
        connector="generic",
        external_id=name,
        subject=f"vpn of {CANARY}",
        body="is down",
        requester=Requester(name=CANARY),
    )
    values = (ticket_id, Jsonb(original.model_dump(mode="json")), Jsonb({"<PERSON_1>": CANARY}))
    ask("insert into raw.texts (ticket_id, ticket, vault) values (%s, %s, %s)", *values)
    return ticket_id


def rule(ask: Ask, **days: int) -> None:
    rules = RetentionRules(**days).model_dump(mode="json")
    ask("insert into watch_rules (kind, rules, by) values ('retention', %s, 'operator')", Jsonb(rules))


def originals(ask: Ask) -> set[int]:
    """Tickets whose customer's name can still be read."""
    found = ask("select ticket_id from raw.texts where ticket::text || vault::text like %s", f"%{CANARY}%")
    return {ticket_id for (ticket_id,) in found}


def alive(ask: Ask) -> set[int]:
    return {ticket_id for (ticket_id,) in ask("select id from tickets where state <> 'erased'")}


async def test_without_a_rule_nothing_goes(pool: Pool, ask: Ask) -> None:
    ticket_id = came(ask, days_ago=9_000)
    assert await enforce(pool, now=NOW) == {}
    assert originals(ask) == alive(ask) == {ticket_id}


async def test_originals_of_closed_tickets_become_the_redacted_text(pool: Pool, ask: Ask) -> None:
    """Open and young ones stay; the ticket lives on and can be read; the second time there is nothing left to do."""
    old, young, still_open = came(ask, days_ago=31), came(ask, days_ago=29), came(ask, days_ago=99, status="open")
    rule(ask, originals=30)
    assert await enforce(pool, now=NOW) == {"originals": 1}
    assert originals(ask) == {young, still_open}
    assert alive(ask) == {old, young, still_open}
    async with connection(pool) as conn:
        ticket = await repository.raw_ticket(conn, old)
    assert ticket is not None
    assert (ticket.subject, ticket.body, ticket.requester.name) == ("vpn of <PERSON_1>", "is down", None)
    assert await enforce(pool, now=NOW) == {"originals": 0}
    [(detail,)] = ask("select detail from audit_log where action = 'retention.enforced'")
    assert detail == {"why": "retention", "days": 30, "rows": 1}


async def test_a_reopened_tickets_new_text_is_kept_until_it_is_old_again(pool: Pool, ask: Ask) -> None:
    ticket_id = came(ask, days_ago=31)
    rule(ask, originals=30)
    await enforce(pool, now=NOW)
    again = Ticket(connector="generic", external_id="x", subject=f"{CANARY} again", body="")
    ask("update raw.texts set ticket = %s where ticket_id = %s", Jsonb(again.model_dump(mode="json")), ticket_id)
    ask("update tickets set updated_at = %s, status = 'open' where id = %s", NOW, ticket_id)
    assert await enforce(pool, now=NOW + timedelta(days=40)) == {"originals": 0}
    ask("update tickets set status = 'closed' where id = %s", ticket_id)
    assert await enforce(pool, now=NOW + timedelta(days=40)) == {"originals": 1}
    assert originals(ask) == set()


async def test_closed_tickets_are_erased_each_with_its_receipt(pool: Pool, ask: Ask) -> None:
    """Not those that nobody closed, and not one with a letter that is still to be delivered."""
    gone, still_open = came(ask, days_ago=366, status="solved"), came(ask, days_ago=366, status="pending")
    waits = came(ask, days_ago=366)
    ask("insert into outbox (key, kind, ticket_id, payload) values ('k', 'write', %s, '{}')", waits)
    rule(ask, tickets=365)
    assert await enforce(pool, now=NOW) == {"tickets": 1}
    assert alive(ask) == {still_open, waits}
    assert ask("select subject, detail from audit_log where action = 'ticket.erased'") == [
        (f"ticket/{gone}", {"why": "retention", "days": 365})
    ]
    rule(ask, tickets=365, unclosed=365)
    assert await enforce(pool, now=NOW) == {"tickets": 0, "unclosed": 1}
    assert alive(ask) == {waits}


async def test_imported_history_goes_with_its_vectors_and_flags_who_learnt_from_it(pool: Pool, ask: Ask) -> None:
    """A row without any time is as old as its import."""
    ask("update models set text_keys = %s", [signed(text_key(join_text("printer", "jam")))])
    statement = """
insert into history (source, external_id, subject, body, solved_at, content_hash)
values ('a.csv', %s, 'printer', 'jam', %s, '') returning id
"""
    (old, young, timeless) = (
        ask(statement, str(n), at)[0][0]
        for n, at in enumerate((NOW - timedelta(days=800), NOW - timedelta(days=10), None))
    )
    imported = "insert into history_imports (source, fingerprint, started_at) values ('a.csv', '', %s)"
    ask(imported, NOW - timedelta(days=20))
    vector = """
insert into ticket_vectors (ref, kind, external_id, title, model_version, embedding)
values (%s, 'history', '', '', 'm1', array_fill(0, array[384])::vector::halfvec)
"""
    for one in (old, young):
        ask(vector, f"history/{one}")
    rule(ask, history=730)
    assert await enforce(pool, now=NOW) == {"history": 1}
    assert ask("select id from history order by id") == [(young,), (timeless,)]
    assert ask("select ref from ticket_vectors") == [(f"history/{young}",)]
    assert ask("select cardinality(erased_keys) from models") == [(1,)]
    assert await enforce(pool, now=NOW + timedelta(days=715)) == {"history": 1}
    assert ask("select id from history") == [(young,)]


async def test_what_was_said_in_conversations_goes(pool: Pool, ask: Ask) -> None:
    """Not where one waits for a person. The conversation's id stays, and with it the way to a case learnt from it."""
    gone, waits, young = uuid4(), uuid4(), uuid4()
    talked(ask, gone, "resolved", 100)
    talked(ask, waits, "escalated", 100)
    talked(ask, young, "resolved", 1)
    rule(ask, conversations=90)
    assert await enforce(pool, now=NOW) == {"conversations": 1}
    assert {one for (one,) in ask("select id from sessions where requester is not null")} == {waits, young}
    assert {one for (one,) in ask("select message_id from raw.messages")} == {waits, young}
    assert ask("select kind from session_events where session_id = %s", gone) == [("opened",)]
    assert await enforce(pool, now=NOW) == {"conversations": 0}


def talked(ask: Ask, session: UUID, state: str, days_ago: float) -> None:
    at = NOW - timedelta(days=days_ago)
    ask("insert into sessions (id, state, token_sha256, updated_at) values (%s, %s, '', %s)", session, state, at)
    ask("update sessions set requester = 'zz@example.org' where id = %s", session)
    ask("insert into messages (id, session_id, author, text) values (%s, %s, 'user', '')", session, session)
    ask("insert into raw.messages (message_id, text) values (%s, %s)", session, CANARY)
    for kind in ("opened", "summarised"):
        ask("insert into session_events (session_id, kind) values (%s, %s)", session, kind)


async def test_what_somebody_writes_to_is_left_and_looked_at_again(pool: Pool, ask: Ask, database: str) -> None:
    """No waiting for another's transaction; and whoever has the lock is the only one at it."""
    ticket_id = came(ask, days_ago=400)
    rule(ask, originals=30, tickets=365)
    with psycopg.connect(database) as other:
        other.execute("update tickets set status = 'open', updated_at = now() where id = %s", (ticket_id,))
        assert await enforce(pool, now=NOW) == {"originals": 0, "tickets": 0}
    assert await enforce(pool, now=NOW) == {"originals": 0, "tickets": 0}
    with psycopg.connect(database) as other:
        other.execute("select pg_advisory_lock(%s)", (Lock.RETENTION.value,))
        assert await enforce(pool, now=NOW) is None
    assert alive(ask) == originals(ask) == {ticket_id}


def test_rules_are_set_and_looked_at_before_they_hold(
    ask: Ask, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    cli, file = CliRunner(), tmp_path / "retention.toml"
    came(ask, days_ago=31)
    assert "kept for good" in cli.invoke(app, ["retention", "import", str(written(file, ""))]).stdout
    written(file, "originals = 30\nconversations = 90\n")
    before = json.loads(cli.invoke(app, ["retention", "due", str(file), "--format", "json"]).stdout)
    assert before["originals"] == {"days": 30, "due": 1}
    assert json.loads(cli.invoke(app, ["retention", "show", "--format", "json"]).stdout)["originals"] == "never"
    said = cli.invoke(app, ["retention", "import", str(file)])
    assert said.exit_code == 0
    assert "originals: never -> 30" in said.stdout
    assert "Kept: originals 30 days, conversations 90 days; the rest for good." in said.stdout
    due = json.loads(cli.invoke(app, ["retention", "due", "--format", "json"]).stdout)
    assert (
        due
        == before
        == {kept: {"days": None, "due": 0} for kept in KEPT}
        | {
            "originals": {"days": 30, "due": 1},
            "conversations": {"days": 90, "due": 0},
        }
    )
    wrong = cli.invoke(app, ["retention", "import", str(written(file, "tickets = 10\n"))])
    assert "originals go with their tickets" in str(wrong.exception)
    for odd in ("0", "true", '"9_0"', "90.0"):
        refused = cli.invoke(app, ["retention", "import", str(written(file, f"originals = {odd}\n"))])
        assert "originals" in str(refused.exception), odd
    assert cli.invoke(app, ["retention", "import", str(written(file, 'originals = "never"\n'))]).exit_code == 0
    assert json.loads(cli.invoke(app, ["retention", "show", "--format", "json"]).stdout)["originals"] == "never"


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
