"""The prediction API on the running platform: predicted as a ticket would be, redacted, nothing kept."""

import httpx
import psycopg
import pytest

from services.core.kit.security import Role, create_key
from tests.platform import Platform

CANARY = "zzpredictzz0815"
TITLE = "vpn and wifi problem"
HELP = "Please help with dns and router"
TEXT = f"{HELP}. Jo Doe, jo.{CANARY}@example.com, card 4111 1111 1111 1111"


@pytest.fixture
def http(platform: Platform) -> httpx.Client:
    key = (platform.home.folder / "api_key").read_text().strip()
    return httpx.Client(base_url=platform.home.gateway_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def test_a_text_is_predicted_as_a_ticket_would_be_decided(platform: Platform, http: httpx.Client) -> None:
    """Group, confidence, action, three groups, hours from closed tickets; feedback by its id is counted."""
    with psycopg.connect(platform.home.postgres.url, autocommit=True) as conn:
        conn.execute(
            'insert into history (source, external_id, subject, body, "group", created_at, solved_at, content_hash) '
            "select 'sla', n::text, '', '', 'Network', now() - make_interval(hours => n), now(), n::text "
            "from generate_series(1, 41) n"
        )
    found = http.post("/predict", json={"title": TITLE, "description": HELP}).raise_for_status().json()
    assert (found["group"], found["action"], found["confidence_category"]) == ("Network", "AUTO_ROUTE", "high")
    assert (found["escalation_reason"], len(found["top3"])) == (None, 3)
    assert found["sla_hours"] == {"median": 21.0, "low": 5.0, "high": 37.0, "from_tickets": 41}
    before = http.get("/stats").json()["predictions_accuracy"]["known"]
    said = {"prediction_id": found["prediction_id"], "group": "Payroll"}
    taken = http.post("/feedback", json=said).raise_for_status().json()
    assert taken == {"was_right": False, "is_learnt_from": False}
    assert http.get("/stats").json()["predictions_accuracy"]["known"] == before + 1


def test_a_batch_keeps_its_order_and_its_bounds(http: httpx.Client) -> None:
    """One hundred and more in one call; 257 are refused; what no group fits is for a person, with the reason."""
    texts = [{"title": "salary and payslip", "description": "bonus"}, {"title": TITLE, "description": "dns"}] * 60
    found = http.post("/predict/batch", json={"questions": texts}).raise_for_status().json()["predictions"]
    assert [one["group"] for one in found] == ["Payroll", "Network"] * 60
    assert http.post("/predict/batch", json={"questions": texts[:1] * 257}).status_code == 422
    long = http.post("/predict/batch", json={"questions": [{"title": "vpn", "description": "x" * 1_000}] * 200})
    assert (long.status_code, "200000" in long.text) == (422, True)
    odd = http.post("/predict", json={"title": "xyzzy plugh"}).json()
    assert odd["action"] != "AUTO_ROUTE"
    assert odd["escalation_reason"]


def test_the_model_sees_redacted_text_and_nobody_keeps_it(platform: Platform, http: httpx.Client) -> None:
    """Words that would have been hidden change nothing in the answer; no table and no log holds them."""
    plain = http.post("/predict", json={"title": TITLE, "description": "Ask jo.doe@example.com"}).json()
    other = http.post("/predict", json={"title": TITLE, "description": f"Ask {CANARY}.x@example.org"}).json()
    assert plain["confidence"] == other["confidence"]  # both read: Ask <EMAIL_ADDRESS_1>
    http.post("/predict", json={"title": TITLE, "description": TEXT}).raise_for_status()
    logs = "".join(file.read_text(errors="replace") for file in platform.home.logs.glob("*.log"))
    assert CANARY not in logs
    named = "quote_ident(schemaname) || '.' || quote_ident(tablename)"
    tables = platform.rows(f"select {named} as name from pg_tables where schemaname in ('public', 'raw', 'dbos')")
    count = "select count(*) from {} t where t::text like %s"
    held = [t["name"] for t in tables if platform.value(count.format(t["name"]), f"%{CANARY}%")]
    assert held == []


def test_the_workers_own_door_asks_for_a_key(platform: Platform) -> None:
    """Without one, with a wrong one, and with a viewer's, it answers as the gateway does."""
    url = f"http://127.0.0.1:{platform.home.settings.worker_port}/predict"
    body = {"questions": [{"title": TITLE}]}
    with psycopg.connect(platform.home.postgres.url, autocommit=True) as conn:
        viewer = create_key(conn, name="looks", role=Role.VIEWER)
    assert httpx.post(url, json=body).status_code == 401
    assert httpx.post(url, json=body, headers={"X-API-Key": "pm_no_no"}).status_code == 401
    assert httpx.post(url, json=body, headers={"X-API-Key": viewer}).status_code == 403
