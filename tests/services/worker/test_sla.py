"""SLA policies and their watch: working time to the minute, one notice per ticket, and before it is late."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.contracts.prediction import Hours
from services.core.contracts.sla import Calendar, Policy, SlaRules
from services.core.contracts.ticket import Priority
from services.core.kit.business_time import after
from services.core.kit.database import Pool, build_pool
from services.worker.notify.announce import announce_once
from services.worker.sla import at_risk, look_once
from tests.services.worker.test_notices import later, letters, settings

OFFICE = Calendar.model_validate(
    {
        "zone": "Europe/Berlin",
        "hours": {
            day: [{"start": "09:00", "until": "12:00"}, {"start": "13:00", "until": "17:00"}]
            for day in ("monday", "tuesday", "wednesday", "thursday", "friday")
        },
        "holidays": ["2026-12-25"],
    }
)
TOML = """
[calendars.office]
zone = "Europe/Berlin"
holidays = ["2026-12-25"]
[calendars.office.hours]
monday = [{start = "09:00", until = "17:00"}]
[[policies]]
team = "Network"
priority = "urgent"
target_hours = 4
[[policies]]
target_hours = 40
calendar = "office"
warn_at = 0.5
"""
RULES = SlaRules(
    policies=(
        Policy(team="Network", priority=Priority.URGENT, target_hours=4),
        Policy(team="Network", target_hours=24),
    )
)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-20T08:00", 3, "2026-11-20T11:00"),  # nine in Berlin, to noon
        ("2026-11-20T08:00", 3.5, "2026-11-20T12:30"),  # over lunch
        ("2026-11-20T15:30", 1, "2026-11-23T08:30"),  # over the weekend
        ("2026-11-21T10:00", 0.5, "2026-11-23T08:30"),  # from a Saturday on
        ("2026-12-24T15:00", 2, "2026-12-28T09:00"),  # over a holiday and the weekend
        ("2026-03-27T15:00", 8, "2026-03-30T15:00"),  # to 17:00 in summer time
    ],
)
def test_working_time_goes_over_nights_lunch_holidays_and_clocks(start: str, hours: float, end: str) -> None:
    assert after(utc(start), hours, OFFICE) == utc(end)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.floats(0.1, 60),
    st.floats(0.1, 60),  # made aware below
)
def test_more_time_never_ends_earlier_and_parts_add_up(start: datetime, some: float, more: float) -> None:
    """Also from moments outside of working hours."""
    begin = start.replace(tzinfo=UTC)
    middle, end = after(begin, some, OFFICE), after(begin, some + more, OFFICE)
    assert begin < middle <= end
    assert abs(after(middle, more, OFFICE) - end) < timedelta(milliseconds=1)
    assert after(begin, some, None) - begin == timedelta(hours=some)


def test_what_cannot_hold_is_refused() -> None:
    """Overlapping or backward spans, a day that is none, an unknown calendar or field, nothing but holidays."""
    spans = [{"start": "09:00", "until": "12:00"}, {"start": "11:00", "until": "13:00"}]
    backward = [{"start": "09:00", "until": "08:00"}]
    for hours in ({"monday": spans}, {"monday": backward}, {"funday": []}, {"monday": []}, {}):
        with pytest.raises(ValidationError):
            Calendar.model_validate({"zone": "Europe/Berlin", "hours": hours})
    with pytest.raises(ValidationError, match="no calendar office"):
        SlaRules.model_validate({"policies": [{"target_hours": 1, "calendar": "office"}]})
    with pytest.raises(ValidationError, match="Extra"):
        Policy.model_validate({"target_hours": 1, "hours": 2})
    always = OFFICE.model_copy(update={"holidays": frozenset(NOW.date() + timedelta(days=n) for n in range(1200))})
    with pytest.raises(ValueError, match="three years"):
        after(NOW, 1, always)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    with psycopg.connect(database) as conn:
        conn.execute("insert into sla_rules (rules, by) values (%s, 'ann')", (RULES.model_dump_json(),))
    async with build_pool(database, min_size=1, max_size=3) as pool:
        yield pool


def opened(
    database: str, *, hours_ago: float, priority: str = "normal", status: str = "open", group: str = "Network"
) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute(
            "insert into tickets (connector, external_id, status, state, current_group, created_at)"
            " values ('generic', gen_random_uuid()::text, %s, 'triaged', %s, %s) returning id",
            (status, group, NOW - timedelta(hours=hours_ago)),
        ).fetchone()
        conn.execute(
            "insert into decisions (ticket_id, workflow_id, decision, band, priority, confidence, shadow)"
            " values (%s, 'new:' || %s, '{}', 'AUTO_ROUTE', %s, 1, false)",
            (row[0], row[0], priority),
        )
        return row[0]


def foreseen(database: str, ticket: int, **learned: object) -> int:
    with psycopg.connect(database) as conn:
        conn.execute("update decisions set decision = %s where ticket_id = %s", (json.dumps(learned), ticket))
    return ticket


def noted(database: str) -> list[tuple]:
    with psycopg.connect(database) as conn:
        return conn.execute("select ticket_id, due_at from sla_alerts order by ticket_id").fetchall()


async def test_a_ticket_at_risk_is_noted_once_and_before_it_is_late(pool: Pool, database: str) -> None:
    """At three quarters of its target, whoever looks how often; solved, early and other teams' tickets are not."""
    urgent = opened(database, hours_ago=3.1, priority="urgent")
    slow = opened(database, hours_ago=18.5)
    opened(database, hours_ago=2.9, priority="urgent")
    opened(database, hours_ago=17)
    opened(database, hours_ago=30, status="solved")
    opened(database, hours_ago=30, group="Payroll")
    assert await look_once(pool, now=NOW) == 2
    assert noted(database) == [(urgent, NOW + timedelta(hours=0.9)), (slow, NOW + timedelta(hours=5.5))]
    assert await look_once(pool, now=NOW) == 0
    assert await look_once(pool, now=NOW + timedelta(hours=0.2)) == 1


