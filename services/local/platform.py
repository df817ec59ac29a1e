"""The whole platform on one machine: prepared, started, watched, stopped."""

import signal
import ssl
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psycopg

from services.core.kit import workflows
from services.core.kit.database import migrate
from services.core.kit.errors import Unavailable
from services.core.kit.security import Role, create_key
from services.local.home import WORKER_ID, Home
from services.local.processes import Supervisor, alone, check_ports, clear_leftovers, remember

READY_TIMEOUT_S = 90.0
TEND_S = 0.2
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it is plain HTTP; to read them all takes .03 s of processor
CHILDREN = {"router": "services.router", "worker": "services.worker", "gateway": "services.gateway"}
KEY_NAME = "local"

Say = Callable[[str], None]
EnsureModel = Callable[[Home, Say], None]


@dataclass(frozen=True)
class Running:
    """The platform while it runs. `wait` keeps it running; it ends by itself only on a signal."""

    home: Home
    supervisor: Supervisor

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        while not until():
            self.supervisor.tend()
            time.sleep(TEND_S)


@contextmanager
def platform(home: Home, say: Say, ensure_model: EnsureModel) -> Generator[Running]:
    """
    Everything up and ready inside the block; everything down after it.

    Raises:
        PointsmanError: what is in the way, and the fix.
    """
    home.prepare()
    with alone(home), _interruptible():
        claim(home, say)
        supervisor = Supervisor(home, home.environment)
        supervisor.on_restart = lambda name, code: say(f"{name} ended (exit code {code}); starting it again.")
        try:
            prepare(home)
            if ignored := home.ignored():
                say(f"Not used here, `pointsman up` has its own: {', '.join(ignored)}.")
            ensure_model(home, say)
            for name, module in CHILDREN.items():
                supervisor.start(name, module)
            _wait_ready(home, supervisor)
            yield Running(home, supervisor)
        finally:
            say("Stopping.")
            supervisor.stop()
            home.postgres.stop()


def claim(home: Home, say: Say) -> None:
    """
    Makes room for the platform here, ending what a killed one left behind.

    Raises:
        ConfigurationInvalid: the folder cannot be written, or a port is taken.
    """
    home.prepare()
    leftovers = clear_leftovers(home)
    if leftovers:
        say(f"Ended {leftovers} processes that an earlier run had left behind.")
    settings = home.settings
    ports = {
        "POINTSMAN_GATEWAY_PORT": settings.gateway_port,
        "POINTSMAN_ROUTER_HTTP_PORT": settings.router_http_port,
        "POINTSMAN_ROUTER_GRPC_PORT": settings.router_grpc_port,
        "POINTSMAN_WORKER_METRICS_PORT": settings.worker_metrics_port,
        "POINTSMAN_RAG_PORT": settings.rag_port,
        "POINTSMAN_WORKER_PORT": settings.worker_port,
    }
    if home.connected:
        ports["POINTSMAN_SYSTEM_PORT"] = settings.system_port
    if not home.postgres.is_running():
        ports["POINTSMAN_POSTGRES_PORT"] = settings.postgres_port
    check_ports(ports)
    remember(home, [])


def prepare(home: Home) -> None:
    """Starts PostgreSQL, migrates and makes a key."""
    url = home.postgres.start()
    migrate(url, home.settings.company)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(workflows.LEAVE, (WORKER_ID,))  # a killed one's heartbeat would count for the one to come
        _ensure_key(home, conn)


def _ensure_key(home: Home, conn: psycopg.Connection) -> None:
    """An administrator's key for the command line of this machine, in a file that only its owner can read."""
    file = home.folder / "api_key"
    known = conn.execute("select 1 from api_keys where name = %s and revoked_at is null", (KEY_NAME,)).fetchone()
    if known is None or not file.exists():
        home.write_private(file, create_key(conn, name=KEY_NAME, role=Role.ADMIN))


def _wait_ready(home: Home, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready(home):
        supervisor.tend()
        weak = next((child for child in supervisor.children if child.restarts >= 3), None)
        if weak is not None or time.monotonic() > deadline:
            name = weak.name if weak else "the platform"
            logs = supervisor.log_tail(weak.name) if weak else "\n".join(supervisor.log_tail(c) for c in CHILDREN)
            raise Unavailable(f"{name} did not become ready. Its log ends:\n{logs}")
        time.sleep(TEND_S)


def is_ready(home: Home) -> bool:
    """Whether gateway, database, router and worker all answer."""
    try:
        return httpx.get(f"{home.gateway_url}/health", timeout=2, verify=NO_AUTHORITIES).json()["status"] == "ok"
    except (httpx.HTTPError, ValueError, KeyError):
        return False


@contextmanager
def _interruptible() -> Generator[None]:
    """
    SIGTERM ends the block like Ctrl-C does, and so does SIGINT in a process that a shell started in the background:
    such a shell has it ignored, and Python leaves it so.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
