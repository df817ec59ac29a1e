"""The measurements still run and tell what they should; how fast they find this machine is not asserted."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from psycopg import AsyncConnection

from services.core.models.bundle import load_bundle
from services.core.search.encoder import TextEncoder
from services.core.search.retrieve import Question, Scope, retrieve
from tests.bench import audit, end_to_end, explain, ingest, landed, memory, redaction, scale, scope, sla
from tests.bench.containers import run_containers
from tests.bench.copies import grow
from tests.bench.report import Row, Target, as_json, as_table, describe_machine
from tests.services.rag.conftest import index_pages
from tests.services.trainer.bundles import heads_bundle, made_up_tickets, small_bundle, timed_tickets


def test_ingest_is_measured_beside_pgbench_and_stores_all_it_accepts() -> None:
    """A tiny run through a real gateway and the real pgbench; it raises when a webhook was lost."""
    rows = ingest.measure(rounds=1, requests=100)
    values = {row.what: row.value for row in rows}
    assert values["gateway / pgbench, 32 connections"] > 0
    assert 0 < values["gateway p50"] <= values["gateway p99"]
    assert {row.target for row in rows} >= {Target(at_least=0.6), Target(at_most=50)}


def test_end_to_end_counts_processor_time_by_container() -> None:
    """A tiny burst and stream through all real processes: each of them shows up, and so does its memory."""
    with run_containers(list(end_to_end.CHILDREN), bundle=small_bundle()) as containers:
        found = end_to_end.burst(containers, 6)
        steady = end_to_end.stream(containers, per_s=20, seconds=0.3)
        used = containers.memory()
    assert found.per_s > 0
    assert found.cpu_ms["worker"] > 0
    assert 0 < steady.p50_ms <= steady.p99_ms
    assert set(used) == {*end_to_end.CHILDREN, memory.DATABASE}
    assert all(0 < use.private <= use.pss for use in used.values())


def test_the_chain_is_measured_beside_the_same_work_without_it() -> None:
    """All three sides keep the rate in their few rounds, and each comes with median and tail."""
    rows = audit.measure(seconds=0.3, rounds=1)
    assert len({row.what for row in rows}) == 6
    assert all(row.value > 0 for row in rows)


def test_pages_erasures_and_upkeep_are_measured_on_a_seeded_database() -> None:
    """A thousand tickets: every statement of the seed and every page works, and each has its target."""
    rows = {row.what: row for row in scale.measure(tickets=1_000)}
    assert {str(row.target) for row in rows.values() if row.target} == {"<= 20", "<= 100", "<= 200"}
    assert all(row.value > 0 for row in rows.values())


def test_an_explained_review_costs_what_its_words_cost() -> None:
    """More than a routed ticket, and the reasons are those that the worker would keep."""
    rows = {row.what: row.value for row in explain.measure(small_bundle(), reviews=3)}
    assert 0 < rows["one ticket routed"] < rows["one review explained"]
    assert rows["texts asked for one review"] > 1
    found = explain.explain(load_bundle(small_bundle()), "Question about salary: who can approve it?")
    assert "salary" in {word for said in found.values() for word in said}


def test_what_tells_foreign_tickets_is_measured_by_signal() -> None:
    """Each sum of what the model has; a fourth of the larger groups can be left out; foreign words are told apart."""
    rows = made_up_tickets(80, seed=5)
    assert scope.every_fourth(rows) == {"Access"}
    texts = [row.text for row in rows] + ["sing me a song about the sea", "dance with the penguin tonight"] * 5
    foreign = np.arange(len(texts)) >= len(rows)
    found = scope.signals(load_bundle(small_bundle()), None, texts, [row.text for row in rows])
    share, area = scope.stopped(scope.total(found, "pooled + neighbours", ~foreign), foreign)
    assert 0 <= share <= 1
    assert area > 0.5
    assert {name for sum in scope.SUMS for name in sum.split(" + ")} >= set(found)


def test_warnings_by_learned_hours_are_measured() -> None:
    """Hours of every timed ticket, and how many that were warned of were late."""
    rows = timed_tickets(60, seed=8)
    assert len(sla.outlooks(load_bundle(heads_bundle()), rows)) == len(rows)
    chances, late = np.array([0.9, 0.6, 0.2]), np.array([True, False, True])
    said = sla.say(chances, late)
    assert "from 50%: 2 warned of, 50.0% of these late, 50% of all late" in said
    assert sla.left_h(datetime(2026, 11, 20, 16, tzinfo=UTC), 8, sla.OFFICE) == 72


def test_redaction_is_measured_by_stage() -> None:
    """Every stage costs something, and no stage but the strict level more than a whole ticket does."""
    rows = {row.what: row.value for row in redaction.measure(fillings=1, rounds=1)}
    assert all(value > 0 for value in rows.values())
    assert rows["normalise"] + rows["language"] < rows["redact, English"]


def test_a_report_says_what_was_held_and_on_which_machine() -> None:
    """Table and JSON carry the same figures, verdicts and load."""
    rows = [Row("room", "fast", 0.7, "", Target(at_least=0.6)), Row("room", "slow", 80, "ms", Target(at_most=50))]
    machine = describe_machine(os.getloadavg()[0])
    table, told = as_table(machine, rows), json.loads(as_json(machine, rows))
    assert "held (>= 0.6)" in table
    assert "MISSED (<= 50)" in table
    assert [row["held"] for row in told["rows"]] == [True, False]
    assert told["machine"]["cores"] == machine.cores


def test_a_figure_stands_beside_that_of_the_last_landing(tmp_path: Path) -> None:
    """What was measured again replaces what was kept; the rest stays, and a new figure has nothing to stand beside."""
    file, machine = tmp_path / "landed.json", describe_machine(0.5)
    assert landed.read(file) == {}
    landed.keep(machine, [Row("room", "fast", 0.71236, ""), Row("room", "slow", 80, "ms")], file)
    landed.keep(machine, [Row("room", "slow", 60, "ms")], file)
    before = landed.figures(landed.read(file))
    assert before == {("room", "fast"): 0.7124, ("room", "slow"): 60}
    rows = [Row("room", "slow", 70, "ms", Target(at_most=50)), Row("room", "new", 1, "")]
    slow, new = as_table(machine, rows, before).splitlines()[-2:]
    assert slow.split() == ["slow", "70.00", "ms", "was", "60.00", "MISSED", "(<=", "50)"]
    assert "was" not in new
    assert [row["landed"] for row in json.loads(as_json(machine, rows, before))["rows"]] == [60, None]


def test_what_was_kept_is_of_rooms_that_are_measured() -> None:
    """A file that nobody reads any more would compare with nothing."""
    assert landed.read()


async def test_an_index_grows_by_copies_that_are_found_like_originals(
    database: str, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """Chunks, terms and vectors of each copy; constraints and indexes are what they were."""
    await index_pages(database, text_encoder, tmp_path)
    indexes = "select indexname, indexdef from pg_indexes where tablename like 'chunk%' order by 1"
    async with await AsyncConnection.connect(database, autocommit=True) as conn:
        before = await (await conn.execute(indexes)).fetchall()
        grow(database, 50)
        assert await (await conn.execute(indexes)).fetchall() == before
        counted = await conn.execute("select count(*), count(distinct embedding::text) from chunks")
        assert await counted.fetchone() == (50, 50)
        found = await retrieve(conn, text_encoder, Question("copy3"), Scope(k=4, vector_share=0.0))
        assert {one.uri.split("-")[1] for one in found.evidence} == {"3"}
        found = await retrieve(conn, text_encoder, Question("How do I add a printer?"), Scope(k=10))
        assert {one.title for one in found.evidence} == {"Add a printer"}
