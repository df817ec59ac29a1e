"""Migrating: two containers that start together, and again when nothing is new."""

import secrets
import subprocess
import sys

import psycopg

from services.local.postgres import EmbeddedPostgres

CODE = "import sys; from services.core.kit.database import migrate; migrate(sys.argv[1])"


def test_two_processes_that_migrate_a_fresh_database_at_once_both_end(postgres: EmbeddedPostgres) -> None:
    """The one that waits holds nothing open: the engine's concurrent index builds would wait for it for ever."""
    name = f"fresh_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"create database {name}".encode())
    url = postgres.url.rsplit("/", 1)[0] + f"/{name}"
    running = [subprocess.Popen([sys.executable, "-c", CODE, url]) for _ in range(2)]
    assert [process.wait(90) for process in running] == [0, 0]
    with psycopg.connect(url) as conn:
        assert conn.execute("select version_num from schema_version").fetchone() == ("0001",)
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)".encode())
