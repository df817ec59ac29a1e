"""The conformance suite against the real Redmine, then what is its own. No double."""

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.polling import Position
from services.core.connectors.redmine.connector import RIGHTS, Redmine
from services.core.connectors.redmine.settings import RedmineSettings
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Priority, Requester, Status
from services.core.kit.errors import ConnectorRejected, NotFound
from services.local.systems.program import Program
from tests.services.core.connectors.between import FAULTS, Between
from tests.services.core.connectors.conformance import BOTH, HANDED_OVER, NOW, Sender, letter, seen_now, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling, changes

HANG_S = 3  # what a hang costs a test
PASSWORD = "only-on-this-machine"
SEEN_AND_ADDED = ("view_issues", "add_issues", "view_project")
TYPES = {
    DeliveryKind.CREATED: ("issue.created", None),
    DeliveryKind.ASSIGNED: ("issue.updated", {"details": [{"prop_key": "category_id", "value": "1"}]}),
    DeliveryKind.SOLVED: ("issue.updated", {"details": [{"prop_key": "status_id", "value": "3"}]}),
    DeliveryKind.COMMENTED: ("issue.updated", {"details": [], "notes": "Still broken"}),
    DeliveryKind.UPDATED: ("issue.updated", {"details": [{"prop_key": "priority_id", "value": "3"}]}),
    DeliveryKind.DELETED: ("issue.deleted", None),
}


@dataclass
class Desk:
    """Redmine as its administrator sees it. Projects are counted: tests in any order bring their own."""

    program: Program
    user_id: str
    key: str
    role: str
    groups: Mapping[str, str]
    numbers: Any

    def call(self, method: str, path: str, **content: Any) -> Any:
        url = f"{self.program.url}/{path}.json"
        answer = httpx.request(method, url, auth=self.program.sign_in, timeout=60, **content)
        answer.raise_for_status()
        return answer.json() if answer.content.strip() else None

    def project(self, *, role: str | None = None) -> str:
        """A project with our user and two groups as members, and two categories named like the groups."""
        identifier = f"desk-{next(self.numbers)}"
        self.call("POST", "projects", json={"project": {"name": identifier, "identifier": identifier}})
        for user, given in ((self.user_id, role or self.role), *((group, self.role) for group in self.groups.values())):
            member = {"user_id": user, "role_ids": [given]}
            self.call("POST", f"projects/{identifier}/memberships", json={"membership": member})
        for name in self.groups:
            category = {"issue_category": {"name": name}}
            self.call("POST", f"projects/{identifier}/issue_categories", json=category)
        return identifier


def add_role(program: Program, name: str, rights: tuple[str, ...]) -> str:
    """A role, as its page makes it: REST only reads them."""
    with httpx.Client(base_url=program.url, follow_redirects=True, timeout=60) as browser:
        sign_in = {
            "username": program.sign_in[0],
            "password": program.sign_in[1],
            "authenticity_token": token(browser, "/login"),
        }
        browser.post("/login", data=sign_in).raise_for_status()
        form = {
            "authenticity_token": token(browser, "/roles/new"), "role[name]": name, "role[assignable]": "1",
            "role[permissions][]": list(rights), "role[issues_visibility]": "all",
            "role[permissions_all_trackers][view_issues]": "1",
        }  # fmt: skip
        browser.post("/roles", data=form).raise_for_status()
        form = {"authenticity_token": token(browser, "/settings?tab=issues"), "settings[issue_group_assignment]": "1"}
        browser.post("/settings/edit?tab=issues", data=form).raise_for_status()
    found = httpx.get(f"{program.url}/roles.json", auth=program.sign_in, timeout=60).json()["roles"]
    return next(str(role["id"]) for role in found if role["name"] == name)


def token(browser: httpx.Client, path: str) -> str:
    page = browser.get(path).raise_for_status().text
    return page.partition('name="authenticity_token" value="')[2].partition('"')[0]


@pytest.fixture(scope="module")
def desk(redmine: Program) -> Desk:
    """Set up as the guide says: a role, a user of ours with a key, two groups of people."""
    role = add_role(redmine, "Pointsman", (*sorted(RIGHTS), *SEEN_AND_ADDED))
    desk = Desk(redmine, "", "", role, {}, itertools.count(1))
    user = {"login": "pointsman", "firstname": "Points", "lastname": "Man", "mail": "pointsman@example.com"}
    made = desk.call("POST", "users", json={"user": user | {"password": PASSWORD}})["user"]
    groups = {}
    for name in ("Billing", "Support"):
        groups[name] = str(desk.call("POST", "groups", json={"group": {"name": name}})["group"]["id"])
    return Desk(redmine, str(made["id"]), made["api_key"], role, groups, desk.numbers)


