"""A first router for a platform that has none: learnt from its own history, or from mock history when that is empty."""

import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import psycopg

from services.core.kit.errors import PointsmanError
from services.local.home import Home
from services.local.mock.catalogue import labels
from services.local.mock.tickets import MOCK_SOURCE
from services.local.processes import remember, stop_process

MOCK_HISTORY = 1500  # enough for twelve groups, and under three minutes on two cores with everything (2026-11)
FIRST_BUDGET = ("--budget-s", "75")  # a newcomer waits; the next training takes its time


def ensure_model(home: Home, say: Callable[[str], None]) -> None:
    """
    Trains and promotes a model unless one is in service.

    Raises:
        PointsmanError: the training failed; its own message is above.
    """
    with psycopg.connect(home.postgres.url) as conn:
        if conn.execute("select 1 from models where status = 'champion'").fetchone():
            return
        is_own = has_own_history(conn)
    started = time.monotonic()
    if not is_own:
        say(f"No router model yet: learning one from {MOCK_HISTORY} mock tickets (a few minutes, once).")
        _describe_mock_groups(home)
        _run(home, "services.cli", "history", "import", "--mock", str(MOCK_HISTORY))
    _run(home, "services.trainer", "--promote", *(() if is_own else FIRST_BUDGET))
    say(f"The first router model is ready after {time.monotonic() - started:.0f} s.")


def has_own_history(conn: psycopg.Connection) -> bool:
    """Whether there are closed tickets but mock ones, which may be the part that an interrupted first start left."""
    found = conn.execute("select 1 from history where source <> %s limit 1", (MOCK_SOURCE,))
    return found.fetchone() is not None


def _describe_mock_groups(home: Home) -> None:
    """The mock company's label catalogue: a company's own groups get their descriptions from its administrators."""
    rows = [(label.name, label.description, rank) for rank, label in enumerate(labels())]
    with psycopg.connect(home.postgres.url) as conn:
        conn.cursor().executemany(
            "insert into catalogue (kind, name, description, rank) values ('group', %s, %s, %s) on conflict do nothing",
            rows,
        )


def _run(home: Home, module: str, *arguments: str) -> None:
    """Runs it to its end; a start after kill -9 of this process finds it in `running.json`."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, env=home.environment(), stdout=subprocess.DEVNULL)
    remember(home, [process.pid])
    try:
        code = process.wait()
    finally:
        stop_process(psutil.Process(process.pid) if process.poll() is None else None)
        remember(home, [])
    if code != 0:
        raise PointsmanError(f"`python -m {module} {' '.join(arguments)}` failed; its message is above.")
