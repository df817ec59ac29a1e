"""`pointsman up` through its accidents: killed, interrupted, started twice, ports taken, folder closed."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from services.local.home import Home
from services.local.platform import claim, is_ready, prepare
from tests.platform import build_home, promote, user_environment
from tests.services.trainer.bundles import small_bundle

TIMEOUT_S = 300.0  # of a machine that others share; nothing waits longer than it must


@pytest.fixture(scope="module")
def home(open_folder: Path) -> Iterator[Home]:
    """A laptop that has a model already; nothing runs."""
    home = build_home(open_folder / "laptop")
    claim(home, print)
    prepare(home)
    promote(home, small_bundle())
    home.postgres.stop()
    home.running_file.unlink()
    yield home
    home.postgres.stop()


def start(home: Home, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.cli", "up", *arguments]
    return subprocess.Popen(
        command, env=user_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", "up", *arguments]
    environment = user_environment(home) | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)


def wait_ready(home: Home, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_ready(home):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)  # another process: nothing to wait on but its answer


def kill_all(supervisor: psutil.Process) -> None:
    """kill -9: first who would start them anew, then its containers."""
    children = supervisor.children()
    for process in [supervisor, *children]:
        process.kill()
    psutil.wait_procs(children, timeout=TIMEOUT_S)


def test_once_shows_mock_tickets_triaged_and_leaves_nothing_running(home: Home) -> None:
    """
    Exit 0, a row for each ticket, no process left, PostgreSQL stopped. A database that is set for a deployment is named
    in one line, and the laptop's own serves.
    """
    url = "postgresql://nobody:secret@127.0.0.1:9/production"
    done = run(home, "--once", "--mock", "3", POINTSMAN_DATABASE_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [
        line
        for line in done.stdout.splitlines()
        if any(band in line for band in ("AUTO_ROUTE", "HUMAN_REVIEW", "ESCALATE"))
    ]
    assert len(rows) == 3
    assert not home.postgres.is_running()
    assert not home.running_file.exists()
    assert "`pointsman up` has its own: POINTSMAN_DATABASE_URL." in done.stderr
    assert "secret" not in done.stderr


def test_a_killed_supervisor_is_cleaned_up_after(home: Home) -> None:
    """kill -9 leaves containers and PostgreSQL; the next start ends the first and reattaches the second."""
    first = start(home, "--mock", "0")
    wait_ready(home, first)
    children = psutil.Process(first.pid).children()
    first.kill()
    first.wait()
    assert home.postgres.is_running()
    done = run(home, "--once", "--mock", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Ended {len(children)} processes" in done.stderr
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_a_worker_that_has_ended_does_not_make_the_next_start_ready(home: Home) -> None:
    """Stopped or killed a moment ago: no heartbeat of before counts for the worker that is yet to come."""
    for end in (psutil.Process.terminate, kill_all):
        process = start(home, "--mock", "0")
        wait_ready(home, process)
        end(psutil.Process(process.pid))
        process.wait(TIMEOUT_S)
    begun = time.time()
    process = start(home, "--mock", "0")
    wait_ready(home, process)
    with psycopg.connect(home.postgres.url) as conn:
        beats = conn.execute("select extract(epoch from beat_at) from executors where beat_at > '-infinity'").fetchall()
    assert [float(beat) > begun for (beat,) in beats] == [True]
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 0


def test_while_one_runs_its_owner_signs_in_and_a_second_is_refused(home: Home) -> None:
    """
    Without the printed link the console asks to sign in, on this machine too; the command line's key is its owner's
    alone. A second start ends with the process and the address. Ctrl-C: exit 0 and nothing left.
    """
    first = start(home, "--mock", "0")
    assert first.stdout is not None
    printed = next(line for line in first.stdout if line.startswith("Console: "))
    with httpx.Client(base_url=home.gateway_url, timeout=TIMEOUT_S) as http:
        assert http.get("/").headers["location"] == "/login?next=%2F"
        assert http.get(printed.removeprefix("Console: ").strip()).headers["location"] == "/"
        assert http.get("/").status_code == 200
    assert (home.folder / "api_key").stat().st_mode & 0o777 == 0o600
    second = run(home, "--once")
    assert second.returncode == 1
    assert f"already runs here (process {first.pid})" in second.stderr.replace("\n", " ")
    assert is_ready(home)
    first.send_signal(signal.SIGINT)
    assert first.wait(TIMEOUT_S) == 0
    assert not home.postgres.is_running()


def test_two_starts_at_once_are_one(home: Home) -> None:
    """Neither has started anything yet when the other looks: one runs, the other says so."""
    both = [start(home, "--once", "--mock", "0") for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], outputs
    assert sum("already runs here" in output for output in outputs) == 1
    assert not home.postgres.is_running()


def test_a_taken_port_is_named_with_the_setting_that_moves_ours(home: Home) -> None:
    """Exit 1, the port and the variable; nothing was started."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier test linger a minute
        other.bind(("127.0.0.1", home.settings.gateway_port))
        other.listen()
        done = run(home, "--once")
    assert done.returncode == 1
    assert f"Port {home.settings.gateway_port} is taken" in done.stderr
    assert "POINTSMAN_GATEWAY_PORT=" in done.stderr
    assert not home.postgres.is_running()


def test_a_folder_that_cannot_be_written_is_named_with_the_fix(home: Home) -> None:
    """Exit 1 and POINTSMAN_HOME, no traceback."""
    done = run(home, "--once", POINTSMAN_HOME="/proc/pointsman")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "POINTSMAN_HOME" in done.stderr
