"""zenpy, a client that is not ours and was written for the real Zendesk, works against the double unmodified."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Ticket, User
from zenpy.lib.exception import APIException, RecordNotFoundException

from services.local.zendesk_double.app import create_app
from services.local.zendesk_double.calls import DoubleSettings
from tests.services.core.connectors.conftest import _serve

NOW = datetime.now(UTC)
AGENT = httpx.BasicAuth("agent@example.com/token", "agent-token")


class Clock:
    def __init__(self) -> None:
        self.at = NOW - timedelta(days=1)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def url(clock: Clock) -> AsyncIterator[str]:
    settings = DoubleSettings(integration_token="integration-token", agent_token="agent-token", clock=clock)
    async with _serve(create_app(settings)) as url:
        yield url


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs what it is given with a zenpy client, in a thread: zenpy waits for its answers."""
    monkeypatch.setenv("ZENPY_FORCE_NETLOC", url.removeprefix("http://"))
    monkeypatch.setenv("ZENPY_FORCE_SCHEME", "http")

    async def run(doing: Callable[[Zenpy], Any]) -> Any:
        zendesk = Zenpy(subdomain="double", email="agent@example.com", token="agent-token", disable_cache=True)
        return await asyncio.to_thread(doing, zendesk)

    return run


def open_ticket(zendesk: Zenpy, subject: str = "Printer burns", **fields: Any) -> Any:
    requester = User(name="Ana Costa", email="ana@example.com")
    return zendesk.tickets.create(
        Ticket(subject=subject, comment=Comment(body="since noon"), requester=requester, **fields)
    )


async def test_create_and_update_answer_an_audit(run: Callable[..., Any]):
    """What changed, from what, to what, with the comment, as the events of a TicketAudit."""

    def doing(zendesk: Zenpy) -> None:
        created = open_ticket(zendesk, tags=["vip"])
        assert created.ticket.subject == "Printer burns"
        assert {event["type"] for event in created.audit.events} == {"Create", "Comment"}
        ticket = zendesk.tickets(id=created.ticket.id)
        ticket.priority, ticket.comment = "high", Comment(body="on my way", public=False)
        audit = zendesk.tickets.update(ticket).audit
        assert audit.ticket_id == ticket.id
        assert ("Change", "priority", None, "high") in [
            (event["type"], event.get("field_name"), event.get("previous_value"), event.get("value"))
            for event in audit.events
        ]
        assert [(event["body"], event["public"]) for event in audit.events if event["type"] == "Comment"] == [
            ("on my way", False)
        ]
        assert [found.id for found in zendesk.tickets.audits(ticket)] == [created.audit.id, audit.id]
        assert [comment.body for comment in zendesk.tickets.comments(ticket)] == ["since noon", "on my way"]

    await run(doing)


async def test_lists_run_over_pages(run: Callable[..., Any]):
    """All tickets once each, by zenpy's own cursors; show_many in the order of ids, without what is not there."""

    def doing(zendesk: Zenpy) -> None:
        ids = [open_ticket(zendesk, f"ticket {n}").ticket.id for n in range(7)]
        assert [ticket.id for ticket in zendesk.tickets(cursor_pagination=3)] == ids
        assert [ticket.id for ticket in zendesk.tickets(ids=[ids[4], 1, ids[2]])] == [ids[4], ids[2]]
        assert len(list(zendesk.groups(cursor_pagination=2))) == 5

    await run(doing)


async def test_search_finds_by_field_comparison_and_word(run: Callable[..., Any], clock: Clock):
    """The query language as zenpy writes it: fields, negation, order, dates, words, counts."""

    def doing(zendesk: Zenpy) -> None:
        burns = open_ticket(zendesk, tags=["vip"], priority="urgent", group_id=98_701).ticket.id
        clock.at += timedelta(hours=1)
        vpn = open_ticket(zendesk, "VPN drops", priority="low").ticket.id
        later = clock.at - timedelta(minutes=30)

        def found(*words: str, **fields: Any) -> list[int]:
            return [ticket.id for ticket in zendesk.search(*words, type="ticket", **fields)]

        assert found() == [burns, vpn]
        assert found(sort_by="created_at", sort_order="desc") == [vpn, burns]
        assert found("burns") == [burns]
        assert found(tags="vip") == [burns]
        assert found(group="Billing") == [burns]
        assert found(minus="priority:urgent") == [vpn]
        assert found(priority_less_than="high") == [vpn]
        assert found(created_after=later) == [vpn]
        assert found(requester="ana@example.com", status="new") == [burns, vpn]
        assert found(assignee="none") == [burns, vpn]
        assert zendesk.search.count(type="ticket", priority="low") == 1
        assert [user.email for user in zendesk.search(type="user", query="ana@example.com")] == ["ana@example.com"]
        with pytest.raises(APIException, match="fieldtype"):
            found(fieldtype="x")

    await run(doing)


