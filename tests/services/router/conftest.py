"""The real server as a subprocess, over real HTTP and gRPC."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.services.trainer.bundles import small_bundle

START_S = 60  # a busy machine; the test goes on as soon as the server answers


@dataclass(frozen=True)
class Router:
    http: str
    grpc: str
    pid: int
    log: Path


def start(log: Path, *arguments: str, **environment: str) -> tuple[subprocess.Popen[bytes], Router]:
    """Starts `python -m services.router` and waits until it is alive."""
    http, grpc = free_port(), free_port()
    command = [sys.executable, "-m", "services.router", "--http-port", str(http), "--grpc-port", str(grpc), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | environment)
    router = Router(f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", process.pid, log)
    wait_until(lambda: httpx.get(f"{router.http}/v2/health/live").status_code == 200, process, log)
    return process, router


def wait_until(claim, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if claim():
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)  # polling another process: there is no event to wait on


@pytest.fixture(scope="session")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    log = tmp_path_factory.mktemp("router") / "log"
    process, router = start(log, "--model-dir", str(small_bundle()))
    yield router
    process.terminate()
    assert process.wait(20) == 0, log.read_text()
