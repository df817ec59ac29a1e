"""A server whose users the migrator has made."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from services.local.postgres import EmbeddedPostgres
from tests.conftest import free_port
from tests.doorman import trust_this_machine


@dataclass(frozen=True)
class Server:
    postgres: EmbeddedPostgres

    @property
    def url(self) -> str:
        """The administrator's."""
        return self.postgres.url

    def of(self, user: str) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.postgres.port}/pointsman"

    def migrate(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """`python -m services.migrator`, as its job runs it."""
        environment = os.environ | {"POINTSMAN_DATABASE_URL": self.url} | settings
        return subprocess.run(
            [sys.executable, "-m", "services.migrator"],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def run(self, user: str, statement: str) -> list[tuple]:
        with psycopg.connect(self.of(user), autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server(open_folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Of its own: users belong to a whole server."""
    postgres = EmbeddedPostgres(open_folder / f"migrator-{request.module.__name__.rpartition('.')[2]}", free_port())
    postgres.start()
    trust_this_machine(postgres)
    made = Server(postgres)
    done = made.migrate()
    assert done.returncode == 0, done.stderr
    yield made
    postgres.stop()
