"""Tickets through the running platform: triaged, written back once, summarised, related, erased."""

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.desk_agents import DeskAgents, DeskEvent, NewDeskTicket, Said
from services.core.kit.database import build_pool
from tests.platform import Platform
from tests.signing import sign_standard, sign_zendesk

NETWORK = NewDeskTicket("vpn and wifi problem", "Please help with dns and router", "Jo Doe", "jo.doe@example.com")
CANARY = "zzcanaryzz4711"


async def tell(platform: Platform, event: DeskEvent) -> None:
    """The desk's own webhook."""
    secret = SecretStr(platform.home.secrets["desk"])
    async with httpx.AsyncClient(base_url=platform.home.gateway_url) as http:
        headers = event.signed(secret, now=datetime.now(UTC))
        (await http.post("/hooks/desk", content=event.body(), headers=headers)).raise_for_status()


async def open_and_triage(platform: Platform, ticket: NewDeskTicket) -> str:
    """The desk's ticket number, once it is decided and written."""
    async with build_pool(platform.home.postgres.url, min_size=1, max_size=1) as pool:
        event = await DeskAgents(pool).create(ticket)
    await tell(platform, event)
    platform.wait_until(lambda: bool(decisions(platform, "desk", event.ticket_id)), "the decision")
    platform.wait_until(lambda: not letters(platform, "desk", event.ticket_id, "pending"), "the write-back")
    return event.ticket_id


def decisions(platform: Platform, connector: str, external_id: str) -> list[dict[str, Any]]:
    query = (
        "select d.* from decisions d join tickets t on t.id = d.ticket_id where t.connector = %s and t.external_id = %s"
    )
    return platform.rows(query, connector, external_id)


def letters(platform: Platform, connector: str, external_id: str, state: str) -> list[dict[str, Any]]:
    query = (
        "select o.* from outbox o join tickets t on t.id = o.ticket_id "
        "where t.connector = %s and t.external_id = %s and o.state = %s"
    )
    return platform.rows(query, connector, external_id, state)


def ticket_row(platform: Platform, connector: str, external_id: str) -> dict[str, Any]:
    return platform.rows("select * from tickets where connector = %s and external_id = %s", connector, external_id)[0]


async def test_a_ticket_is_routed_and_written_back_with_its_reason(platform: Platform) -> None:
    """Webhook, workflow, router, decision, desk: group, priority, tags and a private note."""
    number = await open_and_triage(platform, NETWORK)
    decision = decisions(platform, "desk", number)[0]["decision"]
    assert (decision["group"], decision["band"]) == ("Network", "AUTO_ROUTE")
    row = platform.rows("select * from desk_tickets where id = %s", int(number))[0]
    assert (row["group_name"], row["priority"]) == ("Network", decision["priority"])
    note = platform.rows("select * from desk_comments where ticket_id = %s", int(number))
    assert [(entry["public"], entry["author"]) for entry in note] == [(False, "pointsman")]
    assert decision["model_version"] in note[0]["body"]


async def test_models_see_only_redacted_text(platform: Platform) -> None:
    """The stored text has placeholders; the originals lie in the vault alone."""
    number = await open_and_triage(
        platform, NewDeskTicket("vpn for Maria Garcia", "Mail maria.garcia@example.org, card 4111 1111 1111 1111, dns")
    )
    row = ticket_row(platform, "desk", number)
    assert "maria.garcia@example.org" not in row["body"]
    assert "4111" not in row["body"]
    vault = platform.value("select vault from raw.texts where ticket_id = %s", row["id"])
    assert "maria.garcia@example.org" in vault.values()


async def test_ten_deliveries_at_once_have_one_effect(platform: Platform) -> None:
    """One ticket, one workflow, one write-back, seen from Zendesk."""
    text = {"subject": "salary payslip problem", "comment": {"body": "Please help with bonus and tax"}}
    answer = platform.zendesk.post("/api/v2/tickets.json", json={"ticket": text})
    external_id = str(answer.json()["ticket"]["id"])
    event = {
        "id": str(uuid.uuid4()),
        "type": "zen:event-type:ticket.created",
        "detail": {"id": external_id},
        "event": {},
    }
    body = json.dumps(event | {"time": datetime.now(UTC).isoformat()}).encode()
    secret = SecretStr(platform.home.secrets["zendesk"])
    async with httpx.AsyncClient(base_url=platform.home.gateway_url) as http:

        async def post() -> int:
            headers = sign_zendesk(secret, body, now=datetime.now(UTC))
            return (await http.post("/hooks/zendesk", content=body, headers=headers)).status_code

        statuses = await asyncio.gather(*(post() for _ in range(10)))
    assert sorted(statuses) == [200] * 9 + [202]
    platform.wait_until(lambda: bool(letters(platform, "zendesk", external_id, "sent")), "the write-back")
    assert len(decisions(platform, "zendesk", external_id)) == 1
    comments = platform.zendesk.get(f"/api/v2/tickets/{external_id}/comments.json").json()["comments"]
    assert sum("Pointsman" in comment["body"] for comment in comments) == 1


