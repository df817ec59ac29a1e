"""The suite on ServiceNow's double, what is its own, and a client of another maker on the same double."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import requests
from pydantic import SecretStr
from pysnc import ServiceNowClient
from requests.adapters import HTTPAdapter

from services.core.connectors.door import Call
from services.core.connectors.polling import Position
from services.core.connectors.servicenow.connector import PAGE, ServiceNow
from services.core.connectors.servicenow.settings import ServiceNowSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Priority, Status
from services.core.kit.errors import ConnectorRejected, ConnectorUnavailable
from services.local.doubles.double import basic
from services.local.doubles.servicenow import GROUPS, ServiceNowDouble
from tests.services.core.connectors.conformance import BOTH, SECRET, Sender, letter, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.doubled import Clock, Doubled
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling, changes

SCRIPT = Path(__file__).parents[5] / "design/guides/servicenow/pointsman.js"
INSTANCE = "https://double.service-now.com"
TABLE = "api/now/table/incident"
IDS = {name: sys_id for sys_id, name in GROUPS.items()}


class System(Doubled):
    async def open_ticket(self, **fields: str) -> str:
        made = await self.call(
            "POST", TABLE, json={"short_description": "Printer", "description": "It burns", **fields}
        )
        return made["result"]["sys_id"]

    async def open_many(self, count: int) -> list[str]:
        """All in one second, put where the double keeps them: what they are for is reading."""
        first = await self.open_ticket()
        numbers = [first, *(f"{more:032x}" for more in range(1, count))]
        for number in numbers[1:]:
            self.double.incidents[number] = {**self.double.incidents[first], "sys_id": number}
        return numbers

    async def notes(self, external_id: str) -> list[str]:
        entries = [one for one in self.double.journal if one["element_id"] == external_id]
        return [one["value"] for one in entries if one["element"] == "work_notes"]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        change = {"comments": fields["comment"]} if "comment" in fields else {}
        change |= {"assignment_group": IDS[fields["group"]]} if "group" in fields else {}
        change |= {"impact": "3", "urgency": "2"} if fields.get("priority") == "low" else {}
        change |= {"state": "6"} if fields.get("status") == "solved" else {}
        await self.call("PATCH", f"{TABLE}/{external_id}", json=change)


def connector(url: str, http: httpx.AsyncClient, **given: Any) -> ServiceNow:
    settings = {"base_url": url, "user": "pointsman", "password": "secret", "timeout_s": 2, "secrets": BOTH}
    return ServiceNow(ServiceNowSettings.model_validate(settings | given), http)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    clock = Clock()
    double = ServiceNowDouble(clock)
    async with serve(double.app()) as url:
        yield System(url, http, double, connector, clock, {"authorization": basic("bo", "secret")})


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event": kind.value,
        "sys_id": fields["id"],
        "by": "bo",
        "at": "2026-11-20 08:59:59",
        "n": fields["subject"],
    }


class TestInbound(Inbound):
    sender = Sender(connector("http://127.0.0.1:1", httpx.AsyncClient()), event, is_thin=True)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_with_client_credentials_a_token_is_fetched_and_replaced(system: System) -> None:
    """One token for many calls; when it is revoked, another; wrong credentials end it, and say what to check."""
    ours = system.another(password=None, client_id="app", client_secret="app-secret")
    external_id = await system.open_ticket()
    assert (await ours.write(letter(external_id))).status == "written"
    assert sum(header.startswith("Bearer") for header in system.double.users) == 1
    system.double.forget_tokens()
    assert (await ours.write(letter(external_id))).status == "already"
    with pytest.raises(ConnectorRejected, match="client_secret"):
        await system.another(client_id="app", client_secret="guess").write(letter(external_id))


async def test_where_no_token_is_to_be_had_the_letter_waits(serve: Serve, http: httpx.AsyncClient) -> None:
    """An outage of the token's page is no refusal."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serve(app) as url:
        with pytest.raises(ConnectorUnavailable):
            await connector(url, http, client_id="app", client_secret="s").fetch("a" * 32)


async def test_none_is_missed_and_none_comes_twice_when_many_share_a_second(system: System) -> None:
    """More than a page in one second, then one of them again: every state is heard once."""
    opened = sorted(await system.open_many(PAGE + 7))
    rows = await changes(system, Position(system.clock.at - timedelta(days=1)))
    assert [row.ticket.external_id for row in rows] == opened
    await system.person_changes(opened[0], group="Support")
    [again] = await changes(system, rows[-1].position)
    assert (again.ticket.external_id, again.actor) == (opened[0], "bo")


async def test_a_group_may_be_named_by_its_sys_id(system: System) -> None:
    """`groups_by=sys_id`: written, read and compared by it."""
    ours, external_id = system.another(groups_by="sys_id"), await system.open_ticket()
    assert (await ours.write(letter(external_id, group=IDS["Billing"]))).status == "written"
    ticket = await ours.fetch(external_id)
    assert ticket is not None
    assert ticket.group == IDS["Billing"]