@dataclass
class System:
    """One project of Redmine as an agent uses it, and the proxy that our connector goes through."""

    desk: Desk
    project: str
    between: Between
    url: str
    http: httpx.AsyncClient
    connector: Redmine
    categories: Mapping[str, int]
    faults = tuple(FAULTS)

    def another(self, **given: Any) -> Redmine:
        return connector(self.url, self.http, self.desk, self.project, **given)

    async def open_ticket(self, **fields: Any) -> str:
        issue = {"project_id": self.project, "subject": "Printer", "description": "It burns", **fields}
        return str((await self.call("POST", "issues", json={"issue": issue}))["issue"]["id"])

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        if "hang" in fault:
            self.connector = self.another(timeout_s=HANG_S)
        self.between.fail_next_write(fault, skip)

    async def is_struck(self) -> bool:
        return self.between.is_struck()

    async def notes(self, external_id: str) -> list[str]:
        return [comment.body for comment in (await shown(self, external_id)).comments if not comment.public]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        issue: dict[str, Any] = {"notes": fields["comment"]} if "comment" in fields else {}
        issue |= {"category_id": self.categories[fields["group"]]} if "group" in fields else {}
        issue |= {"priority_id": {"low": 1, "high": 3}[fields["priority"]]} if "priority" in fields else {}
        issue |= {"status_id": 3} if fields.get("status") == "solved" else {}
        await self.call("PUT", f"issues/{external_id}", json={"issue": issue})

    async def call(self, method: str, path: str, **content: Any) -> Any:
        url = f"{self.desk.program.url}/{path}.json"
        answer = await self.http.request(method, url, auth=self.desk.program.sign_in, timeout=60, **content)
        return answer.raise_for_status().json() if answer.content.strip() else None


def connector(url: str, http: httpx.AsyncClient, desk: Desk | None, project: str, **given: Any) -> Redmine:
    ours = {"api_key": desk.key if desk else "k", "user_id": desk.user_id if desk else "5", "project": project}
    settings = {"base_url": url, "timeout_s": 20, "secrets": BOTH, **ours, **given}
    return Redmine(RedmineSettings.model_validate(settings), http)


@pytest.fixture(scope="module")
def project(desk: Desk) -> str:
    return desk.project()


