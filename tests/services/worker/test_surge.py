"""Surges: alike tickets that come at once make one incident, which grows; what comes every day makes none."""

import random
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import psycopg
import pytest

from services.core.contracts.surge import SurgeRules
from services.core.drift.surges import alike, p_max, poisson_tail
from services.core.kit.database import Pool
from services.core.models.client import RouterClient
from services.worker import repository
from services.worker.notify.announce import announce_once
from services.worker.surge import look_once
from tests.services.worker.conftest import EmbeddingRouter as Router
from tests.services.worker.test_notices import letters, settings

NOW = datetime.now(UTC).replace(microsecond=0)
TOPICS = [f"{word}{n}" for n in range(60) for word in ("topic", "thing", "matter")]
TAKE_IN = """
insert into tickets (connector, external_id, subject, body, state, created_at)
values ('generic', gen_random_uuid()::text, %s, '', 'triaged', %s) returning id
"""


async def past(pool: Pool, router: Router, database: str, *, usual: int = 0) -> None:
    """Eighteen hours of unlike tickets, one each ten minutes; `usual` more of them are about a password."""
    chance = random.Random(1)
    for n in range(108):
        came(database, " ".join(chance.sample(TOPICS, 4)), minutes_ago=60 + n * 10)
    for n in range(usual):
        came(database, "password reset please", minutes_ago=61 + n * 1_080 / usual)
    assert await look(pool, router, NOW - timedelta(minutes=45)) == 0


def came(database: str, subject: str, *, minutes_ago: float) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute(TAKE_IN, (subject, NOW - timedelta(minutes=minutes_ago))).fetchone()
        assert row
        return row[0]


async def look(pool: Pool, router: Router, now: datetime = NOW) -> int:
    async with httpx.AsyncClient() as http:
        return await look_once(pool, RouterClient(router.url, http, 60), now=now)


