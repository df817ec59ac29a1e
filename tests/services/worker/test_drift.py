"""The daily look for drift: found once, told once, judged by rules that are data, shown to people in three places."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.contracts.drift import DriftReport, DriftRules
from services.core.kit.database import Pool
from services.core.models.client import RouterClient
from services.worker.drift import judge_day, tell_metrics
from services.worker.notify.announce import announce_once
from tests.services.worker.conftest import EmbeddingRouter as Router
from tests.services.worker.test_notices import later, letters, settings

DAY = date(2026, 11, 20)
BEFORE, NOW = 20, 3  # days ago
DECIDE = """
with ticket as (
    insert into tickets (connector, external_id, subject, body, state)
    values ('generic', gen_random_uuid()::text, %(subject)s, '', 'triaged') returning id)
insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, model_version, shadow, decided_at)
select id, 'new:' || id, '{}', %(group)s, 'AUTO_ROUTE', %(confidence)s, 'm1', false, %(at)s from ticket
returning ticket_id
"""


async def look(pool: Pool, router: Router, day: date = DAY) -> DriftReport | None:
    async with httpx.AsyncClient() as http:
        return await judge_day(pool, RouterClient(router.url, http, 60), day=day)


def decided(
    database: str, days_ago: int, n: int, *, words: str = "vpn mail phone", groups: str = "ABC", right: float = 0.9,
    confidence: float = 0.8,
) -> None:  # fmt: skip
    """Tickets of one day, each answered by a closing."""
    chance, at = random.Random(days_ago), datetime.combine(DAY, datetime.min.time(), UTC) - timedelta(days=days_ago)
    with psycopg.connect(database) as conn:
        for _ in range(n):
            group = chance.choice(groups)
            values = {
                "subject": " ".join(chance.choice(words.split()) for _ in range(4)),
                "group": group,
                "confidence": min(1.0, max(0.0, chance.gauss(confidence, 0.1))),
                "at": at + timedelta(hours=5),
            }
            row = conn.execute(DECIDE, values).fetchone()
            assert row
            actual = group if chance.random() < right else "Other"
            conn.execute("insert into labels (ticket_id, \"group\", source) values (%s, %s, 'close')", (row[0], actual))


def findings(database: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as conn:
        return conn.execute("select kind, since from drift_findings order by kind, since").fetchall()


async def test_a_quiet_week_is_stable_and_judged_once(pool: Pool, router: Router, database: str) -> None:
    """The same kind of tickets in both windows; the second look of the day does nothing, not even ask the router."""
    decided(database, BEFORE, 120)
    decided(database, NOW, 80)
    report = await look(pool, router)
    assert report
    assert (report.verdict, [one.has_shifted for one in report.tests]) == ("stable", [False] * 4)
    asked = len(router.asked)
    assert asked
    assert await look(pool, router) is None
    assert (len(router.asked), findings(database)) == (asked, [])


async def test_each_kind_of_shift_is_found_by_its_own_test(pool: Pool, router: Router, database: str) -> None:
    """Other groups, other words, less confidence, fewer right answers; the tickets most unlike before are named."""
    decided(database, BEFORE, 150)
    decided(database, NOW, 100, words="vpn badge parking", groups="CDE", confidence=0.6, right=0.5)
    report = await look(pool, router)
    assert report
    assert [one.has_shifted for one in report.tests] == [True] * 4
    assert (report.verdict, {one.since for one in report.tests}) == ("shifted", {DAY})
    with psycopg.connect(database) as conn:
        subjects = conn.execute("select subject from tickets where id = any(%s)", (list(report.unlike),)).fetchall()
    assert all("badge" in subject or "parking" in subject for (subject,) in subjects)
    assert {one.group for one in report.moved} == set("ABCDE")


async def test_a_shift_that_lasts_is_told_once(pool: Pool, router: Router, database: str) -> None:
    """The next days find the same; channels hear of it on the first, the gauge and the page as long as it lasts."""
    found = settings()
    assert await announce_once(pool, found, now=datetime.now(UTC)) == 0
    decided(database, BEFORE, 100)
    decided(database, NOW, 80, groups="D")
    await look(pool, router)
    assert await announce_once(pool, found, now=datetime.now(UTC)) == 1
    (letter,) = await letters(pool)
    assert letter["payload"]["title"] == (
        "Tickets go to other groups than before, since 2026-11-20. See: pointsman drift report"
    )
    assert letter["payload"]["lines"][0]["path"] == "/drift"
    await later(pool)
    second = await look(pool, router, DAY + timedelta(days=2))
    assert second
    assert next(one for one in second.tests if one.kind == "labels").since == DAY
    assert findings(database) == [("labels", DAY)]
    assert await announce_once(pool, found, now=datetime.now(UTC)) == 0
    await tell_metrics(pool)
    told = {kind: REGISTRY.get_sample_value("pointsman_drift_shifted", {"test": kind}) for kind in ("labels", "inputs")}
    assert told == {"labels": 1, "inputs": 0}


async def test_few_tickets_or_a_new_model_claim_nothing(pool: Pool, router: Router, database: str) -> None:
    """Each test says why it could not be asked."""
    decided(database, NOW, 30)
    report = await look(pool, router)
    assert report
    assert (report.verdict, report.tests[0].why) == ("too few tickets", "fewer than 50 tickets in a window")
    decided(database, BEFORE, 60)
    decided(database, NOW, 60)
    with psycopg.connect(database) as conn:
        conn.execute("update models set version = 'm2'")
    second = await look(pool, router, DAY + timedelta(days=1))
    assert second
    assert [one.why for one in second.tests] == ["", "", "the model is newer than the days before", ""]


async def test_a_model_promoted_meanwhile_puts_the_day_off(pool: Pool, router: Router, database: str) -> None:
    """Vectors of two encoders are never compared: nothing is stored, and the next look starts anew."""
    decided(database, BEFORE, 60)
    decided(database, NOW, 60)
    router.versions = ["m1"] * 9 + ["m2"]
    with pytest.raises(Exception, match="Another model"):
        await look(pool, router)
    assert await look(pool, router) is not None


def test_the_report_and_the_rules_by_command(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, JSON, and rules from a file; windows that are no whole weeks are refused."""
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    runner = CliRunner()
    assert "No day has been judged yet" in str(runner.invoke(app, ["drift", "report"]).exception)
    (tmp_path / "drift.toml").write_text("now_days = 14\n[least]\nlabels = 0.2\n")
    assert runner.invoke(app, ["drift", "import", str(tmp_path / "drift.toml")]).exit_code == 0
    shown = json.loads(runner.invoke(app, ["drift", "show", "--format", "json"]).output)
    assert (shown["now_days"], shown["least"]["labels"], shown["least"]["inputs"]) == (14, 0.2, 0.1)
    report = DriftReport(day=DAY, now_days=7, before_days=28, tests=())
    with psycopg.connect(database) as conn:
        conn.execute("insert into drift_reports (day, report) values (%s, %s)", (DAY, report.model_dump_json()))
        assert conn.execute("select action from audit_log where subject = 'drift'").fetchall() == [("drift.changed",)]
    told = json.loads(runner.invoke(app, ["drift", "report", "--format", "json"]).output)
    assert (told["day"], told["verdict"]) == ("2026-11-20", "too few tickets")
    assert "2026-11-20, the 7 days before it" in runner.invoke(app, ["drift", "report"]).output
    with pytest.raises(ValidationError, match="whole weeks"):
        DriftRules(now_days=10)


