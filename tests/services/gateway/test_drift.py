"""Drift and performance by the API: what the rows say, and nothing invented."""

import random
from collections.abc import Sequence

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.core.contracts.prediction import Band
from services.core.drift import shifts
from tests.services.gateway.conftest import Keys
from tests.services.gateway.seed import GROUPS, add_groups, decision

NETWORK, IDENTITY, HARDWARE = "Network & VPN", "Identity & Access", "Workplace Hardware"
INSERT_TICKET = "insert into tickets (connector, external_id) values ('generic', %s) returning id"
INSERT_DECISION = """
insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, model_version, shadow, decided_at)
values (%s, %s, %s, %s, %s, %s, 'm1', false, now() - make_interval(days => %s))
"""
LABEL = "insert into labels (ticket_id, \"group\", source) values (%s, %s, 'close')"


def seed(database: str, rows: Sequence[tuple[str, float, Band, int, str | None]]) -> None:
    """(group, confidence, band, days ago, where it really belonged)."""
    with psycopg.connect(database, autocommit=True) as conn:
        for number, (group, confidence, band, days, actual) in enumerate(rows):
            found = conn.execute(INSERT_TICKET, (f"D-{number}",)).fetchone()
            assert found
            said = decision(group, confidence=confidence, band=band, latency_ms=100.0 + number)
            values = (found[0], f"new:{number}", Jsonb(said.model_dump(mode="json")), group, band, confidence, days)
            conn.execute(INSERT_DECISION, values)
            if actual:
                conn.execute(LABEL, (found[0], actual))


async def test_a_shift_is_found_and_named(gateway: httpx.AsyncClient, database: str, keys: Keys) -> None:
    """Last week all went to another group with less confidence; the month before is the reference."""
    chance = random.Random(3)
    before = [(NETWORK, chance.betavariate(8, 2), Band.AUTO_ROUTE, 10, None) for _ in range(80)]
    now = [(chance.choice(list(GROUPS)), chance.betavariate(3, 3), Band.HUMAN_REVIEW, 1, None) for _ in range(80)]
    seed(database, before + now)
    answer = await gateway.get("/monitoring/drift", headers=keys.header(keys.viewer))
    found = answer.raise_for_status().json()
    assert found["verdict"] == "shifted"
    assert [test["has_shifted"] for test in found["tests"]] == [True, True]
    assert found["before"]["groups"] == {NETWORK: 80}
    assert found["tests"][1]["effect"] < -shifts.SMALL_DELTA
    year = "/monitoring/drift?days=366&reference_days=366"
    wide = (await gateway.get(year, headers=keys.header(keys.viewer))).json()
    assert (wide["verdict"], wide["before"]["decisions"]) == ("too few decisions", 0)
    assert [test["has_shifted"] for test in wide["tests"]] == [None, None]


async def test_the_figures_are_counted_and_none_is_invented(
    gateway: httpx.AsyncClient, database: str, keys: Keys
) -> None:
    """Nothing decided: nothing claimed. Then 10 tickets of which 4 were judged, each figure worked out by hand."""
    empty = (await gateway.get("/stats", headers=keys.header(keys.viewer))).raise_for_status().json()
    assert (empty["tickets"], empty["accuracy"]["share"], empty["savings"]["hours"]) == (0, None, None)
    automatic = [(NETWORK, 0.9, Band.AUTO_ROUTE, 1, actual) for actual in (NETWORK, NETWORK, HARDWARE, *[None] * 5)]
    asked = [(IDENTITY, 0.5, Band.HUMAN_REVIEW, 1, IDENTITY), (IDENTITY, 0.2, Band.ESCALATE, 40, None)]
    seed(database, automatic + asked)
    found = (await gateway.get("/stats?minutes_saved=6", headers=keys.header(keys.viewer))).raise_for_status().json()
    assert found["bands"] == {"AUTO_ROUTE": 8, "HUMAN_REVIEW": 1, "ESCALATE": 0}
    assert found["accuracy"] == {"known": 4, "right": 3, "share": 0.75}
    assert found["accuracy_automatic"]["share"] == pytest.approx(2 / 3)
    assert found["savings"]["hours"] == round(8 * (6 * 2 / 3 - 4 / 3) / 60, 2)
    assert (found["latency_p50_ms"], found["automation_rate"]) == (104.0, pytest.approx(8 / 9))


async def test_without_a_worker_predictions_say_so(gateway: httpx.AsyncClient, database: str, keys: Keys) -> None:
    """503 with the setting to look at; feedback about nothing is a 404, about both a 422; a viewer may not ask."""
    add_groups(database)
    agent = keys.header(keys.agent)
    answer = await gateway.post("/predict", json={"title": "vpn"}, headers=agent)
    assert (answer.status_code, "POINTSMAN_WORKER_URL" in answer.json()["message"]) == (503, True)
    number = "00000000-0000-4000-8000-000000000000"
    said = {"group": NETWORK, "prediction_id": number}
    assert (await gateway.post("/feedback", json=said, headers=agent)).status_code == 404
    assert (await gateway.post("/feedback", json=said | {"ticket_id": 1}, headers=agent)).status_code == 422
    assert (await gateway.post("/predict", json={"title": " "}, headers=agent)).status_code == 422
    assert (await gateway.post("/predict", json={"title": "x"}, headers=keys.header(keys.viewer))).status_code == 403
