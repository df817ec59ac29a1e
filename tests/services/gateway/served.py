"""A gateway in a process of its own, asked over real sockets."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg

from services.core.kit.security import Role, create_key
from tests.conftest import free_port
from tests.sockets import PATIENCE_S, connect

START_S = 60.0
TRIES = 5


@dataclass(frozen=True)
class Served:
    """A gateway in a process of its own."""

    process: psutil.Process
    port: int
    key: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        return self.process.memory_info().rss

    def connect(self) -> socket.socket:
        return connect(self.url)

    def is_well(self) -> bool:
        """Whether it serves; on a busy machine we ourselves may be late for one that waits a second for a head."""
        with httpx.Client(timeout=PATIENCE_S) as http:
            for _ in range(TRIES):
                with suppress(httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    return http.get(f"{self.url}/api/status", headers={"X-API-Key": self.key}).status_code == 200
        return False


@contextmanager
def serve(database_url: str, folder: Path, **environment: str) -> Iterator[Served]:
    """The gateway on this database, with the key of an administrator."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        key = create_key(conn, name="right", role=Role.ADMIN)
    port, log = free_port(), folder / "gateway.log"
    ours = {"POINTSMAN_DATABASE_URL": database_url, "POINTSMAN_GATEWAY_PORT": str(port)}
    command = [sys.executable, "-m", "services.gateway"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | ours | environment, stdout=out, stderr=out)
    try:
        served = Served(psutil.Process(process.pid), port, key, log)
        _wait_for(served)
        yield served
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _wait_for(served: Served) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            assert served.is_well()
        except httpx.HTTPError:
            assert time.monotonic() < deadline, served.log.read_text()
            time.sleep(0.1)
        else:
            return
