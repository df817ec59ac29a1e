"""An erasure between another's read and its write: nothing of the ticket comes back, whoever writes last."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from pydantic import SecretStr

from services.core.connectors.desk import Desk, DeskSettings
from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band
from services.core.kit.database import build_pool
from services.core.kit.errors import NotFound
from services.core.kit.locks import Lock
from services.core.kit.security import Principal, Role
from services.core.llm.build import build_llm
from services.core.llm.config import LlmConfig
from services.core.llm.metered import MeteredLlm
from services.core.llm.redaction import Redaction
from services.core.models.client import OUTPUTS, RouterClient
from services.core.models.texts import signed, text_key
from services.core.search import similar
from services.core.text.redact import Redactor, build_redactor
from services.gateway import reviewing as gateway
from services.worker import repository, solve, steps
from services.worker.settings import WorkerSettings
from services.worker.steps import Outside
from services.worker.upkeep import upkeep
from tests.services.core.llm.conftest import config_for
from tests.services.core.llm.stub_server import Says, Stub
from tests.services.worker.served_router import ServedRouter

CANARY = "zzcanaryzz"
TEXT_TABLES = (
    "tickets",
    "raw.texts",
    "notes",
    "outbox",
    "ticket_vectors",
    "llm_cache",
    "decisions",
    "reviews",
    "audit_log",
    "history",
    "desk_tickets",
    "desk_comments",
)
SEED = f"""
insert into catalogue (kind, name) values ('group', 'Network');
insert into models (version, status, uri, manifest) values ('v1', 'champion', '', '{{}}');
insert into tickets (connector, external_id, status, state, subject, body, current_group)
select 'generic', n::text, case when n = 1 then 'solved' else 'closed' end, 'triaged',
       'vpn {CANARY}' || n, 'dns {CANARY}' || n, 'Network' from generate_series(1, 2) n;
insert into raw.texts (ticket_id, ticket) select n, jsonb_build_object('connector', 'generic', 'external_id', n::text,
    'subject', 'vpn {CANARY}' || n, 'body', 'dns {CANARY}' || n, 'group', 'Network') from generate_series(1, 2) n;
insert into reviews (ticket_id, reason) values (1, 'unsure');
insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, shadow)
values (1, 'new:1', '{{"group": "Network"}}', 'Network', 'HUMAN_REVIEW', 0.5, false);
"""


async def erase(database: str, ticket_id: int = 1) -> None:
    """In a process of its own, as far as PostgreSQL can tell."""
    async with (
        await AsyncConnection.connect(database, autocommit=True, row_factory=dict_row) as conn,
        conn.transaction(),
    ):
        await repository.erase(conn, ticket_id)


def erase_now(database: str) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, erase(database)).result()


def left(database: str, word: str = f"{CANARY}1") -> list[str]:
    """Tables in which the erased ticket's text stands."""
    with psycopg.connect(database) as conn:
        query = "select count(*) from {} t where t::text like %s"
        return [t for t in TEXT_TABLES if conn.execute(query.format(t).encode(), (f"%{word}%",)).fetchone() != (0,)]


class Router(ServedRouter):
    """Answers as the router does; `meanwhile` runs after it was asked and before it answers."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.has_answered = threading.Event()
        super().__init__()

    def answer(self, texts: list[str]) -> tuple[int, dict[str, Any]]:
        self.meanwhile()
        return 200, _answer(len(texts))

    def answered(self) -> None:
        self.has_answered.set()


def _answer(rows: int) -> dict[str, Any]:
    values = {"label": ["Network"], "probability": [0.9], "confidence": [0.9], "similarity": [0.9],
              "band": ["AUTO_ROUTE"], "reason": ["ok"], "embedding": [0.05] * similar.DIMENSIONS}  # fmt: skip
    assert set(OUTPUTS) <= set(values)
    return {"model_version": "v1", "outputs": [{"name": name, "data": data * rows} for name, data in values.items()]}


@pytest.fixture
def seeded(database: str) -> str:
    with psycopg.connect(database) as conn:
        conn.execute(SEED.encode())
    return database


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router()
    yield made
    made.close()


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return build_redactor()


@asynccontextmanager
async def reaching(database: str, router: Router, redactor: Redactor, llm: LlmConfig) -> AsyncIterator[Outside]:
    settings = WorkerSettings(database_url=SecretStr(database), events_url="http://127.0.0.1:9")
    redaction = Redaction(redactor)
    async with build_pool(database, min_size=1, max_size=4) as pool, httpx.AsyncClient() as http:
        client = RouterClient(router.url, http, 60)
        metered = MeteredLlm(build_llm(llm), pool, redaction.hide_in_answer)
        yield Outside(settings, pool, {}, redaction, client, metered)


@pytest.fixture
async def outside(seeded: str, router: Router, redactor: Redactor) -> AsyncIterator[Outside]:
    async with reaching(seeded, router, redactor, LlmConfig()) as made:
        yield made


async def test_upkeep_does_not_bring_a_vector_back(outside: Outside, router: Router, seeded: str) -> None:
    """It read title and text, waits for the router, and stores only the vector of the ticket that is still there."""
    router.meanwhile = lambda: erase_now(seeded)
    stop = asyncio.Event()
    running = asyncio.create_task(upkeep(outside, stop=stop))
    await asyncio.to_thread(router.has_answered.wait, 60)
    stop.set()
    await running
    with psycopg.connect(seeded) as conn:
        assert conn.execute("select ref from ticket_vectors").fetchall() == [("ticket/2",)]
    assert left(seeded) == []


async def test_upkeep_goes_on_while_commands_use_the_database(outside: Outside, router: Router, seeded: str) -> None:
    """They share a lock of their own for hours; it is not upkeep's."""
    stop = asyncio.Event()
    with psycopg.connect(seeded, autocommit=True) as command:
        command.execute("select pg_advisory_lock_shared(%s)", (Lock.IN_USE.value,))
        running = asyncio.create_task(upkeep(outside, stop=stop))
        assert await asyncio.to_thread(router.has_answered.wait, 60)
        stop.set()
        await running


