"""The gate: fitted on labelled questions, and held to what it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.core.answer import clarify, gate
from services.core.answer.calibrate import calibrate
from services.core.answer.gate import read_calibration, write_calibration
from services.core.kit.errors import ConfigurationInvalid, InputInvalid


def made_up(answerable: int = 60, unanswerable: int = 30) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Signals of answerable questions lie higher; nobody's question is unclear."""
    rng = np.random.default_rng(5)
    labels = ["ANSWERABLE"] * answerable + ["UNANSWERABLE"] * unanswerable
    shift = np.array([[1.0 if label == "ANSWERABLE" else 0.0] for label in labels])
    return rng.normal(size=(len(labels), len(gate.NAMES))) + shift, np.zeros((len(labels), len(clarify.NAMES))), labels


def test_thresholds_come_from_the_wrong_answers(tmp_path: Path) -> None:
    """Strict is above standard, few unanswerable pass the one and none the other; the file gives the same gate back."""
    signals, pointing, labels = made_up(600, 300)
    made = calibrate(signals, pointing, labels, source="made up")
    wrong = made.answerable.probabilities(signals[600:])
    assert (wrong >= made.standard).mean() <= 0.12
    assert (wrong >= made.strict).mean() <= 0.02
    assert made.standard < made.strict
    write_calibration(made, tmp_path / "calibration.json")
    assert read_calibration(tmp_path / "calibration.json") == made


def test_too_few_labels_are_refused() -> None:
    """A threshold from nine questions is a guess."""
    with pytest.raises(InputInvalid, match="9 questions labelled UNANSWERABLE"):
        calibrate(*made_up(30, 9), source="")


def test_without_unclear_examples_nobody_is_asked_back() -> None:
    """A threshold that no probability reaches."""
    assert calibrate(*made_up(), source="").clarify > 1


def test_a_calibration_of_other_signals_is_refused(tmp_path: Path) -> None:
    """Weights of another version would judge the wrong numbers."""
    shipped = json.loads(gate.CALIBRATION_FILE.read_text("utf-8"))
    shipped["answerable"]["names"][0] = "something_else"
    (tmp_path / "old.json").write_text(json.dumps(shipped), "utf-8")
    with pytest.raises(ConfigurationInvalid, match="something_else"):
        read_calibration(tmp_path / "old.json")


def test_the_shipped_gate_is_readable_and_strict() -> None:
    """Both thresholds, in order, and where they come from."""
    shipped = read_calibration()
    assert 0 < shipped.standard < shipped.strict < 1
    assert shipped.source
    assert shipped.questions > 0


@pytest.mark.slow
def test_the_gate_keeps_its_promise_on_questions_it_was_not_fitted_on(
    data_dir: Path, database: str, tmp_path: Path
) -> None:
    """The command of the README on real multi-turn questions: retrieval, gate and clarification meet their goals."""
    folder = data_dir / "support_rag_qa"
    command = [sys.executable, "-m", "services.cli", "rag", "evaluate", "--format", "json"]
    command += ["--corpus", str(folder / "corpus.jsonl.gz"), "--questions", str(folder / "test.jsonl.gz")]
    command += ["--calibrate", str(folder / "train.jsonl.gz")]
    environment = os.environ | {"POINTSMAN_DATABASE_URL": database, "POINTSMAN_OBJECTS_URL": f"file://{tmp_path}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=3600)
    figures = json.loads(done.stdout)
    best = figures["retrieval"]["default"]
    goals = {"r5": 0.82, "r10": 0.91, "mrr": 0.89, "ndcg10": 0.87}
    assert {name: best[name] for name in goals if best[name] < goals[name]} == {}
    assert all(best[name] >= figures["retrieval"][arm][name] for arm in ("text", "vector") for name in goals)
    assert figures["gate"]["auroc"] >= 0.9
    assert figures["gate"]["standard"]["answered_answerable"] >= 0.75
    assert figures["gate"]["standard"]["answered_unanswerable"] <= 0.08
    assert figures["gate"]["strict"]["answered_answerable"] >= 0.3
    assert figures["gate"]["strict"]["answered_unanswerable"] == 0
    assert figures["clarify"]["auroc"] >= 0.8
