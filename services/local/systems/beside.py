"""
A real ticketing system beside the platform of this machine, connected as its guide says: `pointsman up --system rt`.

It listens on 127.0.0.1 with the log-in of its own installer; its groups are those of the label catalogue.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from services.core.kit.errors import Unavailable
from services.local.home import Home
from services.local.platform import TEND_S, Running
from services.local.systems import request_tracker
from services.local.systems.program import START_TIMEOUT_S, Program, require

GUIDES = Path(__file__).parents[3] / "design" / "guides"
CHILD = "services.local.systems"
GROUPS = "select name from catalogue where kind = 'group' and active order by rank, name"
HTTP_TIMEOUT_S = 60.0  # the first page of RT compiles its templates
POLL_EVERY_S = "15"


@dataclass(frozen=True)
class Beside:
    """
    One system and how the platform is connected to it. `make` gives the program, made ready but not started;
    `add_groups` makes the groups that it does not have yet.
    """

    name: str
    system: str
    environment: Mapping[str, str]
    make: Callable[[], Program]
    add_groups: Callable[[Program, list[str]], None]


def beside_request_tracker(home: Home) -> Beside:
    """
    Raises:
        ConfigurationInvalid: its packages are not installed; the message names them.
    """
    for path in (request_tracker.SERVER, request_tracker.SETUP):
        require(path, name=request_tracker.NAME, packages=request_tracker.PACKAGES)
    folder, shared = home.folder / "systems" / "rt", _shared(home, "rt")
    hook = f"{home.gateway_url}/hooks/request_tracker"
    prefix = "POINTSMAN_CONNECTORS__REQUEST_TRACKER__"

    def make() -> Program:
        return request_tracker.request_tracker(
            folder,
            home.settings.system_port,
            {"PointsmanUrl": hook, "PointsmanSecret": shared["secret"]},
            {GUIDES / "request-tracker" / "pointsman.initialdata": {"POINTSMAN_RT_PASSWORD": shared["password"]}},
        )

    environment = {
        f"{prefix}BASE_URL": f"http://127.0.0.1:{home.settings.system_port}",
        f"{prefix}USER": "pointsman",
        f"{prefix}PASSWORD": shared["password"],
        f"{prefix}SECRETS": json.dumps([shared["secret"]]),
        f"{prefix}POLL_EVERY_S": POLL_EVERY_S,
    }
    return Beside("rt", request_tracker.NAME, environment, make, _add_queues)


SYSTEMS: Mapping[str, Callable[[Home], Beside]] = {"rt": beside_request_tracker}


def start_beside(running: Running, beside: Beside, say: Callable[[str], None]) -> Program:
    """
    Starts the system under the platform's supervisor and gives it the groups of the label catalogue.

    Raises:
        Unavailable: it did not answer in time; ends with its log.
    """
    say(f"Starting {beside.system} ...")
    program = beside.make()
    running.supervisor.start(beside.name, CHILD, beside.name)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not program.answers():
        running.supervisor.tend()
        if time.monotonic() > deadline:
            log = running.supervisor.log_tail(beside.name)
            raise Unavailable(f"{beside.system} did not become ready. Its log ends:\n{log}")
        time.sleep(TEND_S)
    beside.add_groups(program, _groups(running.home))
    return program


def _groups(home: Home) -> list[str]:
    with psycopg.connect(home.postgres.url) as conn:
        return [row[0] for row in conn.execute(GROUPS).fetchall()]


def _add_queues(program: Program, names: list[str]) -> None:
    """As RT's administrator; a queue that is there already stays as it is."""
    base_url = f"{program.url}/REST/2.0"
    with httpx.Client(base_url=base_url, auth=program.sign_in, timeout=HTTP_TIMEOUT_S) as http:
        found = http.get("/queues/all", params={"fields": "Name", "per_page": 100}).raise_for_status().json()
        known = {queue["Name"] for queue in found["items"]}
        for name in names:
            if name not in known:
                http.post("/queue", json={"Name": name}).raise_for_status()


def _shared(home: Home, system: str) -> dict[str, str]:
    """What the system and we both know, made once."""
    file = home.folder / "systems" / f"{system}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        made = {"secret": secrets.token_urlsafe(32), "password": secrets.token_urlsafe(24)}
        home.write_private(file, json.dumps(made))
    return json.loads(file.read_text("utf-8"))