async def test_a_summary_made_meanwhile_is_dropped(outside: Outside, router: Router, seeded: str) -> None:
    """Neither note, vector, label nor letter."""
    router.meanwhile = lambda: erase_now(seeded)
    await solve.summarise(outside, 1, "solved:1:d")
    assert router.has_answered.is_set()
    assert left(seeded) == []


async def test_a_note_about_similar_tickets_is_dropped(outside: Outside, router: Router, seeded: str) -> None:
    """The ticket that was assigned is erased while its neighbours are looked for."""
    router.meanwhile = lambda: erase_now(seeded)
    await solve.relate(outside, 1, "assigned:1")
    assert router.has_answered.is_set()
    with psycopg.connect(seeded) as conn:
        assert [conn.execute(f"select count(*) from {t}".encode()).fetchone() for t in ("notes", "outbox")] == [
            (0,)
        ] * 2


async def test_a_note_never_quotes_a_ticket_that_is_being_erased(outside: Outside, router: Router, seeded: str) -> None:
    """Its vector is still to be seen, its erasure has begun: the note does without it, and waits for nobody."""
    async with outside.pool.connection() as conn:
        for number in (1, 2):
            row = similar.TicketVector(
                f"ticket/{number}", "ticket", str(number), f"{CANARY}{number}", "v1", [0.05] * 384
            )
            await similar.index(conn, [row])
        await conn.execute(
            "insert into tickets (connector, external_id, subject, body) values ('generic', '3', 'a', 'b')"
        )
        await conn.execute(
            'insert into raw.texts (ticket_id, ticket) values (3, \'{"connector": "generic", "external_id": "3"}\')'
        )
    async with await AsyncConnection.connect(seeded, row_factory=dict_row) as other:
        await repository.erase(other, 1)
        await asyncio.wait_for(solve.relate(outside, 3, "assigned:3"), 60)
        await other.commit()
    assert left(seeded) == []
    assert "outbox" in left(seeded, f"{CANARY}2")


async def test_a_redaction_that_ends_later_stores_nothing(outside: Outside, seeded: str) -> None:
    """A workflow has read the text; the erasure comes first."""
    async with outside.pool.connection() as conn:
        known = await repository.raw_ticket(conn, 1)
        assert known is not None
        safe = await outside.redaction.redact({"subject": known.subject, "body": known.body})
        await erase(seeded)
        await repository.store_redacted(conn, 1, known, safe, known=known)
    assert left(seeded) == []


async def test_a_route_of_an_erased_ticket_ends_without_a_decision(outside: Outside, seeded: str) -> None:
    """No text, nothing to ask the router; what is decided about it is not stored."""
    await erase(seeded, 2)
    assert await steps.triage(outside, 2, "new:2") == steps.LEFT_ALONE
    await steps.decide_and_record(outside, 2, "new:2", None, "The router did not answer.")
    with psycopg.connect(seeded) as conn:
        assert conn.execute("select count(*) from decisions where ticket_id = 2").fetchone() == (0,)


