"""The conformance suite against the real Request Tracker, then what is its own. No double."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.request_tracker.connector import RequestTracker
from services.core.connectors.request_tracker.settings import RequestTrackerSettings
from services.core.contracts.delivery import DeliveryKind
from services.core.contracts.ticket import Priority, Status
from services.local.systems.program import Program
from services.local.systems.request_tracker import insert
from tests.services.core.connectors.between import FAULTS, Between
from tests.services.core.connectors.conformance import BOTH, NOW, Sender, letter, shown
from tests.services.core.connectors.conftest import Serve
from tests.services.core.connectors.inbound import Inbound
from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling

INITIAL_DATA = Path(__file__).parents[5] / "design/guides/request-tracker/pointsman.initialdata"
HANG_S = 3  # what a hang costs a test
PASSWORD = "only-on-this-machine"
PRIORITIES = {"low": 10, "normal": 50, "high": 75, "urgent": 100}
TYPES = {
    DeliveryKind.CREATED: {"type": "Create"},
    DeliveryKind.ASSIGNED: {"type": "Set", "field": "Owner", "value": "14"},
    DeliveryKind.SOLVED: {"type": "Status", "value": "resolved"},
    DeliveryKind.COMMENTED: {"type": "Comment"},
    DeliveryKind.UPDATED: {"type": "Set", "field": "Priority", "value": "50"},
    DeliveryKind.DELETED: {"type": "Status", "value": "deleted"},
}


@pytest.fixture(scope="session")
def tracker(request_tracker: Program) -> Program:
    """Set up as the guide says, with two queues that are groups."""
    insert(request_tracker, INITIAL_DATA, {"POINTSMAN_RT_PASSWORD": PASSWORD})
    for queue in ("Billing", "Support"):
        answer = httpx.post(
            f"{request_tracker.url}/REST/2.0/queue", auth=request_tracker.sign_in, json={"Name": queue}, timeout=60
        )
        answer.raise_for_status()
    return request_tracker


@dataclass
class System:
    """Request Tracker as an agent uses it, and the proxy that our connector goes through."""

    program: Program
    between: Between
    url: str
    http: httpx.AsyncClient
    connector: RequestTracker
    faults = tuple(FAULTS)

    def another(self) -> RequestTracker:
        return connector(self.url, self.http)

    async def open_ticket(self, **fields: Any) -> str:
        ticket = {"Queue": "General", "Subject": "Printer", "Content": "It burns", "Requestor": "ana@example.com"}
        return str((await self.call("POST", "ticket", json=ticket | fields))["id"])

    async def fail_next_write(self, fault: str, *, skip: int = 0) -> None:
        if "hang" in fault:
            self.connector = connector(self.url, self.http, timeout_s=HANG_S)
        self.between.fail_next_write(fault, skip)

    async def is_struck(self) -> bool:
        return self.between.is_struck()

    async def notes(self, external_id: str) -> list[str]:
        return [comment.body for comment in (await shown(self, external_id)).comments if not comment.public]

    async def person_changes(self, external_id: str, **fields: str) -> None:
        if "comment" in fields:
            said = {"Content": fields["comment"], "ContentType": "text/plain"}
            await self.call("POST", f"ticket/{external_id}/correspond", json=said)
        change: dict[str, Any] = {"Queue": fields["group"]} if "group" in fields else {}
        change |= {"Priority": PRIORITIES[fields["priority"]]} if "priority" in fields else {}
        change |= {"Status": "resolved"} if fields.get("status") == "solved" else {}
        if change:
            await self.call("PUT", f"ticket/{external_id}", json=change)

    async def call(self, method: str, path: str, **content: Any) -> Any:
        url = f"{self.program.url}/REST/2.0/{path}"
        answer = await self.http.request(method, url, auth=self.program.sign_in, timeout=60, **content)
        return answer.raise_for_status().json() if answer.content else None


def connector(url: str, http: httpx.AsyncClient, **given: Any) -> RequestTracker:
    settings = {"base_url": url, "user": "pointsman", "password": PASSWORD, "timeout_s": 20, "secrets": BOTH}
    return RequestTracker(RequestTrackerSettings.model_validate(settings | given), http)


@pytest_asyncio.fixture
async def system(tracker: Program, serve: Serve, http: httpx.AsyncClient) -> AsyncIterator[System]:
    between = Between(tracker.url, http)
    async with serve(between.app()) as url:
        yield System(tracker, between, url, http, connector(url, http))


def event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """As the scrip writes it; a transaction number per subject, since the suite tells events apart by that."""
    number = str(sum(str(fields["subject"]).encode()))
    told = {"ticket_id": fields["id"], "transaction_id": number, "by": "root", "at": "2026-11-20T08:59:59Z"}
    return {"field": "", "value": "", **told, **TYPES[kind]}


class TestInbound(Inbound):
    sender = Sender(connector("http://127.0.0.1:1", httpx.AsyncClient()), event, kinds=frozenset(TYPES), is_thin=True)


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass


async def test_rejected_is_closed_and_stalled_is_pending(system: System) -> None:
    """RT's own words for states."""
    for word, status in (("stalled", Status.PENDING), ("rejected", Status.CLOSED), ("open", Status.OPEN)):
        external_id = await system.open_ticket()
        await system.call("PUT", f"ticket/{external_id}", json={"Status": word})
        assert (await shown(system, external_id)).status is status


