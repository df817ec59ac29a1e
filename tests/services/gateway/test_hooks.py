"""Webhooks in: what is accepted, what is refused, and that nothing is taken in twice."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from services.core.kit.database import build_pool
from services.core.kit.rates import RateGate
from services.gateway import waiting
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from services.worker import repository as worker
from tests.services.gateway.conftest import MAX_BODY_BYTES, SECRET, Keys
from tests.services.gateway.seed import decision
from tests.signing import sign_standard, sign_zendesk


def call(
    external_id: str = "A-1", *, type: str = "ticket.created", at: datetime | None = None, **data: object
) -> bytes:
    event = {"type": type, "timestamp": (at or datetime.now(UTC)).isoformat(), "data": {"id": external_id, **data}}
    return json.dumps(event).encode()


async def post(
    gateway: httpx.AsyncClient, body: bytes, delivery_id: str = "d-1", *, now: datetime | None = None
) -> httpx.Response:
    headers = sign_standard(SECRET, body, delivery_id=delivery_id, now=now or datetime.now(UTC))
    return await gateway.post("/hooks/generic", content=body, headers=headers)


def count(database: str, table: str) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return row[0]


async def test_a_signed_call_becomes_a_ticket_and_a_workflow(gateway: httpx.AsyncClient, database: str) -> None:
    """Delivery, ticket, raw text and workflow appear together."""
    answer = await post(gateway, call(subject="VPN down", body="since 9:15"))
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "ticket_id": "1", "external_id": "A-1"}
    assert [count(database, table) for table in ("deliveries", "tickets", "raw.texts", "dbos.workflow_status")] == [
        1,
        1,
        1,
        1,
    ]


async def test_the_same_delivery_ten_times_at_once_is_one_ticket(gateway: httpx.AsyncClient, database: str) -> None:
    """One is accepted, nine are told duplicate, one workflow exists."""
    body = call(subject="VPN down")
    answers = await asyncio.gather(*(post(gateway, body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert {answer.json()["ticket_id"] for answer in answers} == {"1"}
    assert [count(database, table) for table in ("tickets", "dbos.workflow_status")] == [1, 1]


async def test_a_signed_id_that_comes_again_with_other_content_is_refused(
    gateway: httpx.AsyncClient, database: str
) -> None:
    """422, one after the other and at once, and nothing of the second is stored; a repetition stays a duplicate."""
    first = call("A-1", subject="VPN down")
    assert (await post(gateway, first)).status_code == 202
    others = (call("A-1", subject="Printer down"), call("A-2", subject="VPN down"))
    others += (call("A-1", type="ticket.solved", subject="VPN down"),)
    for answer in await asyncio.gather(*(post(gateway, other) for other in others)):
        assert (answer.status_code, answer.json()["error"]) == (422, "IdempotencyKeyReused")
    again = json.loads(first) | {"timestamp": datetime.now(UTC).isoformat(), "attempt": 2}
    for body in (first, json.dumps(again, indent=1).encode()):
        answer = await post(gateway, body)
        assert (answer.status_code, answer.json()["status"], answer.json()["ticket_id"]) == (200, "duplicate", "1")
    assert [count(database, table) for table in ("deliveries", "tickets")] == [1, 1]
    at_once = await asyncio.gather(*(post(gateway, call(f"B-{n}", subject="x"), "d-2") for n in range(4)))
    assert sorted(answer.status_code for answer in at_once) == [202, 422, 422, 422]


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
async def test_an_id_that_cannot_be_stored_is_refused(
    gateway: httpx.AsyncClient, database: str, keys: Keys, odd: str
) -> None:
    """422: without that character it would be another ticket's id. In text it is left out."""
    assert (await post(gateway, call(f"A{odd}-1", subject="x"))).status_code == 422
    event = {"type": "ticket.created", "data": {"id": "A-1", "subject": f"V{odd}PN", "group": "x"}}
    assert (await post(gateway, json.dumps(event | {"actor_id": f"a{odd}"}).encode(), "d-2")).status_code == 422
    assert (await post(gateway, json.dumps(event).encode(), "d-3")).status_code == 202
    with psycopg.connect(database) as conn:
        assert conn.execute("select ticket ->> 'subject' from raw.texts").fetchall() == [("VPN",)]
    for change in ({"metadata": {"external_id": f"1{odd}"}}, {"source": f"form{odd}"}, {"title": odd}):
        plain = json.dumps({"title": "VPN", **change}).encode()
        answer = await gateway.post("/webhook/ticket", content=plain, headers=Keys.header(keys.agent))
        assert answer.status_code == 422, change
    assert count(database, "tickets") == 1


