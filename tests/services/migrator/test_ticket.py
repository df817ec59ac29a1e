"""A ticket from end to end with every container as its own database user, signed in by identity, behind TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from services.local.home import Home
from services.local.platform import CHILDREN, claim, is_ready, prepare
from services.local.processes import Supervisor
from services.migrator.service import run
from tests.doorman import doorman, trust_this_machine
from tests.metadata import Metadata, metadata_services
from tests.platform import Platform, build_home, promote
from tests.services.trainer.bundles import small_bundle

USERS = {name: f"pointsman-{name}@acme.iam" for name in ("gateway", "router", "worker", "rag", "trainer")}
CUT = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = any(%s)"


@dataclass(frozen=True)
class EachItsOwn:
    """One supervisor per container, because each has an environment of its own; looks like one."""

    of: dict[str, Supervisor]

    def tend(self) -> None:
        for one in self.of.values():
            one.tend()

    def log_tail(self, name: str, lines: int = 200) -> str:
        return next(iter(self.of.values())).log_tail(name, lines)

    def stop(self) -> None:
        for one in reversed(self.of.values()):
            one.stop()


@contextmanager
def containers(home: Home, folder: Path, metadata: Metadata) -> Iterator[Platform]:
    with doorman(
        home.postgres, folder / "door", lambda _, token: token in metadata.given[metadata.good_from :]
    ) as door:

        def environment(name: str) -> dict[str, str]:
            own = {"POINTSMAN_DATABASE_URL": door.address("gcp-iam", USERS[name]), "POINTSMAN_ROUTER_POLL_S": "1"}
            return home.environment() | metadata.environment | own

        each = EachItsOwn({name: Supervisor(home, lambda name=name: environment(name)) for name in CHILDREN})
        try:
            for name, module in CHILDREN.items():
                each.of[name].start(name, module)
            yield Platform(home, each, httpx.Client())  # ty: ignore[invalid-argument-type]  # what it is asked, it has
        finally:
            each.stop()


def triaged(platform: Platform, title: str) -> int:
    """A new ticket of the built-in desk, decided, and accepted by a person where one was asked."""
    key = {"Authorization": f"Bearer {(platform.home.folder / 'api_key').read_text('utf-8').strip()}"}
    url, ticket = platform.home.gateway_url, {"title": title, "description": "vpn wifi dns latency firewall"}
    sent = httpx.post(f"{url}/webhook/ticket", json=ticket, headers=key, timeout=60)
    assert sent.status_code == 202, platform.supervisor.log_tail("gateway")[-1500:]
    ticket_id = int(sent.json()["ticket_id"])
    decided = "select count(*) from decisions where ticket_id = %s"
    platform.wait_until(lambda: platform.value(decided, ticket_id) == 1, "the decision")
    httpx.post(f"{url}/api/tickets/{ticket_id}/review", json={"group": "Network"}, headers=key, timeout=60)
    written = "select count(*) from outbox where ticket_id = %s and state = 'sent'"
    platform.wait_until(lambda: platform.value(written, ticket_id) >= 1, "the write-back")
    return ticket_id


def test_a_ticket_is_triaged_with_each_container_as_its_own_user(open_folder: Path) -> None:
    """Taken in, routed, reviewed, written back, erased; in between every connection is cut and the token changes."""
    home = build_home(open_folder / "own-users")
    claim(home, print)
    with metadata_services() as metadata:
        metadata.life_s = 299  # every new connection needs a new token
        try:
            prepare(home)
            with psycopg.connect(home.postgres.url, autocommit=True) as conn:
                for user in USERS.values():
                    conn.execute(f'create role "{user}" login'.encode())
            trust_this_machine(home.postgres)
            run(home.postgres.url, home.settings.company, USERS)
            promote(home, small_bundle())
            with containers(home, open_folder, metadata) as platform:
                platform.wait_until(lambda: is_ready(home), "the platform")
                first = triaged(platform, "vpn down")
                metadata.good_from = len(metadata.given)
                assert platform.value(CUT, list(USERS.values())) > 3
                platform.wait_until(lambda: is_ready(home), "the platform, cut off")
                triaged(platform, "wifi down")
                assert platform.cli("erase", str(first), "--yes").returncode == 0
                erased = "select count(*) from tickets where id = %s and state = 'erased'"
                platform.wait_until(lambda: platform.value(erased, first) == 1, "the erasure")
                users = {row["usename"] for row in platform.rows("select distinct usename from pg_stat_activity")}
                assert {USERS["gateway"], USERS["worker"]} <= users
                assert [name for name in CHILDREN if "permission denied" in platform.supervisor.log_tail(name)] == []
                assert "InsufficientPrivilege" not in platform.logs()
        finally:
            home.postgres.stop()
