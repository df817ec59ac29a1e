"""Each gate can fail, says why, and is what the operator's file makes it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.core.models.bundle import load_bundle
from services.core.models.registry import Gate, read_lineage
from services.core.models.texts import text_key
from services.trainer.fit import Fitted
from services.trainer.gates import GATES, Candidate, answer, check, compare
from services.trainer.prepare import Example
from services.trainer.rules import GateRules, read_rules
from tests.services.trainer.bundles import made_up_tickets, other_bundle, small_bundle


@cache
def model():
    return load_bundle(small_bundle())


@cache
def good() -> Candidate:
    """Fresh tickets, answered rightly, and no champion."""
    rows = tuple(made_up_tickets(120, seed=42, rare=0))
    return Candidate(Fitted(model().manifest, rows, tuple(row.group for row in rows)), model())


def with_figures(candidate: Candidate, **changes: float) -> Candidate:
    manifest = candidate.fitted.manifest
    return replace(
        candidate,
        fitted=replace(
            candidate.fitted, manifest=manifest.model_copy(update={"metrics": {**manifest.metrics, **changes}})
        ),
    )


def gate(candidate: Candidate, name: str, rules: GateRules | None = None) -> Gate:
    return next(gate for gate in check(candidate, rules or read_rules()) if gate.name == name)


def own(tmp_path: Path, text: str) -> GateRules:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    return read_rules(path)


def test_a_good_candidate_passes_every_gate(tmp_path: Path):
    found = check(good(), own(tmp_path, "[latency]\np50_ms_max = 60000.0\n"))
    assert [gate.name for gate in found if not gate.passed] == []
    assert [gate.name for gate in found] == list(GATES)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("better_than_majority", {"accuracy": 0.2}),
        ("macro_f1", {"macro_f1": 0.1}),
        ("calibration", {"ece": 0.2, "ece_noise": 0.03}),
        ("int8_parity", {"int8_accuracy_lost": 0.01, "encoder_int8": 1.0}),
    ],
)
def test_a_figure_beyond_its_limit_fails(name: str, changes: dict[str, float]):
    assert not gate(with_figures(good(), **changes), name).passed
    assert gate(good(), name).passed


def test_calibration_is_held_against_what_a_perfect_router_shows():
    """On few tickets even that one is .08 off: the same error on many fails."""
    assert gate(with_figures(good(), ece=0.11, ece_noise=0.08), "calibration").passed
    assert not gate(with_figures(good(), ece=0.11, ece_noise=0.01), "calibration").passed


def test_a_group_that_is_never_found_is_named():
    manifest = model().manifest
    lost = {"Access": {"rows": 80.0, "recall": 0.0, "precision": 0.0}, "Legal": {"rows": 3.0, "recall": 0.0}}
    fitted = replace(good().fitted, manifest=manifest.model_copy(update={"group_metrics": lost}))
    found = gate(replace(good(), fitted=fitted), "group_recall")
    assert not found.passed
    assert found.detail == "Access: 0 of 80 found"


def test_latency_and_scope_are_asked_of_the_model_itself(tmp_path: Path):
    rules = own(tmp_path, "[latency]\np50_ms_max = 0.0001\n[out_of_scope]\nstopped_min = 1.0\nrows_min = 5\n")
    assert not gate(good(), "latency", rules).passed
    known = tuple(Example(row.text, "oos") for row in made_up_tickets(40, rare=0))  # what it routes by itself
    assert not gate(replace(good(), fitted=replace(good().fitted, foreign=known)), "out_of_scope", rules).passed
    strange = tuple(Example(f"wombat {n} kumquat aardvark sonnet", "oos") for n in range(20))
    assert gate(replace(good(), fitted=replace(good().fitted, foreign=strange)), "out_of_scope", rules).passed
    assert "only 0 tickets" in gate(good(), "out_of_scope", rules).detail


def test_the_champion_is_compared_on_tickets_that_neither_has_seen():
    """With too few of them each brings its own figure."""
    known, fresh = tuple(made_up_tickets(80, rare=0)), tuple(made_up_tickets(80, seed=42, rare=0))
    seen = read_lineage(small_bundle())
    wrong = Fitted(model().manifest, known + fresh, tuple("Access" for _ in known + fresh))
    found = gate(Candidate(wrong, model(), model(), seen), "champion")
    assert not found.passed
    unseen = sum(text_key(row.text) not in seen for row in fresh)
    assert f"on {unseen} held-out tickets neither has seen" in found.detail
    only_known = Fitted(model().manifest, known, tuple("Access" for _ in known))
    assert "each on its own" in gate(Candidate(only_known, model(), model(), seen), "champion").detail


def test_a_difference_that_chance_explains_is_no_regression():
    """Three wrong answers more of a hundred: not shown to be worse. Thirty more: shown, and refused."""
    rows = tuple(made_up_tickets(120, seed=42, rare=0))
    right = answer(load_bundle(other_bundle()), [row.text for row in rows])
    champion, truth = load_bundle(other_bundle()), tuple(Example(r.text, g) for r, g in zip(rows, right, strict=True))

    def with_wrong(n: int) -> Gate:
        said = tuple("Access" if g != "Access" and i < n else g for i, g in enumerate(right))
        return gate(Candidate(Fitted(champion.manifest, truth, said), champion, champion), "champion")

    assert with_wrong(3).passed
    assert not with_wrong(60).passed


def test_the_paired_test_holds_its_error_rate():
    """Of models that are equally good it calls one in twenty worse at 5 %."""
    import numpy as np

    random = np.random.default_rng(3)
    false = 0
    for _ in range(40):
        truth = random.integers(0, 4, 100)
        said = [np.where(random.random(100) < 0.7, truth, random.integers(0, 4, 100)) for _ in range(2)]
        false += compare(*(list(map(str, row)) for row in (*said, truth))).chance <= 0.05
    assert false <= 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[speed]\nenabled = true\n", r"no gate \[speed\]. There are: better_than_majority, macro_f1"),
        ("[latency]\nmax = 3.0\n", "latency.max"),
        ("[latency]\np50_ms_max = 'fast'\n", "latency.p50_ms_max"),
        ("latency = 3\n", r"no gate \[latency\]"),
        ("[latency\n", "must be TOML"),
    ],
)
def test_unknown_gates_and_values_are_refused(tmp_path: Path, text: str, says: str):
    with pytest.raises(ConfigurationInvalid, match=says):
        own(tmp_path, text)


def test_a_gate_that_is_switched_off_says_so(tmp_path: Path):
    found = gate(with_figures(good(), macro_f1=0.0), "macro_f1", own(tmp_path, "[macro_f1]\nenabled = false\n"))
    assert (found.passed, found.detail) == (True, "switched off")
