"""The whole platform as real processes for tests: own home, own ports, a small real model, a Zendesk double."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from services.core.kit.objects import open_store
from services.core.models import registry
from services.local.home import Home, LocalSettings
from services.local.platform import CHILDREN, claim, is_ready, prepare
from services.local.processes import Supervisor
from tests.conftest import free_port
from tests.services.trainer.bundles import RARE, WORDS, small_bundle

TIMEOUT_S = 120.0  # a machine that eight test runs share; tests go on as soon as they can
LOOK_S = 0.05
GROUPS = (*WORDS, RARE[0])
ZENDESK_TOKEN, AGENT_TOKEN, USER_ID = "integration-token", "agent-token", "903"


@dataclass(frozen=True)
class Platform:
    """Running processes and the ways to reach them."""

    home: Home
    supervisor: Supervisor
    zendesk: httpx.Client
    double: subprocess.Popen[bytes] | None = None

    @contextmanager
    def hanging_zendesk(self) -> Generator[None]:
        """It takes connections and answers nothing, as a stuck machine does."""
        assert self.double is not None
        self.double.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.double.send_signal(signal.SIGCONT)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.Connection[dict[str, Any]].connect(
            self.home.postgres.url, autocommit=True, row_factory=dict_row
        ) as conn:
            return conn.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        return next(iter(self.rows(query, *values)[0].values()))

    def wait_until(self, claim_is_true: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Tends the processes until the claim holds; polling other processes is the only way to see it."""
        deadline = time.monotonic() + timeout_s
        while not self._holds(claim_is_true):
            assert time.monotonic() < deadline, f"not in time: {what}\n{self.logs()}"
            self.supervisor.tend()
            time.sleep(LOOK_S)

    def logs(self) -> str:
        return "\n".join(f"== {name}\n{self.supervisor.log_tail(name)}" for name in CHILDREN)

    def cli(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`pointsman ...` as a user of this machine runs it."""
        return subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments],
            env=user_environment(self.home) | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    @staticmethod
    def _holds(claim_is_true: Callable[[], bool]) -> bool:
        try:
            return claim_is_true()
        except (psycopg.OperationalError, httpx.HTTPError):  # killed this moment, coming back
            return False


def user_environment(home: Home) -> dict[str, str]:
    settings = home.settings
    return os.environ | {
        "POINTSMAN_HOME": str(settings.home),
        "POINTSMAN_GATEWAY_PORT": str(settings.gateway_port),
        "POINTSMAN_ROUTER_HTTP_PORT": str(settings.router_http_port),
        "POINTSMAN_ROUTER_GRPC_PORT": str(settings.router_grpc_port),
        "POINTSMAN_WORKER_PORT": str(settings.worker_port),
        "POINTSMAN_WORKER_METRICS_PORT": str(settings.worker_metrics_port),
        "POINTSMAN_POSTGRES_PORT": str(settings.postgres_port),
        "POINTSMAN_RAG_PORT": str(settings.rag_port),
        "POINTSMAN_SYSTEM_PORT": str(settings.system_port),
        "COLUMNS": "160",
    }


def build_home(folder: Path) -> Home:
    ports = {name: free_port() for name in LocalSettings.model_fields if name.endswith("_port")}
    return Home(LocalSettings(home=folder, **ports))  # ty: ignore[invalid-argument-type]  # ports are ints, home a path


@contextmanager
def run_platform(folder: Path, environment: Mapping[str, str] | None = None) -> Generator[Platform]:
    """The platform with a promoted model and a Zendesk double, ready to be called."""
    home = build_home(folder)
    zendesk_port = free_port()
    connectors = "POINTSMAN_CONNECTORS__ZENDESK__"
    ours = {
        f"{connectors}BASE_URL": f"http://127.0.0.1:{zendesk_port}",
        f"{connectors}EMAIL": "pointsman@example.com",
        f"{connectors}API_TOKEN": ZENDESK_TOKEN,
        f"{connectors}USER_ID": USER_ID,
        "POINTSMAN_ROUTER_POLL_S": "1",
        **(environment or {}),
    }
    claim(home, print)
    supervisor = Supervisor(home, lambda: home.environment() | ours, pauses_s=(0.1,))
    double = _start_double(zendesk_port)
    try:
        prepare(home)
        promote(home, small_bundle())
        for name, module in CHILDREN.items():
            supervisor.start(name, module)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{zendesk_port}", auth=("agent@example.com/token", AGENT_TOKEN), timeout=10
        ) as zendesk:
            platform = Platform(home, supervisor, zendesk, double)
            platform.wait_until(lambda: zendesk.get("/api/v2/groups.json").is_success, "the Zendesk double")
            for group in GROUPS:
                zendesk.post("/api/v2/groups.json", json={"group": {"name": group}}).raise_for_status()
            platform.wait_until(lambda: is_ready(home), "the platform")
            yield platform
    finally:
        supervisor.stop()
        home.postgres.stop()
        double.send_signal(signal.SIGCONT)
        double.terminate()
        double.wait()


def promote(home: Home, bundle: Path) -> str:
    """Puts a bundle into service and its groups into the catalogue."""
    with psycopg.connect(home.postgres.url, autocommit=True) as conn:
        version = registry.register(conn, open_store(f"file://{home.folder / 'objects'}"), bundle)
        registry.promote(conn, version)
        conn.execute("delete from catalogue")
        conn.cursor().executemany(
            "insert into catalogue (kind, name) values ('group', %s)", [(name,) for name in GROUPS]
        )
    return version


def _start_double(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services.local.zendesk_double", "--port", str(port)]
    tokens = ["--integration-token", ZENDESK_TOKEN, "--agent-token", AGENT_TOKEN, "--requests-per-minute", "1000000"]
    return subprocess.Popen([*command, *tokens], stderr=subprocess.DEVNULL)
