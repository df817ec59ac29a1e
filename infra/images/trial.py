"""
Starts the images against an embedded PostgreSQL, in the order of a rollout, with read-only roots and as the numeric
user, until each answers its health check; then sends tickets and says what memory each took, idle and at most.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import httpx
import psutil
import psycopg

from infra.images.engine import Engine, Start
from infra.images.reach import NEVER_CALLED, third_party
from k8s.workloads.containers import CONTAINERS, USER
from k8s.workloads.environment import CACHE
from services.core.kit.errors import PointsmanError
from services.core.kit.security import Role, create_key
from services.local.mock.tickets import live
from services.local.postgres import EmbeddedPostgres

STATE = "/var/lib/pointsman"
HISTORY = 1500
JOB_S, READY_S, TRIAGED_S, SETTLE_S = 1800, 180, 600, 10
EXTRA = {
    "worker": "; import pyarrow.parquet, spacy, services.worker.history",
    "gateway": "; import services.gateway.key",
}
ORDER = ("router", "worker", "gateway", "rag")


@dataclass
class Seen:
    ready_s: float = 0.0
    idle_mib: float = 0.0
    peak_mib: float = 0.0


@dataclass
class Trial:
    engine: Engine
    images: Mapping[str, str]
    work: Path
    tickets: int
    seen: dict[str, Seen] = field(default_factory=dict)

    def run(self) -> dict[str, Seen]:
        """
        Raises:
            PointsmanError: a job failed or a container did not become ready; the message ends with its log.
        """
        postgres = EmbeddedPostgres(self.work / "postgres", free_port())
        try:
            with ExitStack() as stack:
                self._roll_out(stack, postgres.start())
        finally:
            postgres.stop()
        return self.seen

    def _roll_out(self, stack: ExitStack, url: str) -> None:
        ports = {name: free_port() for name in (*ORDER, "predict", "grpc")}
        settings = environment(url, ports)
        self._imports(settings)
        self._job("migrator", settings)
        self._cli(settings, "history", "import", "--mock", str(HISTORY))
        if "trainer" in self.images:
            self._job("trainer", settings, "--promote", "--encoder", "frozen")
        else:  # the router is not ready before it has a model
            self._cli(settings, "train", "--encoder", "frozen")
        self._cli(settings, "docs", "encoder")  # the chat reads it out of the object store
        with psycopg.connect(url, autocommit=True) as conn:
            key = create_key(conn, name="trial", role=Role.ADMIN)
        processes = {name: self._serve(stack, name, settings, ports[name]) for name in ORDER if name in self.images}
        time.sleep(SETTLE_S)
        for name, process in processes.items():
            self.seen[name].idle_mib = memory(process, "VmRSS")
        if set(ORDER[:3]) <= set(processes):
            self._work(settings | {"POINTSMAN_URL": f"http://127.0.0.1:{ports['gateway']}", "POINTSMAN_API_KEY": key})
        for name, process in processes.items():
            self.seen[name].peak_mib = memory(process, "VmHWM")

    def _imports(self, settings: Mapping[str, str]) -> None:
        """What a container imports only when it needs it, too: no part of a package was taken away too much."""
        for name in (name for name in CONTAINERS if CONTAINERS[name].from_image in self.images):
            wanted = sorted(
                set(third_party(name)) - NEVER_CALLED.get(name, set()) - {"kserve"}
            )  # kserve: once it serves
            code = "; ".join(f"import {top}" for top in wanted) + EXTRA.get(name, "")
            self._job(name, settings, command=("python", "-c", code))

    def _serve(self, stack: ExitStack, name: str, settings: Mapping[str, str], port: int) -> psutil.Process:
        began, log = time.monotonic(), self.work / f"{name}.log"
        popen = stack.enter_context(self.engine.started(self._start(name, settings), log))
        url = f"http://127.0.0.1:{port}{CONTAINERS[name].ready}"
        while not answers(url):
            if popen.poll() is not None or time.monotonic() - began > READY_S:
                raise PointsmanError(f"{name} does not answer {url}. Its log ends:\n{tail(log)}")
            time.sleep(0.2)
        self.seen[name] = Seen(ready_s=time.monotonic() - began)
        return python_of(popen)

    def _job(self, name: str, settings: Mapping[str, str], *arguments: str, command: Sequence[str] = ()) -> None:
        began, log = time.monotonic(), self.work / f"{name}.log"
        peak = 0.0
        start = self._start(name, settings, *arguments)
        with self.engine.started(replace(start, command=command or start.command), log) as popen:
            while popen.poll() is None and time.monotonic() - began < JOB_S:
                peak = max(peak, peak_of(popen))
                time.sleep(0.1)
            if popen.poll() != 0:
                raise PointsmanError(
                    f"{name} ended with {popen.poll()}. Its log ends:\n{log.read_text('utf-8')[-2000:]}"
                )
        self.seen[name] = Seen(ready_s=time.monotonic() - began, peak_mib=peak)

    def _start(self, name: str, settings: Mapping[str, str], *arguments: str) -> Start:
        folders = {self.work / f"{name}-tmp": "/tmp", self.work / f"{name}-cache": CACHE, self.work / "state": STATE}  # noqa: S108
        for folder in folders:
            folder.mkdir(exist_ok=True)
            os.chown(folder, USER, USER)
        command = ("python", "-m", f"services.{name}", *arguments)
        return Start(self.images[CONTAINERS[name].from_image], command, settings, folders)

    def _work(self, settings: Mapping[str, str]) -> None:
        file = self.work / "tickets.jsonl"
        rows = ({"subject": one.subject, "body": one.body, "external_id": one.external_id} for one in live())
        file.write_text("".join(json.dumps(row) + "\n" for row in islice(rows, self.tickets)), "utf-8")
        self._cli(settings, "submit", str(file), "--connector", "json", "--wait", "--timeout", str(TRIAGED_S))

    def _cli(self, settings: Mapping[str, str], *arguments: str) -> None:
        command = [sys.executable, "-m", "services.cli", *arguments]
        state = f"file://{self.work / 'state'}/objects"
        given = {**settings, "POINTSMAN_OBJECTS_URL": state, "PATH": "/usr/bin:/bin", "POINTSMAN_HOME": str(self.work)}
        done = subprocess.run(command, env=given, capture_output=True, text=True)
        if done.returncode != 0:
            raise PointsmanError(f"`pointsman {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")


def environment(url: str, ports: Mapping[str, int]) -> dict[str, str]:
    """As rendered for a cluster, but for this machine's addresses."""
    return {
        "POINTSMAN_DATABASE_URL": url,
        "POINTSMAN_OBJECTS_URL": f"file://{STATE}/objects",
        "POINTSMAN_ROUTER_CACHE_DIR": CACHE,
        "POINTSMAN_TRAINER_WORK_DIR": CACHE,
        "POINTSMAN_ROUTER_URL": f"http://127.0.0.1:{ports['router']}",
        "POINTSMAN_WORKER_URL": f"http://127.0.0.1:{ports['predict']}",
        "POINTSMAN_GATEWAY_PORT": str(ports["gateway"]),
        "POINTSMAN_ROUTER_HTTP_PORT": str(ports["router"]),
        "POINTSMAN_ROUTER_GRPC_PORT": str(ports["grpc"]),
        "POINTSMAN_WORKER_METRICS_PORT": str(ports["worker"]),
        "POINTSMAN_WORKER_PORT": str(ports["predict"]),
        "POINTSMAN_RAG_PORT": str(ports["rag"]),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tail(log: Path) -> str:
    return log.read_text("utf-8", errors="replace")[-2000:]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def python_of(popen: subprocess.Popen) -> psutil.Process:
    """The container's own process: the one of its user."""
    for process in psutil.Process(popen.pid).children(recursive=True):
        if process.uids().effective == USER and process.name().startswith("python"):
            return process
    raise PointsmanError("The container runs no process as its numeric user.")


def peak_of(popen: subprocess.Popen) -> float:
    try:
        return memory(python_of(popen), "VmHWM")
    except (psutil.Error, OSError, PointsmanError):  # not there yet, or just gone
        return 0.0


def memory(process: psutil.Process, what: str) -> float:
    """MiB of VmRSS (now) or VmHWM (at most)."""
    lines = Path(f"/proc/{process.pid}/status").read_text("utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(what)), 0.0)
