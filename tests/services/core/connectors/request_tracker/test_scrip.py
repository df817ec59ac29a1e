"""The scrip of the guide in the real Request Tracker: what it calls with passes our door and says what happened."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import httpx
import pytest
from pydantic import SecretStr

from services.core.connectors.door import Call
from services.core.connectors.request_tracker.connector import RequestTracker
from services.core.connectors.request_tracker.settings import RequestTrackerSettings
from services.core.contracts.delivery import Delivery, DeliveryKind
from services.core.kit.errors import ConfigurationInvalid
from services.local.systems.program import Program
from services.local.systems.request_tracker import insert, request_tracker
from tests.conftest import free_port
from tests.services.core.connectors.request_tracker.test_request_tracker import INITIAL_DATA, PASSWORD

SECRET = SecretStr("a secret that RT and Pointsman share")
WAIT_S = 120


class Hook:
    """Our address, as RT sees it: it keeps what is posted."""

    def __init__(self) -> None:
        self.calls: Queue[Call] = Queue()
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                calls.put(Call({name.lower(): value for name, value in self.headers.items()}, body, "POST", self.path))
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/request_tracker"


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    hook = Hook()
    thread = Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def calling_tracker(hook: Hook, open_folder: Path) -> Iterator[Program]:
    told = {"PointsmanUrl": hook.url, "PointsmanSecret": SECRET.get_secret_value()}
    try:
        program = request_tracker(open_folder / "calling-tracker", free_port(), told)
    except ConfigurationInvalid as exc:
        pytest.skip(exc.message)
    insert(program, INITIAL_DATA, {"POINTSMAN_RT_PASSWORD": PASSWORD})
    program.start()
    yield program
    program.stop()


def test_what_people_do_in_it_is_told_once_and_signed(calling_tracker: Program, hook: Hook) -> None:
    """Opened, commented, given to somebody, resolved: each call proves itself and names ticket, kind and actor."""
    connector = RequestTracker(RequestTrackerSettings(secrets=(SECRET,), user="pointsman"), httpx.AsyncClient())

    def heard() -> Delivery:
        call = hook.calls.get(timeout=WAIT_S)
        connector.verify(call, now=datetime.now(UTC))
        [delivery] = connector.parse(call)
        assert isinstance(delivery, Delivery)
        return delivery

    with httpx.Client(base_url=f"{calling_tracker.url}/REST/2.0", auth=calling_tracker.sign_in, timeout=60) as http:
        ticket = {"Queue": "General", "Subject": "Ärger mit VPN", "Content": "Es brennt", "Requestor": "a@example.com"}
        external_id = str(http.post("/ticket", json=ticket).raise_for_status().json()["id"])
        created = heard()
        http.post(f"/ticket/{external_id}/comment", json={"Content": "aha", "ContentType": "text/plain"})
        http.put(f"/ticket/{external_id}", json={"Owner": "root"})
        http.put(f"/ticket/{external_id}", json={"Status": "resolved"})
        later = [created]
        while later[-1].kind is not DeliveryKind.SOLVED:
            later.append(heard())
        http.post(
            f"/ticket/{external_id}/comment",
            json={"Content": "ours", "ContentType": "text/plain"},
            auth=("pointsman", PASSWORD),
        ).raise_for_status()
        ours = heard()
    assert {delivery.external_id for delivery in later} == {external_id}
    kinds = [delivery.kind for delivery in later if delivery.kind is not DeliveryKind.IGNORED]
    wanted = [DeliveryKind.CREATED, DeliveryKind.COMMENTED, DeliveryKind.ASSIGNED, DeliveryKind.SOLVED]
    assert [kind for kind in kinds if kind is not DeliveryKind.UPDATED] == wanted
    assert len({delivery.delivery_id for delivery in later}) == len(later)
    assert created.actor_id == "root"
    assert (ours.kind, ours.why_ignored) == (DeliveryKind.IGNORED, "our own update came back")
