"""The containers as real processes on a home of their own, and what each costs: processor seconds and memory."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg

from services.core.kit.objects import open_store
from services.core.models import registry
from services.local.home import Home
from services.local.platform import CHILDREN, claim, is_ready, prepare
from services.local.postgres import EmbeddedPostgres
from services.local.processes import Supervisor, stop_process
from tests.conftest import free_port
from tests.platform import build_home

START_TIMEOUT_S = 120.0
LOOK_S = 0.05
UNLIMITED = {"POINTSMAN_HOOK_RATE_PER_MINUTE": "100000000", "POINTSMAN_LOG_LEVEL": "WARNING"}


@dataclass(frozen=True)
class Memory:
    """MiB. `pss` shares common pages out, so that the processes add up; `private` would come free if it ended."""

    pss: float
    private: float


@dataclass
class Containers:
    """Running processes. State: workers started beyond the first."""

    home: Home
    supervisor: Supervisor
    more_workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """By container; PostgreSQL with all its backends."""
        found = {child.name: [psutil.Process(child.process.pid)] for child in self.supervisor.children if child.process}
        for number, worker in enumerate(self.more_workers, 2):
            found[f"worker {number}"] = [psutil.Process(worker.pid)]
        return found | {"postgres": processes_of(self.home.postgres)}

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far by container."""
        return {name: sum(map(cpu_s, processes)) for name, processes in self.processes().items()}

    def memory(self) -> dict[str, Memory]:
        found = {}
        for name, processes in self.processes().items():
            infos = [info for process in processes if (info := _memory(process))]
            found[name] = Memory(sum(i.pss for i in infos) / 2**20, sum(i.uss for i in infos) / 2**20)
        return found

    def start_worker(self) -> None:
        """One more worker, as a second pod would run."""
        number = len(self.more_workers) + 2
        ours = {"POINTSMAN_WORKER_ID": f"worker-{number}", "POINTSMAN_WORKER_METRICS_PORT": str(free_port())}
        ours["POINTSMAN_WORKER_PORT"] = str(free_port())
        with (self.home.logs / f"worker-{number}.log").open("ab") as log:
            command = [sys.executable, "-m", CHILDREN["worker"]]
            self.more_workers.append(
                subprocess.Popen(command, env=dict(self.supervisor.environment()) | ours, stdout=log, stderr=log)
            )
        wait_until(lambda: self.value("select count(*) from executors") == number, "the second worker")

    def value(self, query: str) -> float:
        with psycopg.connect(self.home.postgres.url, autocommit=True) as conn:
            row = conn.execute(query.encode()).fetchone()
        return float(row[0]) if row and row[0] is not None else 0.0

    def stop(self) -> None:
        for worker in self.more_workers:
            stop_process(psutil.Process(worker.pid) if worker.poll() is None else None)
        self.supervisor.stop()
        self.home.postgres.stop()


@contextmanager
def run_containers(
    names: Sequence[str], *, bundle: Path | None = None, environment: Mapping[str, str] | None = None
) -> Generator[Containers]:
    """The named containers and PostgreSQL, ready; `bundle` is put into service first."""
    with open_folder() as folder:
        home = build_home(folder / "home")
        claim(home, lambda line: None)
        supervisor = Supervisor(home, lambda: home.environment() | UNLIMITED | dict(environment or {}))
        containers = Containers(home, supervisor)
        try:
            prepare(home)
            if bundle is not None:
                _promote(home, bundle)
            for name in names:
                supervisor.start(name, CHILDREN[name])
            _wait_ready(containers, everything=len(names) == len(CHILDREN))
            yield containers
        finally:
            containers.stop()


@contextmanager
def open_folder() -> Generator[Path]:
    """A folder that every user can pass through: under root PostgreSQL is another user."""
    folder = Path(tempfile.mkdtemp(prefix="pointsman-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(postgres: EmbeddedPostgres) -> list[psutil.Process]:
    """The postmaster and every backend it has now."""
    postmaster = psutil.Process(postgres.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def wait_until(claim_is_true: Callable[[], bool], what: str, *, timeout_s: float = START_TIMEOUT_S) -> None:
    """Polling other processes is the only way to see it."""
    deadline = time.monotonic() + timeout_s
    while not claim_is_true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {timeout_s:.0f} s: {what}.")
        time.sleep(LOOK_S)


def _wait_ready(containers: Containers, *, everything: bool) -> None:
    home = containers.home

    def answers() -> bool:
        containers.supervisor.tend()
        return is_ready(home) if everything else _serves(home.gateway_url)

    try:
        wait_until(answers, "the platform")
    except RuntimeError as exc:
        logs = "\n".join(containers.supervisor.log_tail(name) for name in CHILDREN)
        raise RuntimeError(f"{exc} Its logs end:\n{logs}") from exc


def _serves(gateway_url: str) -> bool:
    try:
        return httpx.get(f"{gateway_url}/docs", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _promote(home: Home, bundle: Path) -> None:
    with psycopg.connect(home.postgres.url, autocommit=True) as conn:
        store = open_store(f"file://{home.folder / 'objects'}")
        registry.promote(conn, registry.register(conn, store, bundle))


def cpu_s(process: psutil.Process) -> float:
    """With ended children: PostgreSQL's backends come and go."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _memory(process: psutil.Process):
    try:
        return process.memory_full_info()
    except psutil.NoSuchProcess:
        return None
