"""The child processes of the laptop: started, watched, restarted, and found again after a crash of the supervisor."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.core.kit.errors import ConfigurationInvalid, Conflict
from services.local.home import Home

STOP_TIMEOUT_S = 10.0
RESTART_PAUSES_S = (0.2, 1.0, 3.0, 10.0)  # then the last one for ever
STEADY_AFTER_S = 60.0  # a child that ran this long starts again at the first pause


@dataclass
class Child:
    """One container's process. `module` is started as `python -m module`."""

    name: str
    module: str
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

    def start(self, name: str, module: str) -> None:
        child = Child(name, module)
        self.children.append(child)
        self._spawn(child)

    def tend(self) -> None:
        """Starts again what has died, with growing pauses. Call it every fraction of a second."""
        now = time.monotonic()
        if not self.home.postgres.is_running():
            self.on_restart("postgres", None)
            self.home.postgres.start()
        for child in self.children:
            assert child.process is not None
            code = child.process.poll()
            if code is None:
                continue
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
                [sys.executable, "-m", child.module],
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
            )
        child.started_at = time.monotonic()
        child.due_at = 0.0
        remember(self.home, [child.process.pid for child in self.children if child.process])


def remember(home: Home, children: Sequence[int]) -> None:
    """Writes down who runs here: this process first, then its children, each with its start time."""
    pids = [pid for pid in (os.getpid(), *children) if psutil.pid_exists(pid)]
    entries = [{"pid": pid, "created": psutil.Process(pid).create_time()} for pid in pids]
    home.write_private(home.running_file, json.dumps(entries))


def clear_leftovers(home: Home) -> int:
    """
    Ends the children of a supervisor that was killed; returns how many there were.

    Raises:
        Conflict: that supervisor still runs.
    """
    found = _remembered(home.running_file)
    if not found:
        return 0
    supervisor, children = found[0], found[1:]
    if supervisor is not None and supervisor.pid != os.getpid():
        raise Conflict(
            f"Pointsman already runs here (process {supervisor.pid}): {home.gateway_url}. "
            f"Use it, stop it with Ctrl-C there or `kill {supervisor.pid}`, or set POINTSMAN_HOME and other ports."
        )
    leftovers = [child for child in children if child is not None]
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


def _remembered(file: Path) -> list[psutil.Process | None]:
    """The processes of the file in its order; None for one that has ended (or whose id another process has now)."""
    try:
        entries = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [_same_process(entry["pid"], entry["created"]) for entry in entries]


def _same_process(pid: int, created: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if is_same else None


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