class Meddling(Stub):
    """A vendor during whose answer the ticket is erased."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self._database = database

    def reply(self) -> Any:
        erase_now(self._database)
        return super().reply()


async def test_an_answer_that_a_model_gave_meanwhile_is_not_kept(
    seeded: str, router: Router, redactor: Redactor
) -> None:
    """Priority and its reason quote the text: neither the cache nor a decision holds them."""
    stub = Meddling(seeded)
    try:
        stub.script(Says({"impact": "low", "urgency": "low", "priority": "low", "reason": f"{CANARY}1 is slow"}))
        async with reaching(seeded, router, redactor, config_for("azure", stub)) as outside:
            await steps.decide_and_record(outside, 1, "new:1:again", None, "")
        assert len(stub.asked) == 1
    finally:
        stub.close()
    assert left(seeded) == []


async def test_an_erasure_takes_what_was_written_while_it_waited(outside: Outside, seeded: str) -> None:
    """A decision with its letter commits while the erasure waits for the ticket: the letter goes as well."""
    decision = Decision(ticket_id="1", group="Network", band=Band.AUTO_ROUTE, confidence=1, reason="r",
                        priority_reason=f"{CANARY}1", shadow=False, latency_ms=1)  # fmt: skip
    async with await AsyncConnection.connect(seeded, row_factory=dict_row) as other:
        assert await repository.record(other, decision, "new:1:late")
        await other.execute(
            "insert into outbox (key, kind, ticket_id, payload) values ('k', 'write', 1, %s)",
            (json.dumps({"note": f"{CANARY}1"}),),
        )
        erasing = asyncio.create_task(solve.erase(outside, 1))
        await _until_waiting(seeded)
        await other.commit()
    await erasing
    assert left(seeded) == []


async def _until_waiting(database: str) -> None:
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with await AsyncConnection.connect(database, autocommit=True) as conn, asyncio.timeout(60):
        while await (await conn.execute(query)).fetchone() is None:  # noqa: ASYNC110  # the server is asked, it does not tell
            await asyncio.sleep(0.01)


async def test_an_erasure_reaches_the_desk_and_what_was_imported(outside: Outside, seeded: str) -> None:
    """The desk is a ticketing system of our own; history is known by its system's name and the ticket's id there."""
    desk = Desk(DeskSettings(), outside.pool)
    with psycopg.connect(seeded) as conn:
        conn.execute(
            "insert into desk_tickets (subject, body, requester_email) "
            f"select 'vpn {CANARY}' || n, 'dns', n || '@x' from generate_series(1, 2) n".encode()
        )
        conn.execute(
            f"insert into desk_comments (ticket_id, body, public, author) values (1, '{CANARY}1', true, 'a')".encode()
        )
        conn.execute("update tickets set connector = 'desk' where id = 1")
        conn.execute(
            "insert into history (source, external_id, subject, body, content_hash) values "
            f"('desk', '1', '{CANARY}1', '', 'h'), ('desk', '2', 'b', '', 'h'), ('other', '1', 'c', '', 'h')".encode()
        )
        conn.execute(
            b"insert into ticket_vectors (ref, kind, external_id, title, model_version, embedding) "
            b"select 'history/' || id, 'history', '', '', 'v1', array_fill(0.05, array[384])::halfvec from history"
        )
    await solve.erase(outside, 1)
    assert left(seeded) == []
    with psycopg.connect(seeded) as conn:
        assert conn.execute("select id from desk_tickets").fetchall() == [(2,)]
        assert conn.execute("select source, external_id from history order by id").fetchall() == [
            ("desk", "2"),
            ("other", "1"),
        ]
        assert conn.execute("select count(*) from ticket_vectors where kind = 'history'").fetchone() == (2,)
    with pytest.raises(NotFound):
        await desk.fetch("1")


async def test_a_review_of_an_erased_ticket_writes_nothing(outside: Outside, seeded: str) -> None:
    """It has left the queue, and there is no ticket to write to."""
    await erase(seeded)
    who = Principal("ann", Role.AGENT)
    async with outside.pool.connection() as conn:
        with pytest.raises(NotFound):
            await gateway.close_review(conn, 1, who, group="Network")
        with pytest.raises(NotFound):
            await gateway.give_feedback(conn, 1, who, group="Network")
        found = await (
            await conn.execute("select (select count(*) from reviews) + (select count(*) from outbox) as n")
        ).fetchone()
    assert found == {"n": 0}


async def test_models_that_learnt_from_an_erased_ticket_are_flagged(database: str) -> None:
    """Its text, and what was imported of it under its system's name; the others stay as they are."""
    imported, unknown = (signed(text_key(text)) for text in ("Imported\nwords", "Nobody wrote this"))
    own = signed(text_key(f"vpn {CANARY}1\ndns {CANARY}1"))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SEED)
        conn.execute(
            "insert into history (source, external_id, subject, body, content_hash) values"
            " ('generic', '1', 'Imported', 'words', 'x')"
        )
        for version, keys in (("saw", [own, imported, unknown]), ("did-not", [unknown]), ("saw-one", [imported])):
            conn.execute(
                "insert into models (version, status, uri, manifest, text_keys) values (%s, 'candidate', '', '{}', %s)",
                (version, keys),
            )
        await erase(database)
        flagged = dict(conn.execute("select version, erased_keys from models").fetchall())
    assert {version: set(keys) for version, keys in flagged.items()} == {
        "saw": {own, imported},
        "saw-one": {imported},
        "did-not": set(),
        "v1": set(),
    }
