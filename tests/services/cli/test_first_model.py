"""A first start that is interrupted: what it had begun is ended, and begun again in the right way."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import psycopg

from services.cli.first_model import TUNE_ROWS_MIN, describe_mock_groups, has_own_history
from services.core.kit.database import migrate
from services.local.home import Home
from services.local.processes import clear_leftovers
from tests.platform import build_home, user_environment
from tests.services.trainer.bundles import made_up_tickets, small_encoder

TIMEOUT_S = 300.0  # of a machine that others share; nothing waits longer than it must
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


def test_the_mock_company_has_teams_of_every_level(database: str) -> None:
    """So that a demo shows what the chat does for the help desk and for those behind it; told twice is once."""
    with psycopg.connect(database, autocommit=True) as conn:
        for _ in range(2):
            describe_mock_groups(conn)
        levels = dict(conn.execute("select name, support_level from catalogue where kind = 'group'").fetchall())
    assert len(levels) == 12
    assert (levels["Identity & Access"], levels["Network & VPN"], levels["Security Operations"]) == (1, 2, 3)


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; none when it has ended since it was listed, as PostgreSQL's own starters do."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a ZombieProcess, too
        return []


def test_a_child_that_has_ended_is_no_error() -> None:
    """It is a zombie until its parent waits: listed, and without a command line."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert words_of(psutil.Process(child.pid)) == []


def test_a_killed_first_start_leaves_nothing_that_the_next_does_not_find(open_folder: Path) -> None:
    """kill -9 of `up` while it imports: the import is found and ended."""
    home = build_home(open_folder / "first")
    command = [sys.executable, "-m", "services.cli", "up", "--mock", "0"]
    first = subprocess.Popen(command, env=user_environment(home), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not (children := [p for p in psutil.Process(first.pid).children() if "import" in words_of(p)]):
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


def import_own_history(home: Home, folder: Path) -> None:
    """As many closed tickets as fine-tuning asks for, and little more."""
    file = folder / "closed.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = enumerate(made_up_tickets(TUNE_ROWS_MIN + 80, rare=0))
        csv.writer(out).writerows([("id", "body", "team"), *((number, one.text, one.group) for number, one in rows)])
    migrate(home.postgres.start(), home.settings.company)
    command = [sys.executable, "-m", "services.cli", "history", "import", str(file), "--map", "group=team"]
    subprocess.run(command, env=user_environment(home), check=True, timeout=TIMEOUT_S)


def test_the_fine_tuned_model_takes_over_from_the_first(open_folder: Path, tmp_path: Path) -> None:
    """Tickets flow on a first model; the better one is trained behind it and serves without a restart."""
    home = build_home(open_folder / "takeover")
    import_own_history(home, tmp_path)
    gates = tmp_path / "gates.toml"
    gates.write_text("[champion]\nenabled = false\n")  # two layers read once are a model to take over, not a better one
    small = {
        "POINTSMAN_TRAINER_BASE_MODEL": str(small_encoder()),
        "POINTSMAN_TRAINER_EPOCHS": "1",
        "POINTSMAN_TRAINER_GATES": str(gates),
    }
    command = [sys.executable, "-m", "services.cli", "up", "--mock", "0"]
    up = subprocess.Popen(command, env=user_environment(home) | small, stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    try:
        said = []
        for line in up.stderr:
            said.append(line)
            if "router model has passed" in line or "does not serve" in line:
                break
        assert "has passed its gates and serves now" in said[-1], "".join(said)
        with psycopg.connect(home.postgres.url) as conn:
            versions = conn.execute("select version, status from models order by created_at").fetchall()
        assert [status for _, status in versions] == ["archived", "champion"]
        deadline = time.monotonic() + TIMEOUT_S
        while served(home) != versions[1][0]:
            assert time.monotonic() < deadline
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate()
    assert not home.running_file.exists()


def served(home: Home) -> str:
    """The version that the router answers with."""
    return httpx.get(f"http://127.0.0.1:{home.settings.router_http_port}/v2/models/router").json()["versions"][0]
