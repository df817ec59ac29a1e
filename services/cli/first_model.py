"""
A first router for a platform that has none: learnt from its own history, or from mock history when that is empty.

The first one keeps the encoder as it comes, so that tickets flow within a minute or so; the fine-tuned one is trained
behind it, must pass the same gates as any candidate, and takes over while tickets flow.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import psycopg

from services.core.kit.errors import PointsmanError
from services.local.home import Home
from services.local.mock.catalogue import company
from services.local.mock.tickets import MOCK_SOURCE
from services.local.platform import Running
from services.local.processes import remember, stop_process

MOCK_HISTORY = 1500  # enough for twelve groups
JOB = "trainer"
TUNE_ROWS_MIN = 240  # with the held-out part taken off, what the trainer fine-tunes from
STILL_FIRST = """
select 1 from models where status = 'champion' and manifest ->> 'encoder' = 'frozen'
and (select count(*) from (select 1 from history where "group" <> '' limit %(rows)s) enough) = %(rows)s
"""


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
        if not is_own:
            describe_mock_groups(conn)
    started = time.monotonic()
    if not is_own:
        say(f"No router model yet: learning a first one from {MOCK_HISTORY} mock tickets (about a minute, once).")
        _run(home, "services.cli", "history", "import", "--mock", str(MOCK_HISTORY))
    _run(home, "services.trainer", "--promote", "--encoder", "frozen")
    say(f"The first router model is ready after {time.monotonic() - started:.0f} s.")


def improve_first_model(running: Running, say: Callable[[str], None]) -> None:
    """Fine-tunes behind the running platform where the first model still serves and there is enough to learn from."""
    with psycopg.connect(running.home.postgres.url) as conn:
        first = conn.execute(STILL_FIRST, {"rows": TUNE_ROWS_MIN}).fetchone()
    if first is None:
        return

    def tell(code: int) -> None:
        if code == 0:
            say("The fine-tuned router model has passed its gates and serves now.")
        else:
            say(
                f"The fine-tuned router model does not serve; the first one goes on. Why: {running.home.logs / JOB}.log"
            )

    say("A fine-tuned router model is trained meanwhile; it takes over when it passes its gates (some ten minutes).")
    running.supervisor.start_job(JOB, "services.trainer", "--promote", "--progress", "json", ended=tell)


def has_own_history(conn: psycopg.Connection) -> bool:
    """Whether there are closed tickets but mock ones, which may be the part that an interrupted first start left."""
    found = conn.execute("select 1 from history where source <> %s limit 1", (MOCK_SOURCE,))
    return found.fetchone() is not None


def describe_mock_groups(conn: psycopg.Connection) -> None:
    """The mock company's teams, with levels: a company's own groups are described by its administrators."""
    rows = [(group.name, group.description, group.support_level, rank) for rank, group in enumerate(company().groups)]
    conn.cursor().executemany(
        "insert into catalogue (kind, name, description, support_level, rank) values ('group', %s, %s, %s, %s)"
        " on conflict do nothing",
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
