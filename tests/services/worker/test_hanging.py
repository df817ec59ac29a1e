"""A ticketing system that hangs: the tickets of the others go on, its own wait, and everybody can see it."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr

from services.worker.settings import WorkerSettings
from tests.platform import Platform
from tests.services.worker.test_workflows import NETWORK, open_and_triage
from tests.signing import sign_zendesk

SLOTS = WorkerSettings.model_fields["worker_concurrency"].default
TICKETS = SLOTS + 8  # more than its lane holds: some wait in the queue
TEXT = {"subject": "vpn and wifi problem", "comment": {"body": "Please help with dns and router"}}
DECIDED = """
select count(*) from decisions d join tickets t on t.id = d.ticket_id
where t.connector = 'zendesk' and t.external_id = any(%s)
"""
UNDER_WAY = """
select count(*) from dbos.workflow_status w join tickets t on w.workflow_uuid = 'new:' || t.id
where t.connector = 'zendesk' and w.status = 'PENDING'
"""
DEAD = "select count(*) from outbox where state = 'dead' and connector = 'zendesk' and created_at > %s"


def open_in_zendesk(platform: Platform) -> str:
    answer = platform.zendesk.post("/api/v2/tickets.json", json={"ticket": TEXT}).raise_for_status()
    return str(answer.json()["ticket"]["id"])


async def tell_created(platform: Platform, external_ids: list[str]) -> None:
    """Thin, as Zendesk tells it: the text has to be fetched."""
    secret = SecretStr(platform.home.secrets["zendesk"])
    async with httpx.AsyncClient(base_url=platform.home.gateway_url, timeout=60) as http:
        for external_id in external_ids:
            event: dict[str, Any] = {"id": str(uuid.uuid4()), "type": "zen:event-type:ticket.created", "event": {}}
            event |= {"detail": {"id": external_id}, "time": datetime.now(UTC).isoformat()}
            body = json.dumps(event).encode()
            headers = sign_zendesk(secret, body, now=datetime.now(UTC))
            (await http.post("/hooks/zendesk", content=body, headers=headers)).raise_for_status()


def health(platform: Platform) -> dict[str, Any]:
    return httpx.get(f"{platform.home.gateway_url}/health", timeout=60).json()


def health_of_zendesk(platform: Platform) -> dict[str, Any] | None:
    return next((one for one in health(platform)["silent_systems"] if one["system"] == "zendesk"), None)


async def test_a_hanging_system_holds_up_no_others_tickets(platform: Platform) -> None:
    """
    More of its tickets than a lane has places; a desk ticket passes them all. They wait where everybody can see it,
    and when it answers again each is decided once, and nothing is dead.
    """
    ours = [open_in_zendesk(platform) for _ in range(TICKETS)]
    began = datetime.now(UTC)
    with platform.hanging_zendesk():
        await tell_created(platform, ours)
        platform.wait_until(lambda: platform.value(UNDER_WAY) >= SLOTS, "a full lane")
        await open_and_triage(platform, NETWORK)
        assert platform.value(DECIDED, ours) == 0
        platform.wait_until(
            lambda: (health_of_zendesk(platform) or {}).get("tickets_waiting") == TICKETS, "the waiting"
        )
        assert health(platform)["status"] == "degraded"
        await open_and_triage(platform, NETWORK)
        assert platform.value(DECIDED, ours) == 0
    platform.wait_until(lambda: platform.value(DECIDED, ours) == TICKETS, "every ticket's decision")
    platform.wait_until(lambda: health_of_zendesk(platform) is None, "health")
    assert platform.value(DEAD, began) == 0
