"""The steps of design/runbooks/backup-and-restore.md, on a server with history and an audit chain in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.core.kit import audit
from services.local.postgres import EmbeddedPostgres, _binary
from tests.conftest import free_port
from tests.services.cli.test_audit import append, keep_head

COUNTS = """
select format('select %L, count(*) from %I.%I', table_schema || '.' || table_name, table_schema, table_name)
from information_schema.tables
where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
"""


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """Users belong to a whole server, so it is nobody else's."""
    postgres = EmbeddedPostgres(open_folder / "restore", free_port())
    postgres.start()
    yield postgres
    postgres.stop()


def run(url: str, objects: str, *command: str) -> str:
    given = os.environ | {"POINTSMAN_DATABASE_URL": url, "POINTSMAN_OBJECTS_URL": objects}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(url: str) -> dict[str, int]:
    """Rows of every table of every schema, the engine's own too."""
    with psycopg.connect(url) as conn:
        asked = [statement for (statement,) in conn.execute(COUNTS.encode()).fetchall()]
        return dict(row for statement in asked for row in conn.execute(statement.encode()).fetchall())


def test_a_dump_comes_back_whole_and_goes_on(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Dump, restore into another database, migrator, verify: every row, the chain, the users' rights."""
    url, objects, dump = server.url, f"file:{tmp_path}/objects", tmp_path / "pointsman.dump"
    restored = url.rsplit("/", 1)[0] + "/restored"
    python = (sys.executable, "-m")
    run(url, objects, *python, "services.migrator")
    run(url, objects, *python, "services.cli", "history", "import", "--mock", "40")
    with psycopg.connect(url, autocommit=True) as conn:
        append(conn, 5)
        keep_head(conn, objects)
    run(url, objects, _binary("pg_dump"), "--format=custom", "--no-owner", f"--file={dump}", url)

    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("create database restored")
    run(url, objects, _binary("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={restored}", str(dump))
    run(restored, objects, *python, "services.migrator")

    before, after = contents(url), contents(restored)
    assert after == before
    assert after["public.history"] == 40
    assert "agree" in run(restored, objects, *python, "services.cli", "audit", "verify")
    with psycopg.connect(restored, autocommit=True) as conn:
        conn.execute("set role gateway")
        assert conn.execute("select count(*) from tickets").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from raw.texts")
        conn.execute("reset role")
        append(conn, 1)
        assert audit.verify(conn).is_intact