async def test_fields_of_plain_json_that_mean_nothing_are_named(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """A misspelt priority shows; so do a form's own fields, which are no reason to lose its ticket."""
    sent = {"title": "VPN", "priorty": "high", "submittedAt": "now", "x" * 200: 1, "metadata": {"form": 1}}
    answer = await gateway.post("/webhook/ticket", json=sent, headers=Keys.header(keys.agent))
    assert (answer.status_code, answer.json()["ignored"]) == (202, ["priorty", "submittedAt", "x" * 100])
    plain = await gateway.post("/webhook/ticket", json={"title": "VPN"}, headers=Keys.header(keys.agent))
    assert "ignored" not in plain.json()


@pytest.mark.parametrize("title", ["", "   ", " \n"])
async def test_a_title_of_nothing_is_refused(gateway: httpx.AsyncClient, keys: Keys, title: str) -> None:
    answer = await gateway.post("/webhook/ticket", json={"title": title}, headers=Keys.header(keys.agent))
    assert answer.status_code == 422


async def test_two_deliveries_of_one_creation_start_one_workflow(gateway: httpx.AsyncClient, database: str) -> None:
    """A system that announces the same ticket under two delivery ids gets one triage."""
    for delivery_id in ("d-1", "d-2"):
        await post(gateway, call(subject="VPN down"), delivery_id)
    assert [count(database, table) for table in ("deliveries", "tickets", "dbos.workflow_status")] == [2, 1, 1]


async def test_an_older_delivery_does_not_undo_a_newer_one(gateway: httpx.AsyncClient, database: str) -> None:
    """Out of order: the solving arrives first and stays."""
    now = datetime.now(UTC)
    await post(gateway, call(type="ticket.solved", status="solved", subject="x", at=now), "d-2")
    await post(gateway, call(status="new", subject="x", at=now - timedelta(minutes=5)), "d-1")
    with psycopg.connect(database) as conn:
        assert conn.execute("select status from tickets").fetchone() == ("solved",)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"headers": {"webhook-signature": "v1,AAAA"}}, 401),
        ({"age": timedelta(minutes=6)}, 401),
        ({"body": b"{" + b" " * MAX_BODY_BYTES + b"}"}, 413),
        ({"body": b"not json"}, 422),
        ({"body": b'{"type": "ticket.created", "data": {}}'}, 422),
    ],
    ids=["bad signature", "stale", "too large", "not json", "no id"],
)
async def test_what_cannot_be_used_is_refused_and_stored_nowhere(
    gateway: httpx.AsyncClient, database: str, change: dict, status: int
) -> None:
    """401, 413 and 422, with a message, and no row."""
    body = change.get("body", call(subject="x"))
    headers = sign_standard(SECRET, body, delivery_id="d", now=datetime.now(UTC) - change.get("age", timedelta()))
    answer = await gateway.post("/hooks/generic", content=body, headers=headers | change.get("headers", {}))
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert count(database, "deliveries") == 0


async def test_a_body_without_a_length_is_cut_off_too(gateway: httpx.AsyncClient) -> None:
    """Chunked bodies are counted while they are read."""

    async def endless():
        for _ in range(1000):
            yield b" " * 1000

    answer = await gateway.post("/hooks/generic", content=endless())
    assert answer.status_code == 413


async def test_an_unknown_connector_is_named_with_the_known_ones(gateway: httpx.AsyncClient) -> None:
    """404 says which connectors are on and how one is switched on."""
    answer = await gateway.post("/hooks/nosuch", content=b"{}")
    assert answer.status_code == 404
    assert "desk, generic, zendesk" in answer.json()["message"]


async def test_without_a_database_the_sender_is_told_to_retry(settings: GatewaySettings) -> None:
    """503, so that nothing is lost."""
    app = build_app(settings.model_copy(update={"database_url": SecretStr("postgresql://x@127.0.0.1:9/x")}))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        answer = await post(client, call(subject="x"))
        health = await client.get("/health")
    assert answer.status_code == 503
    assert (health.status_code, health.json()["status"]) == (503, "down")


