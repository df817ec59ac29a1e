"""Shared fixtures: one embedded PostgreSQL for the whole run, one fresh migrated database per test that asks."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from services.core.kit.database import migrate
from services.local.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from tests.platform import Platform


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with public evaluation data; tests that measure on it are skipped without it."""
    folder = os.environ.get("POINTSMAN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("POINTSMAN_DATA does not name the folder with the evaluation datasets")
    return Path(folder)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """
    A folder that every user can reach, gone after the run: under root PostgreSQL is another user.

    Not pytest's own: a second run sets the mode of their common parent back while the first still uses it.
    """
    folder = Path(tempfile.mkdtemp(prefix="pointsman-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running server of its own for this test run."""
    server = EmbeddedPostgres(open_folder / "postgres", free_port())
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


@pytest.fixture(scope="session")
def platform(open_folder: Path) -> Iterator["Platform"]:
    """All containers as real processes for the tests that share them; each test brings tickets of its own."""
    from tests.platform import run_platform

    with run_platform(open_folder / "platform") as running:
        yield running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _with_database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"
