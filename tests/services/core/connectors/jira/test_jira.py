"""The suite on Jira's double, what is its own, and a client of another maker on the same double."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from jira import JIRA, JIRAError
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.jira import adf
from services.core.connectors.jira.connector import Jira
from services.core.connectors.jira.settings import JiraSettings
from services.core.connectors.polling import Position
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.contracts.ticket import Status
from services.local.doubles.double import basic
from services.local.doubles.jira import COMPONENTS, REQUEST_TYPE, STATUSES, TEAM, JiraDouble
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, Sender, letter, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.doubled import Clock, Doubled
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling, changes

ISSUE = "rest/api/3/issue"
EVENTS = {
    DeliveryKind.CREATED: ("jira:issue_created", None),
    DeliveryKind.ASSIGNED: ("jira:issue_updated", "components"),
    DeliveryKind.SOLVED: ("jira:issue_updated", "status"),
    DeliveryKind.UPDATED: ("jira:issue_updated", "priority"),
    DeliveryKind.COMMENTED: ("comment_created", None),
    DeliveryKind.DELETED: ("jira:issue_deleted", None),
}


class System(Doubled):
    async def open_ticket(self, **fields: Any) -> str:
        texts = {"summary": "Printer", "description": adf.write("It burns"), "project": {"key": "SUP"}}
        return (await self.call("POST", ISSUE, json={"fields": texts | fields}))["id"]

    async def notes(self, external_id: str) -> list[str]:
        return [adf.read(one["body"]) for one in self.double.comments[external_id] if not one["jsdPublic"]]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        ids = {name: number for number, name in COMPONENTS.items()}
        change: dict[str, Any] = {"components": [{"id": ids[fields["group"]]}]} if "group" in fields else {}
        change |= {"priority": {"name": fields["priority"].capitalize()}} if "priority" in fields else {}
        await self.call("PUT", f"{ISSUE}/{external_id}", json={"fields": change})
        if "comment" in fields:
            await self.call("POST", f"{ISSUE}/{external_id}/comment", json={"body": adf.write(fields["comment"])})
        if "status" in fields:
            await self.transit(external_id, "Resolved")

    async def transit(self, external_id: str, status: str) -> None:
        number = str(list(STATUSES).index(status))
        await self.call("POST", f"{ISSUE}/{external_id}/transitions", json={"transition": {"id": number}})


def connector(url: str, http: httpx.AsyncClient, **given: Any) -> Jira:
    ours = {"email": "pointsman@example.com", "api_token": "secret", "account_id": "pm-1"}
    settings = {"base_url": url, "project": "SUP", "issue_type": "10001", "timeout_s": 2, "secrets": BOTH, **ours}
    return Jira(JiraSettings.model_validate(settings | given), http)


@pytest_asyncio.fixture
async def system(serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    clock = Clock()
    double = JiraDouble(clock, lag_s=30)
    async with serve(double.app()) as url:
        yield System(url, http, double, connector, clock, {"authorization": basic("bo@example.com", "secret")})


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """As Jira's pages show it: https://developer.atlassian.com/cloud/jira/platform/webhooks/."""
    told, changed = EVENTS[kind]
    status = {"name": "Resolved"} if kind is DeliveryKind.SOLVED else {"name": fields.get("status", "Open")}
    issue = {"id": fields["id"], "key": "SUP-1", "fields": {"summary": fields["subject"], "status": status}}
    made: dict[str, Any] = {"timestamp": 1795165199000, "webhookEvent": told, "issue": issue}
    made |= {"changelog": {"items": [{"fieldId": changed, "to": "1"}]}} if changed else {}
    if kind is DeliveryKind.COMMENTED:
        return made | {"comment": {"id": "5", "author": {"accountId": "bo-1"}, "body": "hello", "jsdPublic": True}}
    return made | {"user": {"accountId": "bo-1"}}


class TestInbound(Inbound):
    sender = Sender(connector("http://127.0.0.1:1", httpx.AsyncClient()), event, kinds=frozenset(EVENTS), is_thin=True)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_our_note_is_internal_and_its_mark_is_not_read(system: System) -> None:
    """Customers see neither; a public comment with our mark is not ours."""
    external_id = await system.open_ticket()
    await system.connector.write(letter(external_id))
    [note] = system.double.comments[external_id]
    assert (note["jsdPublic"], adf.read(note["body"])) == (False, "because")
    note["jsdPublic"], note["properties"] = True, note["properties"][1:]
    assert not (await system.connector.standing(external_id, f"{external_id}/route")).is_marked


async def test_a_select_field_can_be_the_group(system: System) -> None:
    """`group_field` names it; its options are the groups."""
    ours, external_id = system.another(group_field=TEAM), await system.open_ticket()
    assert (await ours.write(letter(external_id))).status == "written"
    ticket = await ours.fetch(external_id)
    assert ticket is not None
    assert ticket.group == "Billing"