async def test_plain_json_opens_a_ticket_in_the_desk_once(
    gateway: httpx.AsyncClient, database: str, keys: Keys
) -> None:
    """IN-4: title, description, email, priority, source, metadata; a repeated key gives the first ticket."""
    ticket = {
        "title": "Laptop broken",
        "description": "It smokes.",
        "email": "a@example.com",
        "priority": "high",
        "source": "n8n",
        "metadata": {"form": 7},
    }
    headers = Keys.header(keys.agent) | {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(gateway.post("/webhook/ticket", json=ticket, headers=headers) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [202]
    assert len({answer.json()["ticket_id"] for answer in answers}) == 1
    assert [count(database, table) for table in ("desk_tickets", "tickets", "dbos.workflow_status")] == [1, 1, 1]


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_key_that_comes_with_other_content_is_refused(
    gateway: httpx.AsyncClient, database: str, keys: Keys, by_header: bool
) -> None:
    """422, one after the other and at once: of several contents under one key one is taken in, none lost silently."""
    headers = Keys.header(keys.agent) | ({"Idempotency-Key": "k1"} if by_header else {})
    metadata = {} if by_header else {"external_id": "k1"}
    tickets = [{"title": f"Laptop {number}", "metadata": metadata} for number in range(4)]
    answers = await asyncio.gather(*(gateway.post("/webhook/ticket", json=t, headers=headers) for t in tickets))
    assert sorted(answer.status_code for answer in answers) == [202, 422, 422, 422]
    refused = next(answer.json() for answer in answers if answer.status_code == 422)
    assert refused["error"] == "IdempotencyKeyReused"
    first = next(t for t, answer in zip(tickets, answers, strict=True) if answer.status_code == 202)
    assert (await gateway.post("/webhook/ticket", json=first, headers=headers)).json()["status"] == "duplicate"
    other_source = first | {"source": "elsewhere"}
    assert (await gateway.post("/webhook/ticket", json=other_source, headers=headers)).status_code == (
        422 if by_header else 202
    )
    assert count(database, "tickets") == (1 if by_header else 2)


async def test_a_caller_who_prefers_to_wait_is_answered_with_the_route(
    gateway: httpx.AsyncClient, database: str, keys: Keys
) -> None:
    """200 with the decision as soon as it is there; a repeated call gets it at once; without the wish nobody waits."""
    headers = Keys.header(keys.agent) | {"Idempotency-Key": "k", "Prefer": "respond-async, wait=60"}
    asked = asyncio.create_task(gateway.post("/webhook/ticket", json={"title": "VPN down"}, headers=headers))
    while count(database, "tickets") == 0:  # noqa: ASYNC110  # the gateway writes it, when it does
        await asyncio.sleep(0.05)
    async with await psycopg.AsyncConnection[DictRow].connect(database, row_factory=dict_row) as conn:
        await worker.record(conn, decision().model_copy(update={"ticket_id": "1"}), "new:1")
    answer = await asked
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=30")
    assert answer.json()["decision"]["group"] == "Network & VPN"
    again = await gateway.post("/webhook/ticket", json={"title": "VPN down"}, headers=headers)
    assert (again.json()["status"], again.json()["decision"]["ticket_id"]) == ("duplicate", "1")
    unasked = await gateway.post("/webhook/ticket", json={"title": "VPN down"}, headers=Keys.header(keys.agent))
    assert (unasked.status_code, "decision" in unasked.json()) == (202, False)


async def test_who_waits_in_vain_has_still_sent_the_ticket(
    gateway: httpx.AsyncClient, database: str, keys: Keys
) -> None:
    """202 when the time is up; a wish that cannot be read is none."""
    wishes = ("wait=1", "wait=soon", "wait=-1", "", "await=9", "wait=nan", "wait=1e9", "wait=٣".encode())
    for prefer in wishes:
        headers = Keys.header(keys.agent) | {"Prefer": prefer}
        answer = await gateway.post("/webhook/ticket", json={"title": "VPN down"}, headers=headers)
        assert (answer.status_code, "preference-applied" in answer.headers) == (202, False)
    assert count(database, "tickets") == len(wishes)


async def test_waiting_is_bounded_in_time_and_number(gateway: httpx.AsyncClient, database: str) -> None:
    """Nobody waits longer than half a minute, and who comes when many wait is answered at once."""
    assert [waiting.wanted_s(f"wait={wish}") for wish in ("7", "999999", "9" * 50, "nan", "inf", "0x9")] == [
        7,
        waiting.WAIT_MAX_S,
        waiting.WAIT_MAX_S,
        0,
        0,
        0,
    ]
    nobody_else = asyncio.Semaphore(0)
    async with build_pool(database, company="default", min_size=1, max_size=1) as pool:
        assert await waiting.decision(pool, "1", 30, nobody_else) is None


async def test_plain_json_needs_a_key_of_an_agent(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Deny by default: 401 without a key, 403 for a viewer."""
    ticket = {"title": "Laptop broken"}
    assert (await gateway.post("/webhook/ticket", json=ticket)).status_code == 401
    assert (await gateway.post("/webhook/ticket", json=ticket, headers=Keys.header(keys.viewer))).status_code == 403
    answer = await gateway.post("/webhook/ticket", json={"description": "no title"}, headers=Keys.header(keys.agent))
    assert (answer.status_code, "title" in answer.json()["message"]) == (422, True)


async def test_over_the_limit_the_sender_is_told_when_to_come_back(settings: GatewaySettings) -> None:
    """429 with Retry-After; calls that are not signed do not use up the real sender's share."""
    app = build_app(settings)
    app.state.hook_gate = RateGate(2, clock=lambda: 600010.0)  # ten seconds into a minute
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        forged = [(await client.post("/hooks/generic", content=b"{}")).status_code for _ in range(5)]
        answers = [await post(client, call(f"A-{number}", subject="x"), f"d-{number}") for number in range(3)]
    assert forged == [401] * 5
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["retry-after"] == "50"


async def test_two_sources_may_use_the_same_number(gateway: httpx.AsyncClient, database: str, keys: Keys) -> None:
    """Form A's ticket 1 is not form B's: neither is lost."""
    for source in ("form-a", "form-b", "form-a"):
        ticket = {"title": f"From {source}", "source": source, "metadata": {"external_id": "1"}}
        await gateway.post("/webhook/ticket", json=ticket, headers=Keys.header(keys.agent))
    assert count(database, "tickets") == 2


@pytest.mark.parametrize("odd", ["NaN", "1e999", '"\\u0000"'])
async def test_json_that_the_database_cannot_hold_is_cleaned_not_an_error(
    gateway: httpx.AsyncClient, keys: Keys, odd: str
) -> None:
    """NaN, infinity and NUL in metadata."""
    body = f'{{"title": "x", "metadata": {{"a": {odd}}}}}'
    answer = await gateway.post("/webhook/ticket", content=body, headers=Keys.header(keys.agent))
    assert answer.status_code == 202, answer.text


async def test_an_older_delivery_brings_no_text_over_a_newer_one(gateway: httpx.AsyncClient, database: str) -> None:
    """Out of order, with text in both: the newer text stays."""
    now = datetime.now(UTC)
    await post(gateway, call(subject="new words", at=now), "d-2")
    await post(gateway, call(subject="old words", at=now - timedelta(minutes=5)), "d-1")
    with psycopg.connect(database) as conn:
        assert conn.execute("select ticket ->> 'subject' from raw.texts").fetchone() == ("new words",)


async def test_a_senders_clock_that_is_ahead_does_not_freeze_the_ticket(
    gateway: httpx.AsyncClient, database: str
) -> None:
    """A future time counts as now, so that what comes later is newer."""
    await post(gateway, call(status="new", subject="x", at=datetime.now(UTC) + timedelta(hours=2)), "d-1")
    await post(gateway, call(type="ticket.solved", status="solved", subject="x"), "d-2")
    with psycopg.connect(database) as conn:
        assert conn.execute("select status from tickets").fetchone() == ("solved",)


async def test_an_erased_ticket_takes_no_text_again(gateway: httpx.AsyncClient, database: str) -> None:
    """A late delivery after the erasure."""
    await post(gateway, call(subject="x"), "d-1")
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("delete from raw.texts")
        conn.execute("update tickets set state = 'erased'")
    await post(gateway, call(type="ticket.updated", subject="again"), "d-2")
    assert count(database, "raw.texts") == 0


async def test_a_browser_of_an_allowed_origin_may_send_a_key(settings: GatewaySettings) -> None:
    """CORS is closed by default; where it is opened, the header that every call needs is allowed."""
    asked = {
        "Origin": "https://desk.example.com",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for origins, status in (((), 405), (("https://desk.example.com",), 200)):
        app = build_app(settings.model_copy(update={"cors_origins": origins}))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://g") as client,
        ):
            assert (await client.options("/api/tickets", headers=asked)).status_code == status


async def solve(gateway: httpx.AsyncClient, status: str, delivery_id: str) -> None:
    at = datetime.now(UTC)
    await post(gateway, call(type="ticket.solved", status=status, subject="x", at=at), delivery_id)


def workflows(database: str) -> list[str]:
    with psycopg.connect(database) as conn:
        rows = conn.execute("select workflow_uuid from dbos.workflow_status order by workflow_uuid").fetchall()
    return [row[0] for row in rows]


async def test_closing_a_solved_ticket_starts_nothing(gateway: httpx.AsyncClient, database: str) -> None:
    """Help desks close by themselves what was solved; solved anew after a reopening it is summarised anew."""
    await solve(gateway, "solved", "d-1")
    await solve(gateway, "closed", "d-2")
    assert workflows(database) == ["solved:1:1"]
    await post(gateway, call(type="ticket.updated", status="open", subject="x"), "d-3")
    await solve(gateway, "solved", "d-4")
    assert workflows(database) == ["solved:1:1", "solved:1:2"]


async def test_a_ticket_closed_at_once_is_summarised_once(gateway: httpx.AsyncClient, database: str) -> None:
    """Nobody said that it was solved before."""
    await solve(gateway, "closed", "d-1")
    await solve(gateway, "solved", "d-2")
    assert workflows(database) == ["solved:1:1"]


async def test_an_old_solving_of_a_reopened_ticket_starts_nothing(gateway: httpx.AsyncClient, database: str) -> None:
    """Out of order: what it was before the newest telling."""
    now = datetime.now(UTC)
    await post(gateway, call(type="ticket.updated", status="open", at=now), "d-2")
    await post(gateway, call(type="ticket.solved", status="solved", at=now - timedelta(minutes=5)), "d-1")
    assert workflows(database) == []


async def test_a_creation_without_its_ticket_is_there_to_be_fetched(gateway: httpx.AsyncClient, database: str) -> None:
    """An id is enough: the raw row exists, and what it lacks comes from the system."""
    await post(gateway, call())
    with psycopg.connect(database) as conn:
        row = conn.execute("select ticket ->> 'external_id', ticket ->> 'status' from raw.texts").fetchone()
    assert row == ("A-1", None)


@pytest.mark.parametrize("kind", ["solved", "deleted", "updated", "assigned", "commented"])
async def test_only_a_creation_waits_to_be_triaged(gateway: httpx.AsyncClient, database: str, kind: str) -> None:
    """Nothing would ever triage what was never created here; the creation that was overtaken does, once."""

    def states() -> list[str]:
        with psycopg.connect(database) as conn:
            return [row[0] for row in conn.execute("select state from tickets")]

    await post(gateway, call(type=f"ticket.{kind}", subject="VPN down"), "d-1")
    assert states() == ["filtered"]
    await post(gateway, call(subject="VPN down"), "d-2")
    assert states() == ["received"]
    assert "new:1" in workflows(database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update tickets set state = 'filtered'")  # as the worker leaves alone what a filter names
    await post(gateway, call(subject="VPN down"), "d-3")
    assert states() == ["filtered"]


async def test_a_thin_update_changes_no_status(gateway: httpx.AsyncClient, database: str) -> None:
    """A comment on a solved ticket that says nothing of its status leaves it solved."""
    await solve(gateway, "solved", "d-1")
    await post(gateway, call(type="ticket.commented"), "d-2")
    with psycopg.connect(database) as conn:
        assert conn.execute("select status from tickets").fetchone() == ("solved",)


async def test_text_that_comes_after_a_thin_event_is_taken_though_it_is_older(
    gateway: httpx.AsyncClient, database: str
) -> None:
    """The thin one left an empty row; the creation that was overtaken fills it."""
    now = datetime.now(UTC)
    await post(gateway, call(type="ticket.updated", at=now), "d-2")
    await post(gateway, call(subject="VPN down", at=now - timedelta(minutes=5)), "d-1")
    with psycopg.connect(database) as conn:
        assert conn.execute("select ticket ->> 'subject' from raw.texts").fetchone() == ("VPN down",)


async def test_text_that_changed_is_redacted_anew(gateway: httpx.AsyncClient, database: str) -> None:
    """Once for each telling that differs, and not for one that does not."""
    await post(gateway, call(subject="VPN down"), "d-1")
    await post(gateway, call(type="ticket.updated", subject="VPN down"), "d-2")
    assert workflows(database) == ["new:1"]
    await post(gateway, call(type="ticket.updated", subject="VPN down in Rome"), "d-3")
    assert workflows(database) == ["new:1", "retold:1:d-3"]


async def test_a_replayed_trigger_has_no_second_effect(gateway: httpx.AsyncClient, database: str) -> None:
    """One signed body under four invocation ids, which nobody signs: one delivery, one workflow."""
    ticket = {"id": "7", "status": "Solved", "updated_at": "2026-11-20T08:59:59Z"}
    body = json.dumps({"event": "solved", "actor_id": "902", "ticket": ticket}).encode()
    for number in range(4):
        headers = sign_zendesk(SECRET, body, now=datetime.now(UTC), invocation=f"i-{number}")
        assert (await gateway.post("/hooks/zendesk", content=body, headers=headers)).is_success
    assert (count(database, "deliveries"), workflows(database)) == (1, ["solved:1:1"])
