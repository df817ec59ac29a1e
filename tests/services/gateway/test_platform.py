"""What operators and balancers ask of the gateway."""

import httpx
import pytest


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