async def test_what_we_open_can_be_a_request_of_its_customer(system: System) -> None:
    """With the request type that the portal shows, and whoever Jira knows by that address."""
    opened = await system.another(request_type="7").open(HANDED_OVER)
    fields = system.double.issues[opened.external_id]["fields"]
    assert (fields[REQUEST_TYPE], fields["reporter"]["accountId"]) == ("7", "ana-1")


async def test_statuses_by_name_and_by_category(system: System) -> None:
    """Names of Jira Service Management; any other by its category."""
    external_id = await system.open_ticket()
    wanted = {"Triage": Status.NEW, "Waiting for customer": Status.PENDING, "Closed": Status.CLOSED}
    for name, status in wanted.items():
        await system.transit(external_id, name)
        assert (await shown(system, external_id)).status is status


async def test_none_is_missed_and_the_last_hand_is_known(system: System) -> None:
    """Eight share a moment, pages hold three; the list's change log and comments say who was last."""
    opened = [await system.open_ticket() for _ in range(8)]
    rows = await changes(system, Position(system.clock.at - timedelta(days=1)))
    assert sorted(row.ticket.external_id for row in rows) == sorted(opened)
    system.clock.at += timedelta(seconds=5)
    await system.connector.write(letter(opened[0]))
    await system.person_changes(opened[1], group="Support")
    later = await changes(system, rows[-1].position)
    assert {row.ticket.external_id: row.actor for row in later} == {opened[0]: "pm-1", opened[1]: "bo-1"}


def test_a_comment_comes_along_where_it_says_whether_it_is_public() -> None:
    """Without that it is left to be fetched: internal words must not reach a customer."""
    ours = TestInbound.sender.connector
    for flag, public in ((True, True), (False, False), (None, None)):
        told = event(DeliveryKind.COMMENTED, {"id": "1", "subject": "s"})
        told["comment"] = {**told["comment"], "jsdPublic": flag} if flag is not None else {"id": "5", "body": "hello"}
        [heard] = ours.parse(Call({}, json.dumps(told).encode()))
        assert isinstance(heard, Delivery)
        assert (heard.comment.public if heard.comment else None) is public


@settings(deadline=None, database=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_goes_through_the_document_format_unharmed(text: str) -> None:
    """Line by line."""
    assert adf.read(adf.write(text)) == text


def test_what_people_write_in_jira_is_read() -> None:
    """Lists, mentions, links and breaks."""

    def node(kind: str, *content: Any, **attributes: Any) -> dict[str, Any]:
        return {"type": kind, "attrs": attributes, "content": list(content)}

    text = {"type": "text", "text": "Hi "}
    lists = node("bulletList", node("listItem", node("paragraph", {"type": "text", "text": "one"})))
    line = node("paragraph", text, node("mention", text="@Bo"), node("hardBreak"), node("inlineCard", url="https://x"))
    assert adf.read({"type": "doc", "content": [line, lists]}) == "Hi @Bo\nhttps://x\none"


async def test_a_client_of_another_maker_works_on_the_double(system: System) -> None:
    """jira (PyPI), unmodified, in REST 3: create, read, edit, comment, transition, search, delete."""

    def use() -> None:
        client = JIRA(system.url, options={"rest_api_version": "3"}, basic_auth=("bo@example.com", "secret"))
        fields = {"project": {"key": "SUP"}, "issuetype": {"id": "10001"}, "summary": "VPN"}
        issue = client.create_issue(fields={**fields, "description": adf.write("Broken"), "labels": ["vip"]})
        assert (issue.key, issue.fields.summary, issue.fields.status.name) == ("SUP-1", "VPN", "Waiting for support")
        issue.update(fields={"components": [{"id": "10"}], "priority": {"name": "High"}})
        assert ([one.name for one in issue.fields.components], issue.fields.priority.name) == (["Billing"], "High")
        client.add_comment(issue, adf.write("hello"))  # ty: ignore[invalid-argument-type]
        assert [one.author.accountId for one in client.comments(issue)] == ["bo-1"]
        client.transition_issue(issue, "Resolved")
        for number in range(4):
            client.create_issue(fields={**fields, "summary": f"n{number}", "labels": ["bulk"]})
        system.clock.at += timedelta(minutes=1)  # its search is behind
        found = client.enhanced_search_issues('labels = "bulk" ORDER BY updated ASC', maxResults=0)
        assert sorted(one.fields.summary for one in found) == ["n0", "n1", "n2", "n3"]
        issue.delete()
        with pytest.raises(JIRAError, match="does not exist"):
            client.issue("SUP-1")

    await asyncio.to_thread(use)


def test_the_signature_by_another_hand() -> None:
    """The example of Atlassian's pages: body Hello World!, secret It's a Secret to Everybody."""
    headers = {"x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"}
    ours = Jira(JiraSettings(secrets=(SecretStr("It's a Secret to Everybody"),)), httpx.AsyncClient())
    ours.verify(Call(headers, b"Hello World!"), now=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
