"""A gateway whose database has another revision, or another owner, than it needs."""

import secrets
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from services.core.kit import databases, schema
from services.core.kit.database import migrate
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from services.local.postgres import EmbeddedPostgres
from tests.services.gateway.test_hooks import call, post


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database that was never migrated."""
    name = f"empty_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield databases.address(postgres.url, name)
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.mark.parametrize(("revision", "has"), [("", "was never migrated"), ("0001", "is at revision 0001")])
async def test_health_names_the_revision_and_the_command(
    settings: GatewaySettings, empty: str, revision: str, has: str
) -> None:
    """Senders are told to repeat, operators what to type; after it everything works without a restart."""
    if revision:
        migrate(empty, to=revision)
    app = build_app(settings.model_copy(update={"database_url": SecretStr(empty)}))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        health = await client.get("/health")
        assert health.status_code == 503
        assert health.json()["problem"] == (
            f"The database {has}, this version needs revision {schema.NEEDED}. Run: pointsman database migrate"
        )
        assert (await post(client, call(subject="x"))).status_code == 503
        migrate(empty)
        assert (await client.get("/health")).json()["problem"] is None
        assert (await post(client, call(subject="x"))).status_code == 202


async def test_a_pool_never_lends_another_companys_database(settings: GatewaySettings) -> None:
    """A gateway that started before its database refuses it when it comes: nothing is stored there."""
    app = build_app(settings.model_copy(update={"company": "globex"}))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        assert (await post(client, call(subject="x"))).status_code == 503
    with psycopg.connect(settings.database_url.get_secret_value()) as conn:
        assert conn.execute("select 1 from deliveries").fetchone() is None
