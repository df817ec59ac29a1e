"""The tickets API: who may read and review, and what a review changes."""

import json

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band, ScoredGroup
from services.core.kit import audit
from services.core.kit.database import build_pool
from services.worker import repository as worker
from tests.services.gateway.conftest import Keys
from tests.services.gateway.test_hooks import call, count, post

TOP = (ScoredGroup(group="Network", probability=0.7), ScoredGroup(group="Access", probability=0.2))


@pytest.fixture
async def reviewed(gateway: httpx.AsyncClient, database: str) -> int:
    """A ticket that waits for a review; Network is proposed, Network and Access exist."""
    await post(gateway, call(subject="VPN down"))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("insert into catalogue (kind, name) select 'group', unnest(array['Network', 'Access'])")
        conn.execute("update tickets set subject = 'VPN down', body = ''")
    decision = Decision(
        ticket_id="1", group="Network", confidence=0.7, band=Band.HUMAN_REVIEW, top3=TOP, reason="Below its threshold."
    )
    async with build_pool(database, min_size=1, max_size=1) as pool, pool.connection() as conn:
        await worker.record(conn, decision, "new:1")
    return 1


async def test_what_a_newer_version_decided_is_read_by_an_older_one(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """While an upgrade rolls out, and after a rollback, a decision may say more than this version knows."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("""update decisions set decision = decision || '{"mood": 1}' || jsonb_build_object('top3',
            (select jsonb_agg(one || '{"rank": 1}') from jsonb_array_elements(decision -> 'top3') one))""")
    page = await gateway.get("/api/tickets", headers=Keys.header(keys.viewer))
    one = await gateway.get(f"/api/tickets/{reviewed}", headers=Keys.header(keys.viewer))
    looked = await gateway.post("/api/tickets/lookup", headers=Keys.header(keys.viewer), json={"ids": [str(reviewed)]})
    [ticket], [found] = page.json()["tickets"], looked.json()
    [decision] = one.json()["decisions"]
    assert (page.status_code, one.status_code, looked.status_code) == (200, 200, 200)
    assert [one["decision"]["group"] for one in (ticket, found)] == ["Network", "Network"]
    assert (decision["group"], "mood" in decision) == ("Network", False)


@pytest.mark.parametrize("path", ["/api/tickets", "/api/tickets/1", "/api/reviews", "/api/status", "/api/dead-letters"])
async def test_nothing_is_read_without_a_key(gateway: httpx.AsyncClient, path: str) -> None:
    """Deny by default, with a header that says how to authenticate."""
    answer = await gateway.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_revoked_key_is_worth_nothing(gateway: httpx.AsyncClient, keys: Keys, database: str) -> None:
    """Revoking works at once."""
    assert (await gateway.get("/api/tickets", headers=Keys.header(keys.viewer))).status_code == 200
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update api_keys set revoked_at = now() where name = 'viewer'")
    assert (await gateway.get("/api/tickets", headers=Keys.header(keys.viewer))).status_code == 401


async def test_a_viewer_reads_but_does_not_review(gateway: httpx.AsyncClient, keys: Keys, reviewed: int) -> None:
    """Roles: reading is for viewers, reviewing for agents, replaying for admins."""
    viewer = Keys.header(keys.viewer)
    assert (await gateway.get(f"/api/tickets/{reviewed}", headers=viewer)).json()["decisions"][0]["group"] == "Network"
    assert (await gateway.post(f"/api/tickets/{reviewed}/review", json={}, headers=viewer)).status_code == 403
    assert (await gateway.get("/api/dead-letters", headers=Keys.header(keys.agent))).status_code == 403


async def test_accepting_writes_back_labels_and_audits(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """One letter under the review's key, one label, one audit entry; the chain stays whole."""
    answer = await gateway.post(f"/api/tickets/{reviewed}/review", json={}, headers=Keys.header(keys.agent))
    assert answer.json() == {"ticket_id": "1", "review": "accepted", "group": "Network", "number": 1}
    with psycopg.connect(database, row_factory=dict_row) as conn:
        assert conn.execute("select key, payload ->> 'group' as g from outbox").fetchall() == [
            {"key": "1:review", "g": "Network"}
        ]
        assert conn.execute('select "group", source, by from labels').fetchall() == [
            {"group": "Network", "source": "review", "by": "agent"}
        ]
        entries = conn.execute("select action from audit_log where subject = 'ticket/1'").fetchall()
        assert [row["action"] for row in entries] == ["review.accepted"]
        conn.execute(audit.LINK, (audit.LINK_MAX,))
        assert audit.verify(conn).is_intact


async def test_a_correction_is_told_apart_and_cannot_be_given_twice(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int
) -> None:
    """The second answer meets a closed review: 409."""
    path, agent = f"/api/tickets/{reviewed}/review", Keys.header(keys.agent)
    assert (await gateway.post(path, json={"group": "Access"}, headers=agent)).json()["review"] == "corrected"
    assert (await gateway.post(path, json={"group": "Network"}, headers=agent)).status_code == 409


async def test_an_invented_group_is_refused_with_the_ones_that_exist(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """422 names the catalogue; nothing is stored."""
    path = f"/api/tickets/{reviewed}/review"
    answer = await gateway.post(path, json={"group": "Netwrok"}, headers=Keys.header(keys.agent))
    assert (answer.status_code, "Network" in answer.json()["message"]) == (422, True)
    assert count(database, "labels") == 0


async def test_feedback_afterwards_is_a_label_and_nothing_else(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """Learnt from, not written back."""
    path = f"/api/tickets/{reviewed}/feedback"
    assert (await gateway.post(path, json={"group": "Access"}, headers=Keys.header(keys.agent))).status_code == 200
    assert (count(database, "labels"), count(database, "outbox")) == (1, 0)


async def test_pages_join_without_gap_or_overlap(gateway: httpx.AsyncClient, keys: Keys) -> None:
    """Newest first; `next_before` leads on until it is null."""
    for number in range(5):
        await post(gateway, call(f"A-{number}", subject="x"), f"d-{number}")
    seen, before = [], None
    while True:
        parameters = {"limit": 2} | ({"before": before} if before else {})
        page = (await gateway.get("/api/tickets", params=parameters, headers=Keys.header(keys.viewer))).json()
        seen += [ticket["id"] for ticket in page["tickets"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == ["5", "4", "3", "2", "1"]


async def test_replaying_makes_dead_letters_due_again(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """A dead write-back and a failed workflow are listed, replayed and audited."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "insert into outbox (key, kind, connector, ticket_id, payload, state, last_error, settled_at) "
            "values ('1:new', 'write', 'generic', 1, '{}', 'dead', 'ConnectorRejected: no', now())"
        )
        conn.execute("update dbos.workflow_status set status = 'ERROR'")
        conn.execute(
            "insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, error) "
            "values ('new:1', 1, 'prepare', 'boom')"
        )
    admin = Keys.header(keys.admin)
    listed = (await gateway.get("/api/dead-letters", headers=admin)).json()
    assert {letter["kind"] for letter in listed} == {"write", "workflow new_ticket"}
    assert (await gateway.post("/api/dead-letters/replay", json={}, headers=admin)).json() == {"replayed": 2}
    assert (await gateway.get("/api/dead-letters", headers=admin)).json() == []
    assert count(database, "dbos.operation_outputs") == 0  # else the engine would raise the kept error again


async def test_a_letter_that_keeps_failing_is_on_a_list(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """A system that answers 500 to one ticket for ever makes no dead letter: the list says why and how often."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "insert into outbox (key, kind, connector, ticket_id, payload, attempts, last_error) values "
            "('1:new', 'write', 'generic', 1, '{}', 40, 'ConnectorUnavailable: 500'), "
            "('1:fresh', 'write', 'generic', 1, '{}', 0, null)"
        )
    [waiting] = (await gateway.get("/api/waiting-letters", headers=Keys.header(keys.admin))).json()
    assert (waiting["attempts"], waiting["why"]) == (40, "ConnectorUnavailable: 500")
    assert (await gateway.get("/api/waiting-letters", headers=Keys.header(keys.agent))).status_code == 403


async def test_dead_letters_come_newest_first_and_page_by_page(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """Each once, though several share a moment; a page asked for by half a position is refused."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "insert into outbox (key, kind, connector, ticket_id, payload, state, last_error, settled_at) "
            "select n::text, 'write', 'generic', 1, '{}', 'dead', n::text, now() - make_interval(mins => n / 2) "
            "from generate_series(1, 1002) n"
        )
    admin, seen, after = Keys.header(keys.admin), list[str](), dict[str, str]()
    while page := (await gateway.get("/api/dead-letters", params={"limit": 500, **after}, headers=admin)).json():
        seen += [letter["why"] for letter in page]
        after = {"since": page[-1]["since"], "id": page[-1]["id"]}
    assert len(seen) == len(set(seen)) == 1002
    assert (seen[0], seen[-1]) == ("1", "1002")
    assert (await gateway.get("/api/dead-letters", params={"id": "1"}, headers=admin)).status_code == 422


async def test_an_answered_review_is_written_with_its_priority_and_what_was_seen(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """The same update as an automatic one: late, it gives way to what a person has changed."""
    seen = '{"stamp": "s1", "group": null, "priority": "low", "status": "new"}'
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('update decisions set decision = decision || \'{"priority": "high"}\'')
        conn.execute("update tickets set seen = %s", (seen,))
    await gateway.post(f"/api/tickets/{reviewed}/review", json={}, headers=Keys.header(keys.agent))
    with psycopg.connect(database) as conn:
        row = conn.execute("select payload ->> 'priority', payload -> 'seen' from outbox").fetchone()
    assert row == ("high", json.loads(seen))


async def test_a_review_of_a_shadow_decision_writes_nothing_back(
    gateway: httpx.AsyncClient, keys: Keys, reviewed: int, database: str
) -> None:
    """Shadow: the answer is learnt from, the customer's system stays untouched."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update decisions set decision = decision || '{\"shadow\": true}'")
    answer = await gateway.post(f"/api/tickets/{reviewed}/review", json={}, headers=Keys.header(keys.agent))
    assert answer.json()["review"] == "accepted"
    assert (count(database, "labels"), count(database, "outbox")) == (1, 0)