async def test_what_was_learnt_of_tickets_like_it_is_told_before_time_is_used_up(pool: Pool, database: str) -> None:
    """At once where most like it were late, or nearly all take longer than is left; not where a policy says no."""
    late = foreseen(database, opened(database, hours_ago=0.1), breach=0.83)
    slow = foreseen(database, opened(database, hours_ago=0.1), hours={"low": 30.2, "middle": 50, "high": 90})
    foreseen(database, opened(database, hours_ago=0.1), breach=0.6, hours={"low": 3, "middle": 50, "high": 90})
    foreseen(database, opened(database, hours_ago=0.1, group="Payroll"), breach=0.99)
    assert await look_once(pool, now=NOW) == 2
    assert await look_once(pool, now=NOW) == 0
    with psycopg.connect(database) as conn:
        told = conn.execute("select ticket_id, why from sla_alerts order by ticket_id").fetchall()
    assert told == [
        (late, "83% of tickets like it were late"),
        (slow, "90% of tickets like it take longer than the 24 h until it is due"),
    ]
    deaf = SlaRules(policies=(Policy(target_hours=24, warn_chance=0),))
    row = {"id": 1, "created_at": NOW, "team": "Network", "priority": None, "hours": None, "breach": 0.99}
    assert [len(at_risk([row], rules, NOW)) for rules in (RULES, deaf)] == [1, 0]


def test_hours_are_held_against_the_clock_until_a_ticket_is_due() -> None:
    """Eight office hours from a Friday evening are 87 by the clock: what takes forty is late on a Monday alone."""
    hours = {"low": 30, "middle": 40, "high": 60}
    rules = SlaRules(calendars={"office": OFFICE}, policies=(Policy(target_hours=8, calendar="office"),))

    def warned(created_at: datetime) -> str:
        row = {"id": 1, "created_at": created_at, "team": None, "priority": None, "hours": hours, "breach": None}
        return "".join(risk.why for risk in at_risk([row], rules, created_at))

    assert "take longer than the" in warned(datetime(2026, 11, 16, 9, tzinfo=UTC))
    assert warned(datetime(2026, 11, 20, 18, tzinfo=UTC)) == ""


@pytest.mark.parametrize(("hours", "chance"), [(0, 0.9), (30, 0.9), (40, 0.5), (60, 0.1), (1e6, 0.1)])
def test_a_share_of_tickets_takes_longer(hours: float, chance: float) -> None:
    """What was learnt at its three points, nothing beyond them, and never more for more hours."""
    known = Hours(low=30, middle=40, high=60)
    assert known.chance_longer(hours) == pytest.approx(chance)
    falling = [known.chance_longer(h) for h in range(0, 100, 3)]
    assert falling == pytest.approx(sorted(falling, reverse=True))
    assert Hours(low=5, middle=5, high=5).chance_longer(5) == 0.9


async def test_channels_are_told_once_with_when_it_is_due(pool: Pool, database: str) -> None:
    """Urgent ones as critical, with a link; nothing of the ticket's text."""
    found = settings()
    assert await announce_once(pool, found, now=NOW) == 0
    ticket = opened(database, hours_ago=3.1, priority="urgent")
    await look_once(pool, now=NOW)
    assert await announce_once(pool, found, now=NOW) == 1
    (letter,) = await letters(pool)
    assert letter["payload"]["severity"] == "critical"
    said = f"Ticket {ticket} may miss its target of 4 h: Network, due 2026-11-20 12:54 UTC."
    assert letter["payload"]["title"] == said
    assert letter["payload"]["lines"][0]["path"] == f"/tickets/{ticket}"
    await later(pool)
    await look_once(pool, now=NOW)
    assert await announce_once(pool, found, now=NOW) == 0


def test_policies_are_imported_shown_and_audited(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot hold changes nothing and says where it is wrong."""
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    (tmp_path / "sla.toml").write_text(TOML)
    (tmp_path / "bad.toml").write_text(TOML.replace("Europe/Berlin", "Europe/Nowhere"))
    runner = CliRunner()
    assert runner.invoke(app, ["sla", "import", str(tmp_path / "sla.toml")]).exit_code == 0
    wrong = runner.invoke(app, ["sla", "import", str(tmp_path / "bad.toml")])
    assert wrong.exit_code == 1
    assert "calendars.office.zone" in str(wrong.exception)
    shown = json.loads(runner.invoke(app, ["sla", "show", "--format", "json"]).output)
    assert [one["target_hours"] for one in shown["policies"]] == [4, 40]
    assert json.loads(runner.invoke(app, ["sla", "at-risk", "--format", "json"]).output) == []
    with psycopg.connect(database) as conn:
        assert conn.execute("select action from audit_log where subject = 'sla'").fetchall() == [("sla.changed",)]