async def test_a_name_that_two_groups_share_is_refused(system: System) -> None:
    """Neither is meant."""
    with pytest.raises(ConnectorRejected, match="'Twin'"):
        await system.connector.write(letter(await system.open_ticket(), group="Twin"))


async def test_priority_is_written_as_impact_and_urgency(system: System) -> None:
    """Each of our words comes back as itself; planning is what nobody has set."""
    for priority in Priority:
        external_id = await system.open_ticket()
        assert (await shown(system, external_id)).priority is None
        await system.connector.write(letter(external_id, priority=priority))
        assert (await shown(system, external_id)).priority is priority


async def test_a_closed_incident_takes_no_letter(system: System) -> None:
    """Closed or cancelled, nobody may write it any more."""
    for state in ("7", "8"):
        external_id = await system.open_ticket(state=state)
        assert (await shown(system, external_id)).status is Status.CLOSED
        assert (await system.connector.write(letter(external_id))).status == "superseded"


async def test_an_id_leads_nowhere_else(system: System) -> None:
    """Neither a path nor another condition hides in it."""
    await system.open_ticket()
    for odd in ("../sys_user", "a^ORsys_idISNOTEMPTY", "?sysparm_query=", "%2e%2e/sys_user"):
        with pytest.raises(ConnectorRejected):
            await system.connector.write(letter(odd))


class OverHttp(HTTPAdapter):
    """ServiceNow's client takes https addresses only; the double has none."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **given: Any) -> requests.Response:
        request.url = str(request.url).replace(INSTANCE, self._url)
        return super().send(request, *args, **given)


async def test_servicenows_own_client_works_on_the_double(system: System) -> None:
    """pysnc, unmodified: insert, query with order and limit, display values, update, delete, what is not there."""
    session = requests.Session()
    session.auth = ("bo", "secret")
    session.mount(INSTANCE, OverHttp(system.url))

    def use() -> None:
        client = ServiceNowClient(INSTANCE, session, auto_retry=False)
        for text, urgency in (("VPN", "1"), ("one", "3"), ("two", "3"), ("three", "3")):
            incident = client.GlideRecord("incident")
            incident.initialize()
            incident.short_description, incident.impact, incident.urgency = text, urgency, urgency
            assert incident.insert()
        found = client.GlideRecord("incident")
        found.add_query("priority", "5")
        found.order_by_desc("short_description")
        found.limit = 2
        found.query()
        assert [str(row.short_description) for row in found] == ["two", "three"]
        made = client.GlideRecord("incident")
        assert made.get("short_description", "VPN")
        assert (made.get_value("priority"), made.get_display_value("priority")) == ("1", "1 - Critical")
        made.state, made.assignment_group, made.work_notes = "6", IDS["Billing"], "done"
        assert made.update()
        assert made.get(str(made.sys_id))
        assert (made.get_display_value("state"), made.get_display_value("assignment_group")) == ("Resolved", "Billing")
        assert made.delete()
        assert not client.GlideRecord("incident").get(str(made.sys_id))

    await asyncio.to_thread(use)
    assert [entry["value"] for entry in system.double.journal] == ["done"]


def test_what_the_business_rule_sends_is_heard() -> None:
    """The script of the guide, in node with stand-ins for ServiceNow's classes: signed so that the door opens."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed here: apt-get install nodejs")
    stand_ins = Path(__file__).with_name("stand_ins.js").read_text("utf-8")
    done = subprocess.run(
        [node, "-e", stand_ins + SCRIPT.read_text("utf-8") + "\nprintCalls();", "--", SECRET.get_secret_value()],
        capture_output=True, check=True, timeout=120, text=True,
    )  # fmt: skip
    ours = connector("https://x.service-now.com", httpx.AsyncClient())
    heard = []
    for told in json.loads(done.stdout):
        call = Call(told["headers"], told["body"].encode())
        ours.verify(call, now=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
        [delivery] = ours.parse(call)
        assert isinstance(delivery, Delivery)
        heard.append((delivery.kind, delivery.external_id, delivery.actor_id))
    kinds = [DeliveryKind.CREATED, DeliveryKind.ASSIGNED, DeliveryKind.SOLVED, DeliveryKind.COMMENTED]
    kinds += [DeliveryKind.UPDATED, DeliveryKind.DELETED]
    assert heard == [(kind, "e" * 32, "bo") for kind in kinds]


def test_the_signature_by_another_hand() -> None:
    """Made by openssl: printf '%s' '1795165200.{}' | openssl dgst -sha256 -hmac "$SECRET" -binary | base64."""
    headers = {
        "x-pointsman-timestamp": "1795165200",
        "x-pointsman-signature": "pJv6Ni0lXMjDCqvnQeF0NVrsIliCpQm1j8vdH/uHpz8=",
    }
    ours = ServiceNow(ServiceNowSettings(secrets=(SecretStr("shared-with-servicenow"),)), httpx.AsyncClient())
    ours.verify(Call(headers, b"{}"), now=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
