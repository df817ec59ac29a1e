"""A gateway in this process over its real ASGI interface, on a fresh database; a key for each role."""

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser
from pydantic import SecretStr

from services.core.connectors.registry import ConnectorsSettings
from services.core.kit.security import Role, create_key
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from tests.services.gateway.browser import chromium

SECRET = SecretStr("whsec_" + base64.b64encode(b"0" * 32).decode())
MAX_BODY_BYTES = 20_000


@dataclass(frozen=True)
class Keys:
    viewer: str
    agent: str
    admin: str

    @staticmethod
    def header(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; each test opens pages of its own in it."""
    with chromium() as started:
        yield started


@pytest.fixture
def keys(database: str) -> Iterator[Keys]:
    with psycopg.connect(database, autocommit=True) as conn:
        yield Keys(*(create_key(conn, name=role.name.lower(), role=role) for role in Role))


@pytest.fixture
def settings(database: str, tmp_path: Path) -> GatewaySettings:
    names = ("desk", "generic", "zendesk")
    connectors = ConnectorsSettings.model_validate({name: {"secrets": (SECRET,)} for name in names})
    return GatewaySettings(
        database_url=SecretStr(database),
        objects_url=f"file:{tmp_path}/objects",
        connectors=connectors,
        max_body_bytes=MAX_BODY_BYTES,
        router_url="http://127.0.0.1:9",  # nothing listens there: the gateway must not need the router
        worker_url="http://127.0.0.1:9",
    )


@pytest.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test") as client,
    ):
        yield client
