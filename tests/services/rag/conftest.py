"""The real container as a process, with documents, over real HTTP."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from obstore.store import LocalStore
from psycopg import AsyncConnection

from services.core.search.encoder import FILES, FOLDER, TextEncoder
from services.core.search.indexing import Source, index_store
from services.local.postgres import EmbeddedPostgres
from services.trainer.text_encoder import put_encoder
from tests.conftest import free_port, fresh_database

TIMEOUT_S = 180.0  # a machine that eight test runs share; tests go on as soon as they can
PAGES = {
    "vpn": "# Connect to the VPN\n\nOpen the Harbour client and choose Sign in. Approve the prompt on your phone. "
    "The session ends after 10 hours.",
    "password": "# Reset a password\n\nOpen the account portal and choose Forgot password. A code arrives by text.",
    "printer": "# Add a printer\n\nOpen Settings, choose Printers and select the printer of your floor.",
    "laptop": "# Replace a laptop\n\nA laptop is replaced after four years. Ask your manager to approve the request.",
}
SECRET_PAGE = "# Salary bands\n\nThe salary band of a senior engineer begins at 71,000 crowns."


@dataclass
class Rag:
    """A running container; `kill` and `start` are a crash and a restart."""

    database: str
    objects: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = os.environ | {
            "POINTSMAN_DATABASE_URL": self.database,
            "POINTSMAN_OBJECTS_URL": f"file://{self.objects}",
            "POINTSMAN_RAG_PORT": str(self.port),
            "POINTSMAN_RAG_PUBLIC": "true",
            "POINTSMAN_RAG_INDEX_CASES": "true",
            "POINTSMAN_RAG_POLL_S": "0.2",
            "POINTSMAN_BODY_TIMEOUT_S": "1",
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        with (self.objects / "rag.log").open("ab") as log:
            command = [sys.executable, "-m", "services.rag"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.wait(lambda: httpx.get(f"{self.url}/health", timeout=5).is_success, "the container")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def rows(self, query: str, *values: object) -> list[tuple]:
        with psycopg.connect(self.database, autocommit=True) as conn:
            return conn.execute(query.encode(), values).fetchall()

    def wait(self, claim: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                if claim():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"not in time: {what}\n{(self.objects / 'rag.log').read_text()[-3000:]}"
            time.sleep(0.05)  # polling another process: there is no event to wait on


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    put_encoder(LocalStore(str(folder)))
    assert all((folder / FOLDER / name).exists() for name in FILES)
    return folder


async def index_pages(database: str, encoder: TextEncoder, folder: Path) -> None:
    """PAGES for everybody, and one page for the group hr."""
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    (folder / "hr").mkdir()
    (folder / "hr" / "salary.md").write_text(SECRET_PAGE, "utf-8")
    async with await AsyncConnection.connect(database, autocommit=True) as conn:
        await index_store(conn, encoder, LocalStore(str(folder / "hr")), Source("hr", ("hr",)))
        (folder / "hr" / "salary.md").unlink()
        await index_store(conn, encoder, LocalStore(str(folder)), Source("docs", base_url="https://help.example"))


def running_rag(
    postgres: EmbeddedPostgres, template: str, objects: Path, encoder: TextEncoder, folder: Path, **settings: str
) -> Iterator[Rag]:
    """For fixtures of a scope of their own: a container on a database of its own, with the pages."""
    for url in fresh_database(postgres, template):
        asyncio.run(index_pages(url, encoder, folder))
        running = Rag(url, objects, environment=settings)
        running.start()
        yield running
        running.kill()


@pytest.fixture(scope="session")
def shared(
    postgres: EmbeddedPostgres,
    template: str,
    objects: Path,
    text_encoder: TextEncoder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Rag]:
    yield from running_rag(postgres, template, objects, text_encoder, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def rag(shared: Rag) -> Rag:
    """One container for all that need nothing of their own; tests bring conversations and subjects of their own."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start()
    return shared