async def test_a_solved_ticket_is_labelled_and_summarised(platform: Platform) -> None:
    """The group at close becomes the label; a private note tells issue and actions; the case can be found."""
    number = await open_and_triage(platform, NETWORK)
    async with build_pool(platform.home.postgres.url, min_size=1, max_size=1) as pool:
        said = Said("agent@example.com", "I replaced the cable and restarted the router. It works again.")
        event = await DeskAgents(pool).solve(number, said, group="Hardware")
    await tell(platform, event)
    ticket_id = ticket_row(platform, "desk", number)["id"]
    platform.wait_until(lambda: len(letters(platform, "desk", number, "sent")) == 2, "the summary note")
    assert platform.rows('select "group", source from labels where ticket_id = %s', ticket_id) == [
        {"group": "Hardware", "source": "close"}
    ]
    summary = platform.value("select body from notes where kind = 'summary' and ticket_id = %s", ticket_id)
    assert "replaced the cable" in summary["actions"]
    notes = platform.rows("select body from desk_comments where ticket_id = %s and not public order by id", int(number))
    assert "replaced the cable" in notes[-1]["body"]
    assert platform.value("select count(*) from ticket_vectors where ref = %s", f"ticket/{ticket_id}") == 1


async def test_an_assigned_ticket_gets_its_nearest_solved_ones(platform: Platform) -> None:
    """A private note names similar solved tickets."""
    solved = await open_and_triage(platform, NETWORK)
    async with build_pool(platform.home.postgres.url, min_size=1, max_size=1) as pool:
        agents = DeskAgents(pool)
        await tell(platform, await agents.solve(solved, Said("agent@example.com", "Fixed the dns."), group="Network"))
        ref = f"ticket/{ticket_row(platform, 'desk', solved)['id']}"
        platform.wait_until(lambda: platform.value("select count(*) from ticket_vectors where ref = %s", ref) == 1, ref)
        number = await open_and_triage(platform, NETWORK)
        await tell(platform, await agents.assign(number, group="Network", assignee="agent@example.com"))
    platform.wait_until(lambda: len(letters(platform, "desk", number, "sent")) == 2, "the note")
    notes = platform.rows("select body from desk_comments where ticket_id = %s order by id", int(number))
    assert f"- {solved} (Network" in notes[-1]["body"]


async def test_erasure_leaves_no_text_anywhere(platform: Platform) -> None:
    """Raw text, redacted text, vault, notes and letters go; the receipt is in the audit log."""
    secret = SecretStr(platform.home.secrets["generic"])
    external_id = f"E-{uuid.uuid4().hex}"
    canary = f"zzerasedzz{uuid.uuid4().int % 10_000:04}"  # of this test: others leave theirs on the shared platform

    async def say(event_type: str) -> None:
        data = {"id": external_id, "subject": f"vpn {canary}", "body": f"dns {canary}"}
        body = json.dumps({"type": event_type, "timestamp": datetime.now(UTC).isoformat(), "data": data}).encode()
        headers = sign_standard(secret, body, delivery_id=uuid.uuid4().hex, now=datetime.now(UTC))
        async with httpx.AsyncClient(base_url=platform.home.gateway_url) as http:
            (await http.post("/hooks/generic", content=body, headers=headers)).raise_for_status()

    await say("ticket.created")
    platform.wait_until(lambda: bool(decisions(platform, "generic", external_id)), "the decision")
    await say("ticket.erased")
    platform.wait_until(lambda: ticket_row(platform, "generic", external_id)["state"] == "erased", "the erasure")
    tables = (
        "tickets",
        "raw.texts",
        "notes",
        "outbox",
        "ticket_vectors",
        "llm_cache",
        "decisions",
        "audit_log",
        "deliveries",
    )
    for table in tables:
        assert platform.value(f"select count(*) from {table} t where t::text like '%%{canary}%%'") == 0, table
    assert platform.value("select count(*) from audit_log where action = 'ticket.erased'") >= 1