async def test_reopened_it_is_open_again(system: System) -> None:
    """An answer by the requester opens it, as RT does by itself."""
    external_id = await system.open_ticket()
    await system.person_changes(external_id, status="solved")
    await system.person_changes(external_id, comment="Still broken")
    assert (await shown(system, external_id)).status is Status.OPEN


async def test_what_is_deleted_takes_no_letter(system: System) -> None:
    """The letter ends, and says why."""
    external_id = await system.open_ticket()
    await system.call("DELETE", f"ticket/{external_id}")
    result = await system.connector.write(letter(external_id))
    assert (result.status, "deleted" in result.why) == ("superseded", True)


async def test_a_merged_ticket_keeps_its_id_and_takes_the_note_on_the_other(system: System) -> None:
    """RT answers for both ids with one ticket."""
    gone, kept = await system.open_ticket(), await system.open_ticket(Subject="Kept")
    await system.call("PUT", f"ticket/{gone}", json={"MergeInto": kept})
    ticket = await shown(system, gone)
    assert (ticket.external_id, ticket.subject) in ((gone, "Kept"), (gone, "Printer"))
    assert (await system.connector.write(letter(gone))).status == "written"


async def test_files_are_not_opened_and_the_rest_is_read(system: System) -> None:
    """The text of people, in their order; HTML parts and files stay where they are."""
    external_id = await system.open_ticket(Content="Größe: 5 µm")
    await system.person_changes(external_id, comment="Danke für die Geduld")
    ticket = await shown(system, external_id)
    assert ticket.body == "Größe: 5 µm"
    assert [(comment.body, comment.public) for comment in ticket.comments] == [("Danke für die Geduld", True)]
    assert ticket.requester.email == "ana@example.com"


async def test_a_restart_in_the_middle_of_a_write_is_waited_for(system: System) -> None:
    """RT is killed when it has set the fields: the retry adds the note, once."""
    external_id = await system.open_ticket()
    await system.fail_next_write("server_error", skip=1)
    with pytest.raises(Exception, match="503"):
        await system.connector.write(letter(external_id))
    system.program.kill()
    system.program.start()
    assert (await system.connector.write(letter(external_id))).status == "written"
    ticket = await shown(system, external_id)
    assert (ticket.group, ticket.priority, len(ticket.comments)) == ("Billing", Priority.HIGH, 1)


async def test_our_user_may_do_no_more_than_it_needs(system: System) -> None:
    """The guide's rights hold: no queue is made, no ticket deleted, no user read."""
    external_id, ours = await system.open_ticket(), ("pointsman", PASSWORD)
    for method, path, given in (("POST", "queue", {"Name": "x"}), ("DELETE", f"ticket/{external_id}", None)):
        url = f"{system.program.url}/REST/2.0/{path}"
        answer = await system.http.request(method, url, auth=ours, json=given, timeout=60)
        assert answer.status_code in (403, 422, 500), (path, answer.text)
    assert (await shown(system, external_id)).status is Status.NEW


def test_the_scrips_signature_by_another_hand() -> None:
    """Made by openssl: printf '%s' '1795165200.{}' | openssl dgst -sha256 -hmac "$SECRET"."""
    headers = {
        "x-pointsman-timestamp": "1795165200",
        "x-pointsman-signature": "e8e0b517616c8eb9b3b7c93969522937b6bb2517502e47df3c555bdc8a9bb616",
    }
    settings = RequestTrackerSettings(secrets=(SecretStr("shared-with-rt"),))
    RequestTracker(settings, httpx.AsyncClient()).verify(Call(headers, b"{}"), now=NOW)
