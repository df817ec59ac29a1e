"""Who runs here, and what a killed one left."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.core.kit.errors import Conflict
from services.local.home import Home
from services.local.processes import JOB_NICENESS, Supervisor, alone, clear_leftovers, remember
from tests.conftest import free_port
from tests.platform import build_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = build_home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours: the Zendesk double, the quickest to start."""
    command = [sys.executable, "-m", "services.local.zendesk_double", "--port", str(free_port())]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


def test_one_process_at_a_time(home: Home) -> None:
    """The second is told whose turn it is; afterwards anyone may."""
    code = (
        "import sys; from pathlib import Path; from services.local.home import Home, LocalSettings; "
        "from services.local.processes import alone\n"
        f"with alone(Home(LocalSettings(home=Path({str(home.folder)!r})))): print('in', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    with pytest.raises(Conflict, match=f"already runs here .process {first.pid}."), alone(home):
        pass
    first.kill()
    first.communicate()
    with alone(home):
        pass


def test_what_a_killed_supervisor_left_is_ended(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    """Once; then there is nothing to end."""
    remember(home, [orphan.pid])
    assert clear_leftovers(home) == 1
    assert orphan.wait(10) is not None
    assert clear_leftovers(home) == 0


def test_a_process_that_has_the_id_of_ours_now_is_left_alone(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    """Another start time, or another program."""
    remember(home, [orphan.pid])
    (entry,) = json.loads(home.running_file.read_text())
    home.running_file.write_text(json.dumps([{**entry, "started_s": entry["started_s"] - 60}]))
    assert clear_leftovers(home) == 0
    assert orphan.poll() is None
    with subprocess.Popen(["sleep", "60"]) as other:
        remember(home, [other.pid])
        assert clear_leftovers(home) == 0
        assert other.poll() is None
        other.kill()


def test_a_file_of_an_older_version_is_no_reason_to_stop(home: Home) -> None:
    """Nobody is found by it."""
    home.running_file.write_text('[{"pid": 1, "created": 1.5}]')
    assert clear_leftovers(home) == 0


def test_a_job_runs_once_and_tells_its_end(open_folder: Path) -> None:
    """Unlike a container it is not started again; it is behind the containers in line for the processor."""
    home, ended = build_home(open_folder / "job"), list[int]()
    home.prepare()
    home.postgres.start()
    supervisor = Supervisor(home, lambda: os.environ, pauses_s=(0.0,))
    try:
        supervisor.start_job("usage", "services.trainer", "--no-such-flag", ended=ended.append)
        assert supervisor.children[0].process is not None
        assert psutil.Process(supervisor.children[0].process.pid).nice() == JOB_NICENESS
        supervisor.children[0].process.wait()
        supervisor.tend()
        supervisor.tend()
    finally:
        supervisor.stop()
        home.postgres.stop()
    assert ended == [2]
    assert supervisor.children == []
    assert "unrecognized arguments" in supervisor.log_tail("usage")