async def test_a_ticket_that_is_solved_already_is_left_alone(platform: Platform) -> None:
    """No decision, no write-back; the reason is in the audit log."""
    async with build_pool(platform.home.postgres.url, min_size=1, max_size=1) as pool:
        agents = DeskAgents(pool)
        event = await agents.create(NETWORK)
        await agents.solve(event.ticket_id, Said("agent@example.com", "Solved by phone."))
    await tell(platform, event)
    platform.wait_until(lambda: ticket_row(platform, "desk", event.ticket_id)["state"] == "filtered", "the filter")
    subject = f"ticket/{ticket_row(platform, 'desk', event.ticket_id)['id']}"
    assert platform.value("select detail from audit_log where subject = %s", subject) == {"why": "it is solved already"}
    assert decisions(platform, "desk", event.ticket_id) == []


async def test_a_refused_write_back_is_a_dead_letter_that_can_be_replayed(platform: Platform) -> None:
    """The group is missing in Zendesk: dead, listed, and written once after someone has made the group."""
    text = {"subject": "contract lawsuit", "comment": {"body": "Please help with password and login, account locked"}}
    external_id = str(platform.zendesk.post("/api/v2/tickets.json", json={"ticket": text}).json()["ticket"]["id"])
    secret = SecretStr(platform.home.secrets["zendesk"])
    event = {
        "id": str(uuid.uuid4()),
        "type": "zen:event-type:ticket.created",
        "detail": {"id": external_id},
        "event": {},
    }
    body = json.dumps(event | {"time": datetime.now(UTC).isoformat()}).encode()
    # Three refusals in a row are more than one attempt meets: a 422 is final at once.
    platform.zendesk.post("/double/faults", json={"method": "PUT", "kind": "status", "status": 422}).raise_for_status()
    async with httpx.AsyncClient(base_url=platform.home.gateway_url) as http:
        headers = sign_zendesk(secret, body, now=datetime.now(UTC))
        (await http.post("/hooks/zendesk", content=body, headers=headers)).raise_for_status()
    platform.wait_until(lambda: bool(letters(platform, "zendesk", external_id, "dead")), "the dead letter")
    listed = json.loads(platform.cli("dead-letters", "list", "--format", "json").stdout)
    ticket_id = str(ticket_row(platform, "zendesk", external_id)["id"])
    letter = next(entry for entry in listed if entry["ticket_id"] == ticket_id)  # other tests leave dead letters too
    assert "ConnectorRejected" in letter["why"]
    assert platform.cli("dead-letters", "replay", letter["id"]).returncode == 0
    platform.wait_until(lambda: bool(letters(platform, "zendesk", external_id, "sent")), "the replayed letter")


async def test_a_late_letter_gives_way_to_a_person(platform: Platform) -> None:
    """Zendesk was away for a moment, an agent set a group meanwhile: theirs stands, and everybody can see why."""
    text = {"subject": "vpn and wifi problem", "comment": {"body": "Please help with dns and router"}}
    external_id = str(platform.zendesk.post("/api/v2/tickets.json", json={"ticket": text}).json()["ticket"]["id"])
    groups = {group["name"]: group["id"] for group in platform.zendesk.get("/api/v2/groups.json").json()["groups"]}
    fault = {"method": "PUT", "path": external_id, "kind": "status", "status": 503}
    platform.zendesk.post("/double/faults", json=fault).raise_for_status()
    event = {"id": str(uuid.uuid4()), "type": "zen:event-type:ticket.created", "detail": {"id": external_id}}
    body = json.dumps(event | {"event": {}, "time": datetime.now(UTC).isoformat()}).encode()
    headers = sign_zendesk(SecretStr(platform.home.secrets["zendesk"]), body, now=datetime.now(UTC))
    async with httpx.AsyncClient(base_url=platform.home.gateway_url) as http:
        (await http.post("/hooks/zendesk", content=body, headers=headers)).raise_for_status()
    waiting = (
        "select 1 from outbox o join tickets t on t.id = o.ticket_id where t.external_id = %s and last_error <> ''"
    )
    platform.wait_until(lambda: bool(platform.rows(waiting, external_id)), "the first attempt")
    change = {"ticket": {"group_id": groups["Support"], "priority": "low"}}
    platform.zendesk.put(f"/api/v2/tickets/{external_id}.json", json=change).raise_for_status()
    platform.wait_until(lambda: bool(letters(platform, "zendesk", external_id, "superseded")), "the end of the letter")
    ticket = platform.zendesk.get(f"/api/v2/tickets/{external_id}.json").json()["ticket"]
    assert (ticket["group_id"], ticket["priority"]) == (groups["Support"], "low")
    number = ticket_row(platform, "zendesk", external_id)["id"]
    shown = json.loads(platform.cli("ticket", str(number), "--format", "json").stdout)
    assert [(one["state"], "its group is Support by now" in one["result"]) for one in shown["outbox"]] == [
        ("superseded", True)
    ]
    assert "letter.superseded" in [entry["action"] for entry in shown["audit"]]


