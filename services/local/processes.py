"""The child processes of the laptop: started, watched, restarted, and found again after a crash of the supervisor."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.core.kit.errors import ConfigurationInvalid, Conflict
from services.local.home import Home
from services.local.logs import rotate

STOP_TIMEOUT_S = 10.0
RESTART_PAUSES_S = (0.2, 1.0, 3.0, 10.0)  # then the last one for ever
JOB_NICENESS = 10
STEADY_AFTER_S = 60.0  # a child that ran this long starts again at the first pause


@dataclass
class Child:
    """
    One container's process, `python -m module` with `arguments`.

    A job has `ended`, which is called once with its exit code; any other child is started again when it ends.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    ended: Callable[[int], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started_at: float = 0.0
    due_at: float = 0.0


@dataclass
class Supervisor:
    """State: the children. Not safe for two threads."""

    home: Home
    environment: Callable[[], Mapping[str, str]]  # asked at each start: the database's password exists only later
    children: list[Child] = field(default_factory=list)
    pauses_s: tuple[float, ...] = RESTART_PAUSES_S
    on_restart: Callable[[str, int | None], None] = lambda name, code: None

    def start(self, name: str, module: str, *arguments: str) -> None:
        child = Child(name, module, arguments)
        self.children.append(child)
        self._spawn(child)

    def start_job(self, name: str, module: str, *arguments: str, ended: Callable[[int], None]) -> None:
        """Runs it once, behind everything else: what serves tickets has the processor first."""
        job = Child(name, module, arguments, ended)
        self.children.append(job)
        self._spawn(job)

    def tend(self) -> None:
        """Starts again what has died, with growing pauses; cuts the logs. Call it every fraction of a second."""
        rotate([*self.home.logs.glob("*.log"), self.home.postgres.folder / "log"])
        if not self.home.postgres.is_running():
            self.on_restart("postgres", None)
            self.home.postgres.start()
        for child in list(self.children):
            assert child.process is not None
            code = child.process.poll()
            if code is not None and child.ended is not None:
                self.children.remove(child)
                child.ended(code)
            elif code is not None:
                self._start_again(child, code, time.monotonic())

    def _start_again(self, child: Child, code: int, now: float) -> None:
        if child.due_at <= child.started_at:  # just found dead
            child.restarts = 0 if now - child.started_at > STEADY_AFTER_S else child.restarts
            child.due_at = now + self.pauses_s[min(child.restarts, len(self.pauses_s) - 1)]
            child.restarts += 1
            self.on_restart(child.name, code)
        if now >= child.due_at:
            self._spawn(child)

    def stop(self) -> None:
        """Stops the children in reverse order: who takes tickets in first, who serves others last."""
        for child in reversed(self.children):
            if child.process is not None:
                stop_process(psutil.Process(child.process.pid) if child.process.poll() is None else None)
        self.home.running_file.unlink(missing_ok=True)

    def log_tail(self, name: str, lines: int = 12) -> str:
        file = self.home.logs / f"{name}.log"
        return "\n".join(file.read_text("utf-8", errors="replace").splitlines()[-lines:]) if file.exists() else ""

    def _spawn(self, child: Child) -> None:
        with (self.home.logs / f"{child.name}.log").open("ab") as log:
            child.process = subprocess.Popen(
                [sys.executable, "-m", child.module, *child.arguments],
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
            )
        if child.ended is not None:
            psutil.Process(child.process.pid).nice(JOB_NICENESS)
        child.started_at = time.monotonic()
        child.due_at = 0.0
        remember(self.home, [child.process.pid for child in self.children if child.process])


@contextmanager
def alone(home: Home) -> Generator[None]:
    """
    This process is the only one inside the block for this folder; a killed one lets go by itself.

    Raises:
        Conflict: another process is inside.
    """
    with home.lock_file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            pid = lock.read() or "unknown"
            raise Conflict(
                f"Pointsman already runs here (process {pid}): {home.gateway_url}. "
                f"Use it, stop it with Ctrl-C there or `kill {pid}`, or set POINTSMAN_HOME and other ports."
            ) from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def remember(home: Home, children: Sequence[int]) -> None:
    """Writes down this process's children, for the next start to end when this one is killed."""
    entries = [{"pid": pid, "started_s": _started_s(pid)} for pid in children if psutil.pid_exists(pid)]
    home.write_private(home.running_file, json.dumps(entries))


def clear_leftovers(home: Home) -> int:
    """Ends the children of a supervisor that was killed; returns how many there were."""
    leftovers = _remembered(home.running_file)
    for child in reversed(leftovers):
        stop_process(child)
    home.running_file.unlink(missing_ok=True)
    return len(leftovers)


def check_ports(ports: Mapping[str, int]) -> None:
    """
    Raises:
        ConfigurationInvalid: names each port that something else listens on, and the setting that moves ours.
    """
    taken = {setting: port for setting, port in ports.items() if _is_taken(port)}
    if taken:
        lines = [
            f"Port {port} is taken{_by_whom(port)}. Free it, or choose another: {setting}={port + 1000}"
            for setting, port in taken.items()
        ]
        raise ConfigurationInvalid("\n".join(lines))


def stop_process(process: psutil.Process | None) -> None:
    """SIGTERM, then SIGKILL after STOP_TIMEOUT_S."""
    if process is None:
        return
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_TIMEOUT_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
    except psutil.NoSuchProcess:
        return


def _remembered(file: Path) -> list[psutil.Process]:
    """The processes of the file that still live, in its order."""
    try:
        entries = [(entry["pid"], entry["started_s"]) for entry in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, KeyError):  # none, or an older version's
        return []
    return [process for entry in entries if (process := _same_process(*entry)) is not None]


def _same_process(pid: int, started_s: float) -> psutil.Process | None:
    """The process while it lives, and not another one that got its id."""
    try:
        process = psutil.Process(pid)
        is_ours = any(word.startswith("services.") for word in process.cmdline())  # python -m services.router
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return process if is_ours and is_alive and abs(_started_s(pid) - started_s) < 1 else None
    except psutil.Error:
        return None


def _started_s(pid: int) -> float:
    """Seconds from the machine's boot to the process's start: a time of day would change with the clock."""
    booted = psutil.boot_time()  # first: psutil adds what it has read last
    return psutil.Process(pid).create_time() - booted


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _by_whom(port: int) -> str:
    try:
        for entry in psutil.net_connections("tcp"):
            if entry.laddr and entry.laddr.port == port and entry.status == psutil.CONN_LISTEN and entry.pid:
                return f" by {psutil.Process(entry.pid).name()} (process {entry.pid})"
    except psutil.Error:
        pass  # other users' processes cannot be seen: the port's number has to do
    return ""
