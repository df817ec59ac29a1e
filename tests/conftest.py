"""Shared fixtures: one embedded PostgreSQL for the whole run, one fresh migrated database per test that asks."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.core.kit.database import migrate
from services.local.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with public evaluation data; tests that measure on it are skipped without it."""
    folder = os.environ.get("POINTSMAN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("POINTSMAN_DATA does not name the folder with the evaluation datasets")
    return Path(folder)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running server of its own for this test run."""
    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, *folder.parents):  # pytest makes them 0700; the server's own user must pass
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    server = EmbeddedPostgres(folder, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that fresh ones are copied from: a copy takes tens of milliseconds, a migration seconds."""
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute("create database template_migrated")
    migrate(_with_database(postgres.url, "template_migrated"))
    return "template_migrated"


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The address of a fresh, migrated, empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}")
    yield _with_database(postgres.url, name)
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _with_database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"