async def test_a_reviewers_word_is_written_beside_what_a_person_set(platform: Platform) -> None:
    """Somebody sets the priority while the ticket waits for review: it stands, and the reviewer's group is written."""
    text = {"subject": "vpn and wifi problem", "comment": {"body": "Please help with dns and router"}}
    external_id = str(platform.zendesk.post("/api/v2/tickets.json", json={"ticket": text}).json()["ticket"]["id"])
    groups = {group["name"]: group["id"] for group in platform.zendesk.get("/api/v2/groups.json").json()["groups"]}
    event = {"id": str(uuid.uuid4()), "type": "zen:event-type:ticket.created", "detail": {"id": external_id}}
    body = json.dumps(event | {"event": {}, "time": datetime.now(UTC).isoformat()}).encode()
    headers = sign_zendesk(SecretStr(platform.home.secrets["zendesk"]), body, now=datetime.now(UTC))
    key = {"X-API-Key": (platform.home.folder / "api_key").read_text("utf-8").strip()}
    waits = "update catalogue set priority_threshold = {} where name = 'Network'"
    platform.rows(waits.format("'urgent'") + " returning name")
    try:
        async with httpx.AsyncClient(base_url=platform.home.gateway_url, timeout=60) as http:
            (await http.post("/hooks/zendesk", content=body, headers=headers)).raise_for_status()
            platform.wait_until(lambda: bool(decisions(platform, "zendesk", external_id)), "the decision")
            assert decisions(platform, "zendesk", external_id)[0]["band"] == "HUMAN_REVIEW"
            row = ticket_row(platform, "zendesk", external_id)
            number, seen = row["id"], row["seen"]["stamp"]

            def set_later() -> bool:  # Zendesk's stamp has whole seconds
                change = {"ticket": {"priority": "low", "tags": [uuid.uuid4().hex]}}
                answer = platform.zendesk.put(f"/api/v2/tickets/{external_id}.json", json=change).raise_for_status()
                return answer.json()["ticket"]["updated_at"] > seen

            platform.wait_until(set_later, "a later second")
            review = await http.post(f"/api/tickets/{number}/review", json={"group": "Hardware"}, headers=key)
            assert review.is_success, review.text
            platform.wait_until(lambda: bool(letters(platform, "zendesk", external_id, "sent")), "the write-back")
            shown = (await http.get(f"/api/tickets/{number}", headers=key)).json()
    finally:
        platform.rows(waits.format("null") + " returning name")
    ticket = platform.zendesk.get(f"/api/v2/tickets/{external_id}.json").json()["ticket"]
    assert (ticket["group_id"], ticket["priority"]) == (groups["Hardware"], "low")
    assert [one["result"].startswith("written, except: its priority is low by now") for one in shown["outbox"]] == [
        True
    ]
    comments = platform.zendesk.get(f"/api/v2/tickets/{external_id}/comments.json").json()["comments"]
    assert "Not all of this was written" in comments[-1]["body"]


@pytest.mark.parametrize("name", ["gateway", "worker", "router"])
async def test_no_ticket_text_or_secret_is_in_a_log(platform: Platform, name: str) -> None:
    """A canary in subject, body and requester, and every secret of this platform."""
    await open_and_triage(platform, NewDeskTicket(f"vpn {CANARY}", f"dns {CANARY}", CANARY, f"{CANARY}@example.com"))
    log = (platform.home.logs / f"{name}.log").read_text("utf-8")
    assert log
    for secret in (
        CANARY,
        *platform.home.secrets.values(),
        (platform.home.folder / "api_key").read_text("utf-8").strip(),
    ):
        assert secret not in log