@pytest_asyncio.fixture
async def system(desk: Desk, project: str, serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    between = Between(desk.program.url, http)
    found = desk.call("GET", f"projects/{project}/issue_categories")["issue_categories"]
    async with serve(between.app()) as url:
        ours = connector(url, http, desk, project)
        yield System(desk, project, between, url, http, ours, {one["name"]: one["id"] for one in found})


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """As app/models/webhook_payload.rb of Redmine 7 makes it."""
    told, journal = TYPES[kind]
    status = {"id": 3, "name": "Resolved"} if kind is DeliveryKind.SOLVED else {"id": 1, "name": "New"}
    issue = {"id": fields["id"], "subject": fields["subject"], "status": status, "author": {"id": 7, "name": "Ana"}}
    data: dict[str, Any] = {"issue": issue}
    if journal is not None:
        data["journal"] = {"id": 9, "user": {"id": 1, "name": "Bo"}, "notes": "", **journal}
    return {"type": told, "timestamp": "2026-11-20T08:59:59Z", "data": data}


class TestInbound(Inbound):
    sender = Sender(
        connector("http://127.0.0.1:1", httpx.AsyncClient(), None, "helpdesk"),
        event,
        kinds=frozenset(TYPES),
        is_thin=True,
    )


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_closed_reopened_and_deleted(system: System) -> None:
    """Redmine's states by name and by whether they end an issue; what is deleted is not there any more."""
    external_id = await system.open_ticket()
    for number, status in (
        (5, Status.CLOSED),
        (2, Status.OPEN),
        (4, Status.PENDING),
        (6, Status.CLOSED),
        (1, Status.NEW),
    ):
        await system.call("PUT", f"issues/{external_id}", json={"issue": {"status_id": number}})
        assert (await shown(system, external_id)).status is status
    await system.call("DELETE", f"issues/{external_id}")
    with pytest.raises(NotFound):
        await system.connector.fetch(external_id)
    with pytest.raises(ConnectorRejected):
        await system.connector.write(letter(external_id))


async def test_a_restart_in_the_middle_of_a_write_is_waited_for(system: System) -> None:
    """Redmine is killed when it has carried the letter out and not yet answered: the retry finds it done."""
    external_id = await system.open_ticket()
    await system.fail_next_write("break_after_effect")
    with pytest.raises(Exception, match="broke"):
        await system.connector.write(letter(external_id))
    system.desk.program.kill()
    with pytest.raises(Exception, match=r"50[0-9]|broke"):
        await system.connector.write(letter(external_id))
    system.desk.program.start()
    assert (await system.connector.write(letter(external_id))).status == "already"
    assert await system.notes(external_id) == ["because"]


async def test_without_the_rights_nothing_is_written(system: System, desk: Desk) -> None:
    """Redmine would drop `private_notes` without a word, and customers read our reasons."""
    missing = {"set_notes_private", "view_private_notes"}
    role = add_role(desk.program, "Too little", tuple({*RIGHTS, *SEEN_AND_ADDED} - missing))
    system.project = desk.project(role=role)
    external_id = await system.open_ticket()
    with pytest.raises(ConnectorRejected, match="set_notes_private, view_private_notes"):
        await system.another().write(letter(external_id, group="Billing"))
    issue = (await system.call("GET", f"issues/{external_id}", params={"include": "journals"}))["issue"]
    assert (issue["journals"], "category" in issue) == ([], False)


async def test_a_group_of_people_is_the_assignee_and_a_person_is_not_replaced(system: System) -> None:
    """`group_is=assignee`: a name that is no group is nobody's group, and stands."""
    ours = system.another(group_is="assignee")
    external_id = await system.open_ticket()
    seen = await seen_now(System(**{**vars(system), "connector": ours}), external_id)
    assert (await ours.write(letter(external_id))).status == "written"
    ticket = await ours.fetch(external_id)
    assert ticket is not None
    assert (ticket.group, ticket.priority) == ("Billing", Priority.HIGH)
    taken = await system.open_ticket()
    await system.call("PUT", f"issues/{taken}", json={"issue": {"assigned_to_id": system.desk.user_id}})
    result = await ours.write(letter(taken, seen=seen.model_copy(update={"stamp": "other"})))
    assert (result.status, "Points Man" in result.why) == ("written", True)
    found = await ours.fetch(taken)
    assert found is not None
    assert found.group is None


async def test_a_project_can_be_the_group(system: System, desk: Desk) -> None:
    """`group_is=project`: the ticket moves, in the same call as its note; where it arrives it has none."""
    ours, target = system.another(group_is="project"), desk.project()
    external_id = await system.open_ticket()
    before = await ours.fetch(external_id)
    assert before is not None
    assert before.group is None
    assert (await ours.write(letter(external_id, group=target))).status == "written"
    after = await ours.fetch(external_id)
    assert after is not None
    assert (after.group, [comment.public for comment in after.comments]) == (target, [False])


async def test_who_asks_stands_in_what_we_open(system: System) -> None:
    """Redmine knows authors only, and that is us."""
    opened = await system.connector.open(HANDED_OVER)
    ticket = await shown(system, opened.external_id)
    assert ticket.requester == Requester(name="Ana", email="ana@example.com")


async def test_our_own_writes_are_known_in_the_list(system: System) -> None:
    """The list names no actor: it is asked for what we changed last."""
    first, second = [await system.open_ticket() for _ in range(2)]
    await system.connector.write(letter(first))
    rows = await changes(system, Position(datetime(2000, 1, 1, tzinfo=UTC)))
    actors = {row.ticket.external_id: row.actor for row in rows}
    assert (actors[first], actors[second]) == (system.desk.user_id, None)


def test_the_signature_by_another_hand() -> None:
    """Made by openssl: printf '{}' | openssl dgst -sha256 -hmac "$SECRET"."""
    headers = {"x-redmine-signature-256": "sha256=230e39478eca1d839b8eb4313637db6049a500e6d91abc8c24af02783e1d2a83"}
    settings = RedmineSettings(secrets=(SecretStr("shared-with-redmine"),))
    Redmine(settings, httpx.AsyncClient()).verify(Call(headers, b"{}"), now=NOW)
