"""One real ticketing system as a child process: made ready once, started, stopped, killed, started again."""

import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from services.core.kit.errors import ConfigurationInvalid, Unavailable

START_TIMEOUT_S = 180.0  # Rails on a machine that six other things share took 40
LOOK_S = 0.1
LOG_TAIL_BYTES = 2_000
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # plain HTTP; to read them all would take .03 s of processor


@dataclass
class Program:
    """
    `sign_in` is name and password of its administrator; `answers_at` is a page that only answers when all is up.

    The folder holds database, configuration and log; deleting it is forgetting the system.
    """

    name: str
    folder: Path
    url: str
    sign_in: tuple[str, str]
    answers_at: str
    command: Sequence[str]
    environment: Mapping[str, str]
    working_folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """
        Returns when the system answers.

        Raises:
            Unavailable: it ended or did not answer in time; the message has the end of its log.
        """
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=clean_environment(self.environment),
                cwd=self.working_folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self.name} did not start. {self.log} ends:\n{self.log_tail()}")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash would."""
        self._end(signal.SIGKILL)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def answers(self) -> bool:
        try:
            where = self.url + self.answers_at
            return httpx.get(where, auth=self.sign_in, timeout=5, verify=NO_AUTHORITIES).is_success
        except httpx.HTTPError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            workers = self._workers()
            self.process.send_signal(how)
            self.process.wait()
            for worker in workers:  # a server's own outlive its crash, and would go on answering on its port
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            self.process = None

    def _workers(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def once(folder: Path, make: Callable[[], None]) -> None:
    """Makes the folder and what lies in it; killed in the middle, it is made anew."""
    stamp = folder / "made"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make()
        stamp.touch()


def prepare(command: Sequence[str], environment: Mapping[str, str], *, name: str, folder: Path) -> None:
    """
    Runs one command that makes the database.

    Raises:
        Unavailable: it failed; the message has its last words.
    """
    done = subprocess.run(
        list(command),
        env=clean_environment(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace")[-LOG_TAIL_BYTES:]
        raise Unavailable(
            f"The database of {name} could not be made: {command[0]} ended with {done.returncode}.\n{said}"
        )


def require(path: Path, *, name: str, packages: Sequence[str]) -> None:
    """
    Raises:
        ConfigurationInvalid: the system is not installed here; the message says how to.
    """
    if not os.access(path, os.R_OK):
        raise ConfigurationInvalid(
            f"{name} is not installed here ({path} cannot be read). On Debian 12 or Ubuntu: "
            f"apt-get install --no-install-recommends {' '.join(packages)}"
        )


def clean_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Only what a program needs: no proxy, no locale and no setting of ours reaches it by accident."""
    return {"PATH": os.defpath + ":/usr/local/sbin:/usr/sbin:/sbin", "LANG": "C.UTF-8", **ours}
