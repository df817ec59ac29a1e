"""The running worker links what was written and keeps the chain's head outside the database by itself."""

import hashlib

import httpx

from services.core.kit import anchors
from services.core.kit.objects import open_store
from services.core.models.texts import join_text
from tests.platform import Platform
from tests.services.worker.test_workflows import NETWORK, decisions, open_and_triage, ticket_row


async def test_the_worker_keeps_heads_in_the_object_store(platform: Platform) -> None:
    """An anchor for an entry that is in the chain, and the chain agrees with all of them."""
    await open_and_triage(platform, NETWORK)
    store = open_store(platform.home.environment()["POINTSMAN_OBJECTS_URL"])
    company = platform.home.environment().get("POINTSMAN_COMPANY", "default")
    platform.wait_until(lambda: bool(anchors.kept(store, company)), "an anchor")
    done = platform.cli("audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "anchors outside the table agree" in done.stdout


async def test_the_worker_links_and_tells_how_far_behind_it_is(platform: Platform) -> None:
    """The decision's entry gets its number and hash; nothing waits then, and the metrics say so."""
    ticket = ticket_row(platform, "desk", await open_and_triage(platform, NETWORK))
    linked = "select count(*) from audit where action = 'ticket.decided' and subject = %s and hash <> ''"
    platform.wait_until(lambda: platform.value(linked, f"ticket/{ticket['id']}") == 1, "the link")
    metrics = f"http://127.0.0.1:{platform.home.settings.worker_metrics_port}/metrics"
    platform.wait_until(
        lambda: (
            {"pointsman_audit_pending_entries 0.0", "pointsman_audit_pending_seconds 0.0"}
            <= set(httpx.get(metrics).text.splitlines())
        ),
        "metrics of a chain without a lag",
    )


async def test_a_decision_names_the_hash_of_what_was_read(platform: Platform) -> None:
    """The redacted text that the models were given can be shown to be the one that was decided upon."""
    external_id = await open_and_triage(platform, NETWORK)
    ticket = ticket_row(platform, "desk", external_id)
    assert decisions(platform, "desk", external_id)
    (entry,) = platform.rows(
        "select detail from audit_log where action = 'ticket.decided' and subject = %s", f"ticket/{ticket['id']}"
    )
    read = join_text(ticket["subject"], ticket["body"])
    assert entry["detail"]["input_sha256"] == hashlib.sha256(read.encode()).hexdigest()
