"""Heads beside the group: which there are, what they learn, what a bundle and the router's door make of them."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from services.core.contracts.facts import Facts
from services.core.models.bundle import load_bundle
from services.core.models.heads import HOURS
from services.core.models.manifest import HEADS_FILE, read_manifest
from services.trainer.fit import fit
from services.trainer.heads import KINDS, fit_heads, judge_heads, tasks_of
from services.trainer.prepare import Example, Targets, with_queue
from services.trainer.rehearse import rehearse, summarise
from services.trainer.settings import TrainerSettings
from tests.services.trainer.bundles import (
    START,
    as_it_stands,
    frozen_config,
    heads_bundle,
    made_up_tickets,
    timed_tickets,
)


def test_what_the_tickets_say_has_a_head_and_nothing_else():
    manifest = read_manifest(heads_bundle())
    assert set(manifest.heads) == {"hours", "breach", "priority"}
    assert HEADS_FILE in manifest.files
    assert manifest.heads["priority"].labels == ("low", "urgent")


def test_a_bundle_of_groups_alone_has_no_heads(tmp_path: Path):
    manifest = fit(made_up_tickets(40), tmp_path / "bundle", frozen_config(), lambda stage, fraction, detail: None)
    assert manifest.heads == {}
    assert HEADS_FILE not in manifest.files
    assert load_bundle(tmp_path / "bundle").infer(["vpn"], [Facts()]).predictions[0].outlook is None


def test_a_first_model_that_is_soon_replaced_has_none(tmp_path: Path):
    """A new installation routes sooner."""
    config = replace(frozen_config(), heads=False)
    assert TrainerSettings().fit_config(encoder="frozen").heads is False
    assert TrainerSettings().fit_config().heads is True
    manifest = fit(timed_tickets(240), tmp_path / "bundle", config, lambda stage, fraction, detail: None)
    assert manifest.heads == {}
    assert not (tmp_path / "bundle" / "card" / "learning_curve.png").exists()


def test_a_head_reads_what_is_known_of_the_ticket():
    """The same words by phone and by mail; without facts no outlook is asked for."""
    model = load_bundle(heads_bundle())
    by = [Facts(opened_at=START, categories={"channel": channel}) for channel in ("phone", "mail")]
    phone, mail, unasked = model.infer(["vpn wifi"] * 3, [*by, None]).predictions
    assert phone.outlook is not None
    assert mail.outlook is not None
    assert phone.outlook.hours.middle < 10 < 25 < mail.outlook.hours.middle
    assert mail.outlook.hours.low <= mail.outlook.hours.middle <= mail.outlook.hours.high
    assert phone.outlook.breach < 0.2 < 0.6 < mail.outlook.breach
    assert unasked.outlook is None
    assert phone.top == unasked.top


def test_no_name_of_a_requester_lies_in_a_heads_bundle():
    assert b"phone" not in (heads_bundle() / HEADS_FILE).read_bytes()


def test_what_was_never_seen_is_answered_as_the_average():
    said = load_bundle(heads_bundle()).infer(["vpn"], [Facts(categories={"channel": "telex"})]).predictions[0].outlook
    assert said is not None
    assert 4 < said.hours.middle < 40


def test_figures_on_other_tickets():
    """As `pointsman evaluate` prints them: better than the median, an interval that covers, breaches told apart."""
    found = rehearse(
        timed_tickets(500), timed_tickets(300, seed=2), frozen_config(), seeds=1, progress=lambda s, f, d: None
    )
    assert found["sla_mae_h"] < 0.7 * found["sla_mae_median_h"]
    assert 0.7 <= found["sla_interval_coverage"] <= 0.9
    assert found["breach_auc"] >= 0.9
    assert "impact_accuracy" not in found


def test_seeds_that_differ_in_what_they_learnt_are_averaged_over_what_they_share():
    """One seed's priority decides nothing, so that it has no precision; the other's impact is no head at all."""
    shared = {"rows": 9, "fixed_thresholds": {"pooled": []}, "curve": [[1.0, 0.5]]}
    runs = [
        {**shared, "accuracy": 0.4, "priority_decided_precision": 0.9, "heads": ["priority"], "baseline": {"a": 0.25}},
        {**shared, "accuracy": 0.6, "heads": ["impact", "priority"], "baseline": {"a": 0.75}},
    ]
    for order in (runs, runs[::-1]):
        found = summarise(order)
        assert (found["accuracy"], found["heads"], found["baseline"]) == (0.5, ["priority"], {"a": 0.5})
        assert found["spread"] == {"accuracy": pytest.approx(0.1)}
        assert found["runs"] == order


def test_the_kind_with_the_smaller_loss_serves():
    rule = read_manifest(heads_bundle()).heads[HOURS]
    assert rule.metrics[f"loss_{rule.kind}"] == min(rule.metrics["loss_linear"], rule.metrics["loss_boosted"])


def test_a_word_that_hardly_anybody_uses_is_no_class():
    rows = timed_tickets(300)
    rows = [
        replace(row, targets=replace(row.targets, priority="odd")) if at < 5 else row for at, row in enumerate(rows)
    ]
    task = next(task for task in tasks_of(rows) if task.name == "priority")
    assert task.labels == ("low", "urgent")


def test_without_any_times_words_are_learnt_all_the_same():
    """Hour, weekday and queue are unknown of every ticket; no table beside them."""
    words = [(row, Targets(priority=row.targets.priority)) for row in timed_tickets(300)]
    rows = [replace(row, at=None, facts=Facts(), targets=targets) for row, targets in words]
    embeddings = np.random.default_rng(1).normal(size=(len(rows), 8)).astype(np.float32)
    embeddings[:, 0] += [3.0 if row.targets.priority == "urgent" else 0.0 for row in rows]
    held_out = np.arange(len(rows)) % 4 == 0
    rules = judge_heads(rows, embeddings, held_out, 1)
    assert set(rules) == {"priority"}
    assert rules["priority"].metrics["accuracy"] > 0.85
    for kind in KINDS:
        chosen = {"priority": rules["priority"].model_copy(update={"kind": kind})}
        head = fit_heads(rows, embeddings, chosen, 1)["priority"]
        assert np.isfinite(head.score([Facts(opened_at=START)], embeddings[:1])).all()


def test_too_few_tickets_teach_nothing():
    rows = timed_tickets(100)
    assert judge_heads(rows, np.zeros((len(rows), 4), np.float32), np.zeros(len(rows), bool), 1) == {}


def test_a_queue_is_who_was_open_then():
    rows = [
        Example(str(at), "a", facts=Facts(opened_at=START + timedelta(hours=at)), targets=Targets(hours=hours))
        for at, hours in ((0, 10.0), (1, 1.5), (2, 10.0), (3, 1.0))
    ]
    assert [row.facts.queue for row in with_queue(rows)] == [0, 1, 2, 2]


def test_a_head_that_is_no_better_than_the_same_for_all_is_left_out():
    """Random words and random hours: nobody is told an hour that the median knows as well."""
    chance, tickets = random.Random(3), timed_tickets(600)
    targets = [Targets(priority=chance.choice(("low", "urgent")), hours=chance.expovariate(0.1)) for _ in tickets]
    rows = [replace(row, facts=Facts(), targets=drawn) for row, drawn in zip(tickets, targets, strict=True)]
    embeddings = np.random.default_rng(1).normal(size=(len(rows), 8)).astype(np.float32)
    assert judge_heads(rows, embeddings, np.arange(len(rows)) % 5 == 0, 1) == {}


@pytest.mark.parametrize("word", ["", "?", "NaN", "null"])
def test_what_a_file_does_not_know_is_no_target(word: str, tmp_path: Path):
    from services.trainer.files import read_file

    path = tmp_path / "closed.csv"
    path.write_text(
        f"body,group,opened_at,hours_to_resolve,made_sla,priority,channel\na,x,{word},{word},{word},{word},{word}\n"
    )
    row = read_file(path, {}, as_it_stands)[0]
    assert row.targets == Targets()
    assert row.facts == Facts()


def test_columns_of_a_service_desk_are_known(tmp_path: Path):
    from services.trainer.files import read_file

    path = tmp_path / "closed.csv"
    path.write_text(
        "body,group,opened_at,resolved_at,made_sla,urgency,contact_type,caller\n"
        "a,x,2026-01-05 10:00:00,2026-01-05 16:30:00,false,2,Phone,c7\n"
    )
    row = read_file(path, {"features": "caller"}, as_it_stands)[0]
    assert row.targets == Targets(hours=6.5, breached=True, urgency="2")
    assert row.facts.opened_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert row.facts.categories == {"channel": "Phone", "caller": "c7"}
