"""A first start that is interrupted: what it had begun is ended, and begun again in the right way."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg

from services.cli.first_model import has_own_history
from services.local.processes import clear_leftovers
from tests.platform import build_home, user_environment

TIMEOUT_S = 90.0
ADD = """
insert into history (source, external_id, subject, body, content_hash) values (%s, '1', '', 'x', 'h')
"""


def test_mock_history_is_not_the_companys_own(database: str) -> None:
    """A part of it, which an interrupted import left, must not be trained on like an export."""
    with psycopg.connect(database) as conn:
        assert not has_own_history(conn)
        conn.execute(ADD, ("mock",))
        assert not has_own_history(conn)
        conn.execute(ADD, ("servicenow",))
        assert has_own_history(conn)


def test_a_killed_first_start_leaves_nothing_that_the_next_does_not_find(open_folder: Path) -> None:
    """kill -9 of `up` while it imports: the import is found and ended."""
    home = build_home(open_folder / "first")
    command = [sys.executable, "-m", "services.cli", "up", "--mock", "0"]
    first = subprocess.Popen(command, env=user_environment(home), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not (children := [p for p in psutil.Process(first.pid).children() if "import" in p.cmdline()]):
            assert first.poll() is None
            assert time.monotonic() < deadline
        while str(children[0].pid) not in home.running_file.read_text():
            assert time.monotonic() < deadline
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert clear_leftovers(home) == 1
        assert not children[0].is_running()
    finally:
        first.kill()
        home.postgres.stop()
