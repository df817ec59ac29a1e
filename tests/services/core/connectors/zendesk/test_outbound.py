"""Zendesk over real HTTP against the double: the conformance suite, then what is Zendesk's own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from services.core.connectors.door import Call
from services.core.connectors.writing import CONFLICT_ATTEMPTS, mark_of
from services.core.connectors.zendesk.connector import Zendesk
from services.core.connectors.zendesk.settings import ZendeskSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Priority, Status, TicketUpdate
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable, NotFound, UpdateConflict
from services.local.zendesk_double.app import create_app
from services.local.zendesk_double.calls import DoubleSettings
from tests.services.core.connectors.conformance import HANDED_OVER
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling

AGENT = httpx.BasicAuth("agent@example.com/token", "agent-token")
WEBHOOK_SECRET = "zendesk-signing-secret"
FAULTS: dict[str, dict[str, Any]] = {
    "rate_limited": {"kind": "status", "status": 429, "retry_after": "7"},
    "server_error": {"kind": "status", "status": 503},
    "hang_after_effect": {"kind": "hang_after_effect"},
    "break_after_effect": {"kind": "break_after_effect"},
}


@dataclass
class SettableClock:
    """Time that passes only when told to."""

    at: datetime = datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC)
    paused_s: float = 0

    def __call__(self) -> datetime:
        return self.at

    async def pause(self, seconds: float) -> None:
        self.paused_s += seconds
        self.at += timedelta(seconds=seconds)


@dataclass
class Desk:
    """The double as a person at the desk uses it; satisfies the conformance suite's `System`."""

    url: str
    http: httpx.AsyncClient
    clock: SettableClock
    connector: Zendesk
    faults = tuple(FAULTS)

    def another(self) -> Zendesk:
        return connector(self.url, self.http, self.clock)

    async def open_ticket(self, **fields: Any) -> str:
        ticket = {"subject": "Printer", "comment": {"body": "It burns"}, "requester": {"email": "ana@example.com"}}
        answer = await self.call("POST", "tickets.json", json={"ticket": ticket | fields})
        self.clock.at += timedelta(seconds=5)
        return str(answer["ticket"]["id"])

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        await self.fault(**FAULTS[fault], skip=skip)

    async def is_struck(self) -> bool:
        return not (await self.http.get(f"{self.url}/double/faults")).json()["waiting"]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        ticket: dict[str, Any] = {key: fields[key] for key in ("priority", "status") if key in fields}
        if "group" in fields:
            groups = (await self.call("GET", "groups.json"))["groups"]
            ticket["group_id"] = next(group["id"] for group in groups if group["name"] == fields["group"])
        if "comment" in fields:
            ticket["comment"] = {"body": fields["comment"]}
        await self.call("PUT", f"tickets/{external_id}.json", json={"ticket": ticket})
        self.clock.at += timedelta(seconds=5)

    async def notes(self, external_id: str) -> list[str]:
        comments = (await self.call("GET", f"tickets/{external_id}/comments.json"))["comments"]
        return [comment["body"] for comment in comments if not comment["public"]]

    async def fault(self, **fault: Any) -> None:
        (await self.http.post(f"{self.url}/double/faults", json=fault)).raise_for_status()

    async def call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        answer = await self.http.request(method, f"{self.url}/api/v2/{path}", auth=AGENT, **content)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    async def ticket(self, external_id: str) -> dict[str, Any]:
        return (await self.call("GET", f"tickets/{external_id}.json"))["ticket"]


def connector_settings(url: str, **given: Any) -> ZendeskSettings:
    base = {
        "secrets": (SecretStr(WEBHOOK_SECRET),), "base_url": url, "user_id": "903",
        "email": "pointsman@example.com", "api_token": "integration-token", "timeout_s": 1.5,
    }  # fmt: skip
    return ZendeskSettings.model_validate(base | given)


def connector(url: str, http: httpx.AsyncClient, clock: SettableClock) -> Zendesk:
    """It waits by the clock of the test."""
    made = Zendesk(connector_settings(url), http)
    made.pause = clock.pause
    return made


def double_settings(clock: SettableClock, **given: Any) -> DoubleSettings:
    return DoubleSettings(integration_token="integration-token", agent_token="agent-token", clock=clock, **given)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> AsyncIterator[Desk]:
    async with serve(create_app(double_settings(clock))) as url:
        yield Desk(url, http, clock, connector(url, http, clock))


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


def update(external_id: str, **fields: Any) -> TicketUpdate:
    return TicketUpdate.model_validate({"key": "k", "external_id": external_id} | fields)