def test_a_day_that_was_not_judged_is_not_another(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its date alone, with the nearest that were; before the first as after the last."""
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    with psycopg.connect(database) as conn:
        for day in (DAY, DAY + timedelta(days=5)):
            report = DriftReport(day=day, now_days=7, before_days=28, tests=()).model_dump_json()
            conn.execute("insert into drift_reports (day, report) values (%s, %s)", (day, report))

    def said(day: str) -> str:
        found = CliRunner().invoke(app, ["drift", "report", "--day", day])
        return str(found.exception) if found.exception else found.output

    assert said("2026-11-19") == "2026-11-19 was not judged; the nearest after it is 2026-11-20."
    between = "the nearest before it is 2026-11-20 and the nearest after it is 2026-11-25"
    assert said("2026-11-22") == f"2026-11-22 was not judged; {between}."
    assert said("2026-11-26") == "2026-11-26 was not judged; the nearest before it is 2026-11-25."
    assert "2026-11-20, the 7 days before it" in said("2026-11-20")


def test_what_a_file_of_rules_does_not_name_stays_as_it_is(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also within a table; each change is said, and no change is kept or audited where there is none."""
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    file = tmp_path / "r.toml"

    def told(group: str, text: str) -> str:
        file.write_text(text)
        found = CliRunner().invoke(app, [group, "import", str(file)])
        return str(found.exception) if found.exception else found.output

    first = told("drift", "now_days = 14\n[least]\nlabels = 0.2\n").splitlines()
    assert first[:2] == ["now_days: 7 -> 14", "least.labels: 0.1 -> 0.2"]
    assert told("drift", "[least]\ninputs = 0.3\n").splitlines()[0] == "least.inputs: 0.1 -> 0.3"
    assert told("drift", "").startswith("Nothing changes: ")
    shown = json.loads(CliRunner().invoke(app, ["drift", "show", "--format", "json"]).output)
    assert (shown["now_days"], shown["least"]["labels"], shown["least"]["inputs"]) == (14, 0.2, 0.3)
    with psycopg.connect(database) as conn:
        assert conn.execute("select count(*) from audit_log where action = 'drift.changed'").fetchone() == (2,)
        conn.execute("""update watch_rules set rules = rules || '{"of_a_newer_version": 1}'""")
    assert json.loads(CliRunner().invoke(app, ["drift", "show", "--format", "json"]).output)["now_days"] == 14
    assert told("incidents", "minutes = 240").startswith(f"{file}: quiet_minutes is at least minutes")
    assert told("incidents", "tickets = 1").startswith(f"{file}: tickets: Input should be")
    assert told("incidents", "ticket = 5") == f"{file}: ticket: Extra inputs are not permitted"
    assert told("drift", "least = 3").startswith(f"{file}: least: ")


def test_false_alarms_are_shared_out_among_tests_and_days() -> None:
    """One a year over four tests a day."""
    assert DriftRules().p_max == pytest.approx(1 / 1460)
