"""The router and the registry: not ready before the first champion, then each new one, without a lost request."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from services.core.kit.objects import open_store
from services.core.models import registry
from tests.services.router.conftest import Router, start, wait_until
from tests.services.router.test_server import INFER, TEXTS, request
from tests.services.trainer.bundles import other_bundle, small_bundle


@pytest.fixture
def following(database: str, tmp_path: Path):
    log = tmp_path / "log"
    process, router = start(
        log,
        POINTSMAN_DATABASE_URL=database,
        POINTSMAN_OBJECTS_URL=f"file://{tmp_path}/objects",
        POINTSMAN_ROUTER_CACHE_DIR=str(tmp_path / "cache"),
        POINTSMAN_ROUTER_POLL_S="0.1",
    )
    yield process, router
    process.terminate()
    assert process.wait(20) == 0, log.read_text()


def version_served(router: Router) -> str | None:
    response = httpx.post(router.http + INFER, json=request(TEXTS[:1]))
    return response.json()["model_version"] if response.status_code == 200 else None


def test_new_champion_takes_over_under_load(
    following: tuple[subprocess.Popen[bytes], Router], database: str, tmp_path: Path
):
    """503 until there is a champion; while requests keep coming the next one takes over, and back: none fails."""
    process, router = following
    assert httpx.get(router.http + "/v2/health/ready").status_code == 503
    assert httpx.get(router.http + "/v2/models/router/ready").status_code == 503
    refused = httpx.post(router.http + INFER, json=request(TEXTS[:1]))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")

    with psycopg.connect(database, autocommit=True) as conn:
        store = open_store(f"file://{tmp_path}/objects")
        first = registry.register(conn, store, small_bundle())
        second = registry.register(conn, store, other_bundle())
        registry.promote(conn, first)
        wait_until(lambda: httpx.get(router.http + "/v2/health/ready").status_code == 200, process, router.log)
        assert version_served(router) == first

        def ask_until(wanted: str) -> set[str | None]:
            seen: set[str | None] = set()
            with httpx.Client() as client:
                while wanted not in seen:
                    response = client.post(router.http + INFER, json=request(TEXTS), timeout=30)
                    seen.add(response.json()["model_version"] if response.status_code == 200 else None)
            return seen

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_until, second) for _ in range(4)]
            registry.promote(conn, second)
            assert set().union(*(asked.result(60) for asked in asking)) <= {first, second}
            asking = [pool.submit(ask_until, first) for _ in range(4)]
            assert registry.rollback(conn, store) == first
            assert set().union(*(asked.result(60) for asked in asking)) <= {first, second}


def test_database_gone_leaves_the_model_in_service(
    following: tuple[subprocess.Popen[bytes], Router], database: str, tmp_path: Path
):
    """A registry that no longer answers is said once in the log; the router goes on routing."""
    process, router = following
    with psycopg.connect(database, autocommit=True) as conn:
        version = registry.register(conn, open_store(f"file://{tmp_path}/objects"), small_bundle())
        registry.promote(conn, version)
        wait_until(lambda: version_served(router) == version, process, router.log)
        conn.execute("alter table models rename to models_gone")
    wait_until(lambda: "router.champion.unavailable" in router.log.read_text().split(version)[-1], process, router.log)
    assert version_served(router) == version
