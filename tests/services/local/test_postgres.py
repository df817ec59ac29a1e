"""The embedded PostgreSQL through a first start that was killed, and on machines that lack something."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.local.postgres import EmbeddedPostgres, ensure_user
from tests.conftest import free_port

TIMEOUT_S = 60.0


def answers(server: EmbeddedPostgres) -> bool:
    try:
        with psycopg.connect(server.start()) as conn:
            return conn.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()


def test_a_start_that_was_killed_within_initdb_is_made_anew(open_folder: Path) -> None:
    """kill -9 of everything once the version file is there, which initdb writes first."""
    server = EmbeddedPostgres(open_folder / "killed", free_port())
    code = (
        f"from services.local.postgres import *; EmbeddedPostgres(Path({str(server.folder)!r}), {server.port}).start()"
    )
    first = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + TIMEOUT_S
    while not list(server.folder.glob("data*/PG_VERSION")):
        assert first.poll() is None
        assert time.monotonic() < deadline
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (server.folder / "data").exists()
    assert answers(server)
    assert not (server.folder / "data.new").exists()


def test_a_half_made_data_folder_is_made_anew(open_folder: Path) -> None:
    """As an interrupted initdb in place left it: a version, no control file."""
    server = EmbeddedPostgres(open_folder / "half", free_port())
    (server.folder / "data").mkdir(parents=True)
    (server.folder / "data" / "PG_VERSION").write_text("18\n")
    assert answers(server)


def test_a_system_without_useradd_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's name and the other way out, no traceback."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationInvalid, match="Make a user nobody-such, or run as an ordinary user"):
        ensure_user("nobody-such")