def members(database: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    with psycopg.connect(database) as conn:
        for incident, ticket in conn.execute("select incident_id, ticket_id from incident_tickets").fetchall():
            found.setdefault(incident, set()).add(ticket)
    return found


async def test_a_surge_makes_one_incident_that_grows(pool: Pool, router: Router, database: str) -> None:
    """With its tickets and no others; told once; an erased ticket leaves it."""
    found = settings()
    assert await announce_once(pool, found, now=datetime.now(UTC)) == 0
    await past(pool, router, database)
    storm = {came(database, f"vpn down again {n}", minutes_ago=20 - n) for n in range(8)}
    came(database, "unlike topic7 thing3", minutes_ago=5)
    assert await look(pool, router) == 1
    assert list(members(database).values()) == [storm]
    assert await announce_once(pool, found, now=datetime.now(UTC)) == 1
    (letter,) = await letters(pool)
    assert letter["payload"]["title"].startswith("8 alike tickets in a short time: incident ")
    assert letter["payload"]["lines"][0]["path"] == "/incidents"
    later = {came(database, f"vpn down again {n}", minutes_ago=-n) for n in range(1, 3)}
    assert await look(pool, router, NOW + timedelta(minutes=5)) == 0
    assert list(members(database).values()) == [storm | later]
    async with pool.connection() as conn:
        await repository.erase(conn, min(storm))
    assert list(members(database).values()) == [(storm | later) - {min(storm)}]


async def test_what_comes_every_day_is_no_incident(pool: Pool, router: Router, database: str) -> None:
    """Eight about a password in half an hour, where a hundred came in the hours before; unlike ones neither."""
    await past(pool, router, database, usual=100)
    for n in range(8):
        came(database, "password reset please", minutes_ago=20 - n)
    for n in range(12):
        came(database, f"{TOPICS[3 * n]} {TOPICS[3 * n + 1]} word{n}", minutes_ago=15)
    assert await look(pool, router) == 0
    assert members(database) == {}


async def test_before_there_is_a_past_nothing_is_claimed(pool: Pool, router: Router, database: str) -> None:
    """A first import of alike tickets is no incident."""
    for n in range(20):
        came(database, "vpn down", minutes_ago=n)
    assert await look(pool, router) == 0


async def test_later_tickets_join_until_it_is_quiet(pool: Pool, router: Router, database: str) -> None:
    """After a gap longer than the window, fewer than make a surge, a single one; after the quiet time a new one."""
    choose(database, minutes=5, quiet_minutes=30, tickets=3)
    await past(pool, router, database)
    storm = {came(database, f"vpn down again {n}", minutes_ago=4) for n in range(30)}
    assert await look(pool, router) == 1
    four = {came(database, f"vpn down again {n}", minutes_ago=-10) for n in range(4)}
    came(database, "unlike topic7 thing3", minutes_ago=-10)
    assert await look(pool, router, NOW + timedelta(minutes=11)) == 0
    one = came(database, "vpn down again 5", minutes_ago=-40)
    assert await look(pool, router, NOW + timedelta(minutes=40.5)) == 0
    assert list(members(database).values()) == [storm | four | {one}]
    with psycopg.connect(database) as conn:
        conn.execute("update incidents set state = 'confirmed'")
    anew = {came(database, f"vpn down again {n}", minutes_ago=-80) for n in range(6)}
    assert await look(pool, router, NOW + timedelta(minutes=81)) == 1
    assert list(members(database).values()) == [storm | four | {one}, anew]


async def test_an_outage_that_goes_on_does_not_make_itself_usual(pool: Pool, router: Router, database: str) -> None:
    """Sixty unlike tickets in two hours are all the past; then six a ten minutes, for longer than the window."""
    chance = random.Random(2)
    for n in range(60):
        came(database, " ".join(chance.sample(TOPICS, 4)), minutes_ago=2 * n)
    flood, found = set(), 0
    for late in range(10, 100, 10):
        flood |= {came(database, f"vpn down again {n}", minutes_ago=1 - late) for n in range(6)}
        found += await look(pool, router, NOW + timedelta(minutes=late))
    assert found == 1
    assert list(members(database).values()) == [flood]


async def test_what_was_dismissed_counts_as_usual(pool: Pool, router: Router, database: str) -> None:
    """As what came in a confirmed one does not: the same second flood, hours later."""
    await past(pool, router, database)
    for n in range(40):
        came(database, f"vpn down again {n}", minutes_ago=4)
    assert await look(pool, router) == 1
    with psycopg.connect(database) as conn:
        conn.execute("update incidents set state = 'dismissed'")
    for n in range(6):
        came(database, f"vpn down again {n}", minutes_ago=-200)
    assert await look(pool, router, NOW + timedelta(minutes=201)) == 0
    with psycopg.connect(database) as conn:
        conn.execute("update incidents set state = 'confirmed'")
    assert await look(pool, router, NOW + timedelta(minutes=201)) == 1


def test_an_incident_ends_where_many_tickets_come() -> None:
    """What comes each minute joins nothing, though it is nearer than most pairs; the same text always does."""
    chance = np.random.default_rng(1)
    unlike, topic = chance.normal(size=(9_000, 64)), np.eye(64)[0]
    usual = 8 * topic + chance.normal(size=(1_000, 64))
    storm, later = 30 * topic + chance.normal(size=(20, 64)), np.vstack([usual[:50], [topic]])
    rows = (np.vstack([unlike, usual]), storm, later)
    past, about, others = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in rows)
    assert alike(about, others, past, 1_000, SurgeRules()) == [50]
    assert len(alike(about, others, past, 10_000_000, SurgeRules())) > 25


def choose(database: str, **rules: int) -> None:
    with psycopg.connect(database) as conn:
        told = SurgeRules(**rules).model_dump_json()
        conn.execute("insert into watch_rules (kind, rules, by) values ('surge', %s, 'operator')", (told,))


def test_chance_is_poissons() -> None:
    """Six where a half is expected; the rules leave a look its share of the false alarms."""
    assert poisson_tail(6, 0.5) == pytest.approx(1.416e-5, rel=1e-3)
    assert poisson_tail(1, 2.0) == pytest.approx(0.8647, rel=1e-3)
    assert p_max(SurgeRules()) == pytest.approx(30 / (7 * 1440))
