"""One Dovecot for all, a mailbox of its own for each test."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller

from services.core.kit.database import build_pool
from services.local.postgres import EmbeddedPostgres
from services.local.systems.dovecot import MailServer
from tests.conftest import free_port, fresh_database
from tests.services.core.connectors.email.post import Post, System

USERS = itertools.count(1)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def smtp_port(post: Post) -> Iterator[int]:
    server = Controller(post, hostname="127.0.0.1", port=free_port())
    server.start()
    yield server.port
    server.stop()


@pytest.fixture(scope="package")
def shared_database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """Each mailbox has its own rows."""
    yield from fresh_database(postgres, template)


@pytest_asyncio.fixture
async def system(dovecot: MailServer, post: Post, smtp_port: int, shared_database: str) -> AsyncIterator[System]:
    async with build_pool(shared_database, min_size=1, max_size=4) as pool:
        yield System(dovecot, f"help-{next(USERS)}", post, smtp_port, pool)
