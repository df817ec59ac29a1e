"""What operators and balancers ask of the gateway."""

from pathlib import Path

import httpx
import psycopg
import pytest

from services.core.models.manifest import read_manifest
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings
from tests.services.router.conftest import start
from tests.services.trainer.bundles import small_bundle


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_metrics_are_not_told_to_who_comes_through_a_proxy(gateway: httpx.AsyncClient, header: str) -> None:
    """Groups and volumes are a company's own; a rule for the path alone is got round by spelling it `/%6Detrics`."""
    for path in ("/metrics", "/%6Detrics"):
        assert (await gateway.get(path)).status_code == 200
        assert (await gateway.get(path, headers={header: "203.0.113.9"})).status_code == 404


async def test_metrics_tell_of_the_whole_platform(gateway: httpx.AsyncClient) -> None:
    """Alerts are made of these: a router and workers that are away are no gap in the figures."""
    lines = (await gateway.get("/metrics")).text.splitlines()
    wanted = {
        'pointsman_dependency_up{dependency="database"} 1.0',
        'pointsman_dependency_up{dependency="router"} 0.0',
        'pointsman_dependency_up{dependency="worker"} 0.0',
        "pointsman_workers 0.0",
        "pointsman_waiting_tickets 0.0",
        "pointsman_outbox_pending_letters 0.0",
        "pointsman_dead_letters 0.0",
    }
    assert wanted <= set(lines)


async def test_health_tells_what_the_router_serves_and_that_it_is_not_the_champion(
    settings: GatewaySettings, database: str, tmp_path: Path
) -> None:
    """A champion that the router could not load is not what answers; one that it is about to load is no trouble yet."""
    serving = read_manifest(small_bundle()).model_version
    process, router = start(tmp_path / "log", "--model-dir", str(small_bundle()))
    try:
        app = build_app(settings.model_copy(update={"router_url": router.http}))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test") as client,
        ):
            with psycopg.connect(database, autocommit=True) as conn:
                conn.execute("insert into executors values ('worker-0', now() + interval '1 h')")
                conn.execute(
                    "insert into models (version, status, uri, manifest, metrics)"
                    " values ('m2', 'archived', '', '{}', '{}')"
                )
                conn.execute("select model_serve('m2', true, '')")
                soon = (await client.get("/health")).json()
                conn.execute("update models set serving_since = now() - interval '2 min'")
                other = (await client.get("/health")).json()
                conn.execute("update models set version = %s", (serving,))
                well = (await client.get("/health")).json()
    finally:
        process.terminate()
        process.wait()
    assert (soon["status"], soon["model_version"], soon["model_served"]) == ("ok", "m2", serving)
    assert f"until then {serving} answers" in soon["note"]
    assert (other["status"], "could not load m2" in other["note"]) == ("degraded", True)
    assert (other["status"], other["model_version"], other["model_served"]) == ("degraded", "m2", serving)
    assert (well["status"], well["note"], well["model_served"]) == ("ok", None, serving)