async def test_a_fetched_ticket_is_whole(system: Desk) -> None:
    """Names for ids, comments without the description, the stamp verbatim."""
    external_id = await system.open_ticket(priority="high", tags=["vip"], group_id=98701)
    await system.call(
        "PUT", f"tickets/{external_id}.json", json={"ticket": {"comment": {"body": "b", "public": False}}}
    )
    ticket = await system.connector.fetch(external_id)
    assert ticket is not None
    assert (ticket.subject, ticket.body, ticket.group) == ("Printer", "It burns", "Billing")
    assert (ticket.status, ticket.priority, ticket.tags) == (Status.NEW, Priority.HIGH, ("vip",))
    assert ticket.requester.email == "ana@example.com"
    assert [(c.body, c.public, c.author_id) for c in ticket.comments] == [("b", False, "902")]
    assert ticket.stamp == "2026-11-20T09:00:05Z"
    assert ticket.updated_at == datetime(2026, 11, 20, 9, 0, 5, tzinfo=UTC)


async def test_all_pages_of_comments_are_fetched(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> None:
    """A hundred on a page; the hundred and first counts too."""
    app = create_app(double_settings(clock))
    account = app.state.double.account  # a hundred saves over HTTP take seconds
    external_id = str(account.create({"comment": {"body": "It burns"}}, actor_id=902)[0]["id"])
    for n in range(101):
        account.update(int(external_id), {"comment": {"body": f"c{n}"}}, actor_id=902)
    async with serve(app) as url:
        ticket = await Zendesk(connector_settings(url), http).fetch(external_id)
    assert ticket is not None
    assert [c.body for c in ticket.comments] == [f"c{n}" for n in range(101)]


async def test_a_write_changes_everything_at_once(system: Desk) -> None:
    """One audit holds group, priority, tags and note; other tags stay."""
    external_id = await system.open_ticket(tags=["vip"])
    change = {"group": "Billing", "priority": "urgent", "tags": ("Needs Review", "vip"), "note": "why"}
    result = await system.connector.write(update(external_id, **change))
    ticket = await system.ticket(external_id)
    assert (ticket["group_id"], ticket["priority"]) == (98701, "urgent")
    assert set(ticket["tags"]) == {"vip", "needs_review", mark_of("k")}
    assert result.stamp == ticket["updated_at"]
    assert result.url == f"{system.url}/agent/tickets/{external_id}"
    audits = await system.call("GET", f"tickets/{external_id}/audits/count.json")
    assert audits["count"]["value"] == 2


async def test_a_field_that_is_none_stays(system: Desk) -> None:
    """A note alone moves nothing."""
    external_id = await system.open_ticket(priority="low", group_id=98702)
    await system.connector.write(update(external_id, note="similar: 7"))
    ticket = await system.ticket(external_id)
    assert (ticket["group_id"], ticket["priority"], ticket["status"]) == (98702, "low", "new")


async def test_someone_else_saving_first_loses_nothing(system: Desk) -> None:
    """409, read again, write again: their tag and ours are both there, the note once."""
    external_id = await system.open_ticket()
    await system.fault(kind="other_saves_first")
    result = await system.connector.write(update(external_id, group="Billing", note="n"))
    assert result.status == "written"
    assert {"other1", mark_of("k")} <= set((await system.ticket(external_id))["tags"])
    assert await system.notes(external_id) == ["n"]


async def test_a_ticket_that_keeps_changing_is_left_to_the_caller(system: Desk) -> None:
    """Bounded attempts, then a retryable conflict and no effect."""
    external_id = await system.open_ticket()
    await system.fault(kind="other_saves_first", count=CONFLICT_ATTEMPTS)
    with pytest.raises(UpdateConflict) as caught:
        await system.connector.write(update(external_id, note="n"))
    assert caught.value.retryable
    assert await system.notes(external_id) == []


async def test_a_ticket_changed_this_very_second_is_waited_for(system: Desk) -> None:
    """Stamps count seconds, so the write waits until the next one: else two savers could not be told apart."""
    external_id = await system.open_ticket()
    system.clock.at = datetime.fromisoformat((await system.ticket(external_id))["updated_at"])
    await system.connector.write(update(external_id, note="n"))
    assert system.clock.paused_s == 1
    await system.connector.write(update(external_id, key="k2", note="m"))
    assert system.clock.paused_s == 2
    await system.clock.pause(1)
    await system.connector.write(update(external_id, key="k3", note="o"))
    assert system.clock.paused_s == 3
    assert await system.notes(external_id) == ["n", "m", "o"]


async def test_a_group_that_does_not_exist_is_refused_by_name(system: Desk) -> None:
    """The message names those that do; nothing is written."""
    external_id = await system.open_ticket()
    with pytest.raises(ConnectorRejected, match=r"'Blling' does not exist.*Billing.*Support") as caught:
        await system.connector.write(update(external_id, group="Blling", note="n"))
    assert not caught.value.retryable
    assert await system.notes(external_id) == []


async def test_a_group_made_a_moment_ago_is_found(system: Desk) -> None:
    """The cached names are read again before a group is called unknown."""
    external_id = await system.open_ticket()
    await system.connector.write(update(external_id, group="Billing"))
    await system.call("POST", "groups.json", json={"group": {"name": "Robots"}})
    await system.connector.write(update(external_id, key="k2", group="Robots"))
    ticket = await system.connector.fetch(external_id)
    assert ticket is not None
    assert ticket.group == "Robots"


async def test_what_is_read_back_must_be_what_was_written(system: Desk) -> None:
    """A business rule that sets the group back is not reported as success."""
    external_id = await system.open_ticket(group_id=98702)
    await system.fault(kind="group_set_back")
    with pytest.raises(ConnectorRejected, match="group is 'Infrastructure', not 'Billing'"):
        await system.connector.write(update(external_id, group="Billing"))


async def test_a_closed_ticket_supersedes_even_a_note(system: Desk) -> None:
    """Zendesk takes no change of it ever again: nothing failed, the letter is out of date."""
    external_id = await system.open_ticket(status="closed")
    result = await system.connector.write(update(external_id, note="n"))
    assert (result.status, result.why) == ("superseded", "it is closed and takes no change any more")


async def test_a_ticket_that_is_not_there(system: Desk) -> None:
    """Also for ids that would be another path."""
    for external_id in ("1", "../users/me", "%2e%2e", "1?x=1"):
        with pytest.raises((NotFound, ConnectorRejected)):
            await system.connector.fetch(external_id)
        with pytest.raises(ConnectorRejected):
            await system.connector.write(update(external_id, note="n"))


async def test_wrong_credentials_are_refused_for_good(system: Desk, http: httpx.AsyncClient) -> None:
    """401 says to look at the credentials, and does not show them."""
    connector = Zendesk(connector_settings(system.url, api_token="hunter2"), http)
    with pytest.raises(ConnectorRejected, match="credentials") as caught:
        await connector.fetch("1")
    assert "hunter2" not in str(caught.value)


async def test_an_oauth_token_does_as_well(system: Desk, http: httpx.AsyncClient) -> None:
    """Bearer instead of Basic."""
    external_id = await system.open_ticket()
    oauth = {"oauth_token": "integration-token", "email": None, "api_token": None}
    assert await Zendesk(connector_settings(system.url, **oauth), http).fetch(external_id) is not None


async def test_the_rate_limit_is_passed_on(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> None:
    """The double's own limit, not a switched-on fault: Retry-After reaches the caller."""
    async with serve(create_app(double_settings(clock, requests_per_minute=3))) as url:
        system = Desk(url, http, clock, connector(url, http, clock))
        external_id = await system.open_ticket()
        with pytest.raises(ConnectorUnavailable) as caught:
            await system.connector.write(update(external_id, group="Billing", note="n"))
        assert caught.value.retry_after_s == 55
        clock.at += timedelta(seconds=55)
        assert (await system.connector.write(update(external_id, group="Billing", note="n"))).status == "written"
        clock.at += timedelta(seconds=60)
        assert await system.notes(external_id) == ["n"]


async def test_a_page_from_something_in_between_is_not_an_answer(system: Desk) -> None:
    """200 with HTML: try again later."""
    external_id = await system.open_ticket()
    await system.fault(kind="not_json", method="GET")
    with pytest.raises(ConnectorUnavailable, match="not JSON"):
        await system.connector.fetch(external_id)


async def test_nothing_listening_is_unavailable(http: httpx.AsyncClient) -> None:
    """No server at all."""
    with pytest.raises(ConnectorUnavailable):
        await Zendesk(connector_settings("http://127.0.0.1:1"), http).fetch("1")


async def test_without_credentials_it_only_listens(http: httpx.AsyncClient) -> None:
    """Inbound may be on before outbound is configured."""
    connector = Zendesk(ZendeskSettings(secrets=(SecretStr("s"),)), http)
    assert await connector.fetch("1") is None
    assert (await connector.write(update("1", note="n"))).status == "unwritable"


@dataclass
class Inbox:
    """Receives the double's webhooks as the gateway would; `refuse` answers 503 that many times."""

    refuse: int = 0
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        self.calls.append((dict(request.headers), await request.body()))
        self.refuse -= 1
        await Response(status_code=503 if self.refuse >= 0 else 202)(scope, receive, send)


async def deliveries(
    serve: Serve, http: httpx.AsyncClient, clock: SettableClock, inbox: Inbox, *, copies: int = 1
) -> list[Delivery]:
    """A ticket's whole life on the double, with our write in the middle, as it arrives by webhook."""
    async with serve(inbox) as hook:
        given = double_settings(clock, webhook_url=hook, webhook_secret=WEBHOOK_SECRET, copies=copies)
        async with serve(create_app(given)) as url:
            system = Desk(url, http, clock, connector(url, http, clock))
            external_id = await system.open_ticket()
            await system.connector.write(update(external_id, group="Billing", priority="high", note="n"))
            assigned = {"ticket": {"group_id": 98703}}
            await system.call("PUT", f"tickets/{external_id}.json", json=assigned)
            await system.call("PUT", f"tickets/{external_id}.json", json={"ticket": {"status": "solved"}})
            await system.call("DELETE", f"tickets/{external_id}.json")
            await system.call("DELETE", f"deleted_tickets/{external_id}.json")
            await http.get(f"{url}/double/sent")  # answers when all have been sent
    return [received(system.connector, headers, body, clock) for headers, body in inbox.calls]


def received(connector: Zendesk, headers: dict[str, str], body: bytes, clock: SettableClock) -> Delivery:
    connector.verify(Call(headers, body), now=clock())
    [found] = connector.parse(Call(headers, body))
    assert isinstance(found, Delivery)
    return found


async def test_a_life_by_webhook(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> None:
    """Signed by the double, verified by us: people's doings arrive, our own echoes are known as such."""
    got = await deliveries(serve, http, clock, Inbox())
    heard = [delivery.kind for delivery in got if delivery.kind is not DeliveryKind.IGNORED]
    assert heard == [
        DeliveryKind.CREATED, DeliveryKind.ASSIGNED, DeliveryKind.SOLVED, DeliveryKind.DELETED, DeliveryKind.ERASED,
    ]  # fmt: skip
    echoes = [delivery for delivery in got if delivery.actor_id == "903"]
    assert len(echoes) == 4  # priority, group, tags, note
    assert {delivery.kind for delivery in echoes} == {DeliveryKind.IGNORED}


async def test_a_duplicate_is_the_same_delivery(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> None:
    """Each event twice, each a call of its own: half as many delivery ids as calls."""
    got = await deliveries(serve, http, clock, Inbox(), copies=2)
    assert len({delivery.delivery_id for delivery in got}) * 2 == len(got)


async def test_a_refused_call_comes_again(serve: Serve, http: httpx.AsyncClient, clock: SettableClock) -> None:
    """503 at the door loses nothing: the same delivery id returns."""
    got = await deliveries(serve, http, clock, Inbox(refuse=2))
    assert [delivery.kind for delivery in got[:3]] == [DeliveryKind.CREATED] * 3
    assert len({delivery.delivery_id for delivery in got[:3]}) == 1


async def test_the_double_is_honest(system: Desk) -> None:
    """It refuses what Zendesk refuses; without this the tests above would prove little."""
    external_id = await system.open_ticket()
    path = f"{system.url}/api/v2/tickets/{external_id}.json"

    async def put(auth: Any = AGENT, **ticket: Any) -> int:
        return (await system.http.put(path, json={"ticket": ticket}, auth=auth)).status_code

    assert await put(auth=None, priority="low") == 401
    assert await put(auth=httpx.BasicAuth("agent@example.com/token", "integration-token"), priority="low") == 401
    assert await put(priority="asap") == 422
    assert await put(group_id=1) == 422
    assert await put(status="finished") == 422
    assert await put(safe_update=True, updated_stamp="2020-01-01T00:00:00Z", priority="low") == 409
    assert (await system.ticket(external_id))["priority"] is None
    assert await put(priority="low") == 200
    assert (
        await system.http.post(f"{system.url}/api/v2/tickets.json", json={"ticket": {"priority": "low"}}, auth=AGENT)
    ).status_code == 422


async def test_a_hand_over_tried_again_after_hours_opens_no_second_ticket(system: Desk) -> None:
    """Zendesk has forgotten the key by then: the ticket is found by our mark."""
    first = await system.connector.open(HANDED_OVER)
    system.clock.at += timedelta(hours=3)
    again = await system.connector.open(HANDED_OVER)
    assert (again.external_id, again.was_known) == (first.external_id, True)


async def test_the_double_creates_once_per_idempotency_key(system: Desk) -> None:
    """As documented for ticket creation: the second answer is the first ticket."""
    ids, lookups = set(), []
    for _ in range(2):
        answer = await system.http.post(
            f"{system.url}/api/v2/tickets.json", json={"ticket": {"comment": {"body": "b"}}}, auth=AGENT,
            headers={"Idempotency-Key": "one"},
        )  # fmt: skip
        ids.add(answer.json()["ticket"]["id"])
        lookups.append(answer.headers["x-idempotency-lookup"])
    assert len(ids) == 1
    assert lookups == ["miss", "hit"]