async def test_users_and_tags(run: Callable[..., Any]):
    def doing(zendesk: Zenpy) -> None:
        ticket = open_ticket(zendesk, tags=["vip"]).ticket
        assert zendesk.users.me().email == "agent@example.com"
        user = zendesk.users(id=ticket.requester_id)
        assert (user.name, user.role) == ("Ana Costa", "end-user")
        assert [found.id for found in zendesk.users.search(query="ana@example.com")] == [user.id]
        assert [found.id for found in zendesk.users(ids=[user.id, 902])] == [user.id, 902]
        assert {found.role for found in zendesk.users()} == {"agent", "end-user"}
        assert zendesk.users.create(User(name="Bo", email="bo@example.com")).email == "bo@example.com"
        with pytest.raises(APIException, match="already being used"):
            zendesk.users.create(User(name="Bo", email="bo@example.com"))
        zendesk.tickets.add_tags(ticket.id, ["urgent", "berlin"])
        assert sorted(zendesk.tickets(id=ticket.id).tags) == ["berlin", "urgent", "vip"]
        zendesk.tickets.delete_tags(ticket.id, ["vip"])
        assert sorted(zendesk.tickets(id=ticket.id).tags) == ["berlin", "urgent"]
        zendesk.tickets.set_tags(ticket.id, ["only"])
        assert {tag.name: tag.count for tag in zendesk.tags()} == {"only": 1}

    await run(doing)


async def test_incremental_export_goes_by_cursor_and_tells_of_deleted(run: Callable[..., Any], clock: Clock, url: str):
    """Everything changed since a time, in order of change, once; then only what is newer than the cursor."""

    def doing(zendesk: Zenpy) -> list[int]:
        ids = []
        for n in range(5):
            ids.append(open_ticket(zendesk, f"ticket {n}").ticket.id)
            clock.at += timedelta(minutes=5)
        zendesk.tickets.delete(Ticket(id=ids[1]))
        clock.at += timedelta(minutes=5)
        export = zendesk.tickets.incremental(start_time=NOW - timedelta(days=2), paginate_by_time=False, per_page=2)
        found = [(ticket.id, ticket.status) for ticket in export]
        assert found == [(ids[n], "new") for n in (0, 2, 3, 4)] + [(ids[1], "deleted")]
        return ids

    ids = await run(doing)
    async with httpx.AsyncClient(auth=AGENT, base_url=f"{url}/api/v2") as http:
        start = {"start_time": str(int((NOW - timedelta(days=2)).timestamp()))}
        first = (await http.get("/incremental/tickets/cursor.json", params=start)).json()
        assert first["end_of_stream"]
        await http.put(f"/tickets/{ids[3]}.json", json={"ticket": {"priority": "low"}})
        fresh = await http.get("/incremental/tickets/cursor.json", params={"cursor": first["after_cursor"]})
        assert fresh.json()["tickets"] == []  # what is younger than a minute waits
        clock.at += timedelta(minutes=2)
        rest = (await http.get("/incremental/tickets/cursor.json", params={"cursor": first["after_cursor"]})).json()
        assert [ticket["id"] for ticket in rest["tickets"]] == [ids[3]]
        soon = {"start_time": str(int(clock.at.timestamp()))}
        assert (await http.get("/incremental/tickets/cursor.json", params=soon)).status_code == 422


async def test_many_are_updated_as_a_job(run: Callable[..., Any]):
    """Each ticket says for itself whether it took the change."""

    def doing(zendesk: Zenpy) -> None:
        tickets = [open_ticket(zendesk, f"ticket {n}").ticket for n in range(2)]
        tickets[0].priority, tickets[1].group_id = "low", 1
        job = zendesk.tickets.update(tickets)
        done = zendesk.job_status(id=job.id)
        assert done.status == "completed"
        assert [(result.id, result.success) for result in done.results] == [
            (tickets[0].id, True),
            (tickets[1].id, False),
        ]
        assert zendesk.tickets(id=tickets[0].id).priority == "low"

    await run(doing)


async def test_errors_reach_zenpy_as_its_own(run: Callable[..., Any]):
    def doing(zendesk: Zenpy) -> None:
        with pytest.raises(RecordNotFoundException):
            zendesk.tickets(id=1)
        ticket = open_ticket(zendesk).ticket
        ticket.group_id = 1
        with pytest.raises(APIException, match="Record validation errors"):
            zendesk.tickets.update(ticket)

    await run(doing)


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "body"),
    [
        ("GET", "tickets/abc.json", b"", 400, {"error": {"title": "Invalid attribute"}}),
        ("GET", "nothing.json", b"", 404, {"error": "InvalidEndpoint"}),
        ("PATCH", "tickets.json", b"", 404, {"error": "InvalidEndpoint"}),
        ("POST", "tickets.json", b"{", 422, {"error": "Unprocessable Entity"}),
        ("POST", "tickets.json", b"[]", 400, {"error": "ParameterMissing"}),
        ("POST", "tickets.json", b"{}", 400, {"error": "ParameterMissing"}),
        ("GET", "tickets.json?page=x", b"", 400, {"error": {"title": "Invalid attribute"}}),
        ("GET", "search.json", b"", 400, {"error": "ParameterMissing"}),
        ("GET", "incremental/tickets/cursor.json?cursor=%21", b"", 400, {"error": "InvalidPaginationParameter"}),
    ],
)
async def test_errors_have_zendesks_shape(url: str, method: str, path: str, content: bytes, status: int, body: dict):
    """Never the web framework's own `detail`."""
    async with httpx.AsyncClient(auth=AGENT) as http:
        headers = {"Content-Type": "application/json"}
        answer = await http.request(method, f"{url}/api/v2/{path}", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    found = answer.json()
    wanted = body["error"]
    assert found["error"] == wanted or (isinstance(wanted, dict) and found["error"]["title"] == wanted["title"])
    assert "detail" not in found


async def test_paths_work_without_their_ending(url: str):
    async with httpx.AsyncClient(auth=AGENT) as http:
        assert (await http.get(f"{url}/api/v2/users/me")).json()["user"]["id"] == 902
        assert (await http.get(f"{url}/api/v2/tickets")).json()["count"] == 0
