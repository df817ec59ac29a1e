"""A candidate beside the champion on live tickets: promoted, dropped, or still running; the test's error rates."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.core.kit.objects import open_store
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.trainer.canary import run_round
from services.trainer.gates import answer
from services.trainer.sequential import CanaryRules, judge, paths
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle

RULES = CanaryRules(labels_max=400)
TICKETS = 240


@pytest.fixture
def conn(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    monkeypatch.setenv("POINTSMAN_DATABASE_URL", database)
    monkeypatch.setenv("POINTSMAN_OBJECTS_URL", f"file:{tmp_path}/objects")
    with psycopg.connect(database, autocommit=True) as conn:
        store = open_store(f"file:{tmp_path}/objects")
        versions = [registry.register(conn, store, folder) for folder in (small_bundle(), other_bundle())]
        registry.promote(conn, versions[0])
        assert registry.begin_canary(conn, versions[1])
        yield conn


def live(conn: psycopg.Connection) -> None:
    """Tickets that the champion has decided as the candidate would, but for one in five that it sent to Legal."""
    texts = [row.text for row in made_up_tickets(TICKETS, seed=77, rare=0)]
    champion = registry.champion(conn)
    assert champion is not None
    said = answer(load_bundle(other_bundle()), texts)
    for number, (text, group) in enumerate(zip(texts, said, strict=True)):
        row = conn.execute(
            "insert into tickets (connector, external_id, state, subject, body) values ('desk', %s, 'triaged', %s, '')"
            " returning id",
            (str(number), text),
        ).fetchone()
        conn.execute(
            'insert into decisions (ticket_id, workflow_id, decision, "group", band, confidence, model_version, shadow)'
            " values (%s, %s, '{}', %s, 'AUTO_ROUTE', 0.9, %s, false)",
            (row[0], f"new:{number}", "Legal" if number % 5 == 0 else group, champion.version),
        )


def label(conn: psycopg.Connection, *, as_champion: bool) -> None:
    """Where both differ, one of them turns out to be right."""
    source = 'd."group"' if as_champion else 'coalesce(c."group", d."group")'
    conn.execute(
        f"insert into labels (ticket_id, \"group\", source) select d.ticket_id, {source}, 'close' from decisions d"
        " left join canary_answers c on c.ticket_id = d.ticket_id"
    )


def the_round(conn: psycopg.Connection, tmp_path: Path) -> tuple[str, str]:
    (told,) = run_round(conn, open_store(f"file:{tmp_path}/objects"), tmp_path / "cache", RULES)
    return told.state, told.reason


def test_a_better_candidate_is_promoted_by_itself(conn: psycopg.Connection, tmp_path: Path) -> None:
    """Without labels it goes on; a second round answers nothing twice; when people side with it, it serves."""
    live(conn)
    assert the_round(conn, tmp_path)[0] == "running"
    assert the_round(conn, tmp_path)[0] == "running"
    assert conn.execute("select count(*) from canary_answers").fetchone() == (TICKETS,)
    before = registry.champion(conn)
    label(conn, as_champion=False)
    done = CliRunner().invoke(app, ["models", "canary", "--format", "json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.output)
    assert told["state"] == "promoted"
    assert "at most 3% worse than the champion: 240 labelled of 240 live tickets" in told["reason"]
    after = registry.champion(conn)
    assert before is not None
    assert after is not None
    assert after.version == told["version"] != before.version
    assert registry.canaries(conn) == []
    assert registry.rollback(conn, open_store(f"file:{tmp_path}/objects")) == before.version


def test_a_worse_candidate_is_dropped_with_the_reason(conn: psycopg.Connection, tmp_path: Path) -> None:
    live(conn)
    the_round(conn, tmp_path)
    champion = registry.champion(conn)
    label(conn, as_champion=True)
    state, reason = the_round(conn, tmp_path)
    assert state == "dropped"
    assert reason.startswith("shown to be worse than the champion")
    assert registry.champion(conn) == champion
    told = conn.execute("select detail ->> 'why' from audit_log where action = 'model.rejected'").fetchall()
    assert told == [(reason,)]
    assert run_round(conn, open_store(f"file:{tmp_path}/objects"), tmp_path / "cache") == []


def test_a_champion_that_changed_ends_the_canary(conn: psycopg.Connection, tmp_path: Path) -> None:
    """What was compared with another model proves nothing about this one."""
    other = '{"champion": "router-of-yesterday"}'
    conn.execute("update models set canary = canary || %s where canary is not null", (other,))
    assert the_round(conn, tmp_path) == ("dropped", "another model became the champion meanwhile: train again")


def test_one_that_answers_everything_otherwise_is_dropped_without_a_label() -> None:
    assert judge([True] * 60 + [False] * 10, [], CanaryRules()).state == "dropped"
    assert judge(([True] + [False] * 6) * 10, [], CanaryRules()).state == "running"


def gains(random: np.random.Generator, runs: int, better: float, worse: float) -> np.ndarray:
    drawn = random.random((runs, 1_500))
    return np.where(drawn < better, 1.0, np.where(drawn < better + worse, -1.0, 0.0))


def test_error_rates_by_simulation() -> None:
    """Looked at after each of 1,500 tickets, with models that differ on a tenth of them."""
    random, rules, limit = np.random.default_rng(11), CanaryRules(), np.log(20)

    def ever(values: np.ndarray) -> float:
        return float((paths(values).max(axis=1) >= limit).mean())

    def promoting(values: np.ndarray) -> np.ndarray:
        return (values + rules.worse_max) / (1 + rules.worse_max)

    too_bad = gains(random, 200, 0.035, 0.065)  # three points worse: just what must not be promoted
    as_good = gains(random, 200, 0.05, 0.05)
    better = gains(random, 100, 0.07, 0.03)
    much_worse = gains(random, 100, 0.01, 0.09)
    assert ever(promoting(too_bad)) <= 0.08  # 0.05 and what 200 runs may show by chance
    assert ever(-as_good) <= 0.08
    assert ever(promoting(better)) >= 0.95
    assert ever(-much_worse) >= 0.95
    assert ever(promoting(as_good)) >= 0.5
