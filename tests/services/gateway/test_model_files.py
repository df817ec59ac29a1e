"""Promotion and rollback in the console over a real router: what no router could load is refused, and says why."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest

from services.core.kit.objects import open_store
from services.core.models import registry
from services.core.models.manifest import read_manifest, write_manifest
from services.core.models.registry import Gate
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_console import HTMX, as_
from tests.services.gateway.test_models import champion
from tests.services.gateway.test_review_queue import rows
from tests.services.router.conftest import Router, start
from tests.services.trainer.bundles import other_bundle


@pytest.fixture
def versions(database: str, tmp_path: Path) -> tuple[str, str]:
    """Two registered versions that passed their gates; the first serves."""
    with psycopg.connect(database, autocommit=True) as conn:
        store = open_store(f"file://{tmp_path}/objects")
        first, second = (registry.register(conn, store, folder) for folder in (other_bundle(), _renamed(tmp_path)))
        for version in (first, second):
            registry.record_gates(conn, version, [Gate("macro_f1", True, "0.9")])
        registry.promote(conn, first)
    return first, second


def _renamed(folder: Path) -> Path:
    """The same model as another version."""
    made = Path(shutil.copytree(other_bundle(), folder / "renamed"))
    write_manifest(made, read_manifest(made).model_copy(update={"model_version": "another"}))
    return made


@pytest.fixture
def router(database: str, tmp_path: Path):
    process, router = start(
        tmp_path / "log",
        POINTSMAN_DATABASE_URL=database,
        POINTSMAN_OBJECTS_URL=f"file://{tmp_path}/objects",
        POINTSMAN_ROUTER_CACHE_DIR=str(tmp_path / "cache"),
    )
    yield process, router
    process.terminate()
    process.wait()


@pytest.fixture
async def gateway(settings: GatewaySettings, router: tuple[object, Router]) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(settings.model_copy(update={"router_url": router[1].http, "objects_url": "file:/nowhere"}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client,
    ):
        yield client


async def test_what_no_router_could_load_is_neither_promoted_nor_gone_back_to(
    gateway: httpx.AsyncClient, keys: Keys, versions: tuple[str, str], router, database: str, tmp_path: Path
) -> None:
    """The page names the file; whole again, it serves. Without a router nothing is promoted, but the way back is."""
    first, second = versions

    async def post(path: str, version: str) -> tuple[int, str]:
        answer = await gateway.post(f"/models/{path}", data={"version": version}, headers=as_(keys.admin, HTMX))
        return answer.status_code, answer.text

    file = tmp_path / "objects" / "models" / second / "encoder.onnx"
    whole = file.read_bytes()
    file.unlink()
    status, page = await post("promote", second)
    assert (status, f"lacks models/{second}/encoder.onnx" in page, champion(database)) == (409, True, first)
    file.write_bytes(whole[:-1] + b"x")
    status, page = await post("promote", second)
    assert (status, f"checksum differs in models/{second}/encoder.onnx" in page, champion(database)) == (
        409,
        True,
        first,
    )
    file.write_bytes(whole)
    assert (await post("promote", second))[0] == 200
    assert champion(database) == second

    (tmp_path / "objects" / "models" / first / "manifest.json").unlink()
    status, page = await post("rollback", second)
    assert (status, "manifest.json" in page, champion(database)) == (409, True, second)

    process, _ = router
    process.terminate()
    process.wait()
    status, page = await post("rollback", second)
    assert (status, "does not say whether" in page, champion(database)) == (200, True, first)
    (entry,) = rows(database, "select detail from audit_log where action = 'model.rolled_back'")
    assert "does not say" in entry["detail"]["unlooked"]
    status, page = await post("promote", second)
    assert (status, "pointsman models promote" in page, champion(database)) == (503, True, first)


def test_a_router_tells_of_any_registered_version_and_of_no_other(
    versions: tuple[str, str], router, tmp_path: Path
) -> None:
    """Nothing of it is kept, and what it serves goes on."""
    _, served = router
    where = f"{served.http}/v2/models/router/versions"
    assert httpx.get(f"{where}/{versions[1]}/stored", timeout=60).json() == {"version": versions[1], "problem": ""}
    assert httpx.get(f"{where}/nobody/stored").status_code == 404
    assert httpx.get(f"{where}/a%00b/stored").status_code == 422
    assert httpx.post(f"{where}/{versions[1]}/stored").status_code == 405
    assert not (tmp_path / "cache" / versions[1]).exists()
