"""The queue's order against chance, on made-up tickets of which one in ten teaches something."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.trainer.simulate import Pool, simulate


def pool(seed: int = 1) -> Pool:
    """Twelve groups; two of them make up nine tenths of what comes in, and all twelve are asked about in the end."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(12, 32))
    frequent = random.integers(0, 2, 1_800)
    groups = np.concatenate([frequent, random.integers(2, 12, 200)])
    truth = np.repeat(np.arange(12), 20)
    return Pool(_near(random, centres[groups]), groups, _near(random, centres[truth]), truth)


def _near(random: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    rows = centres + random.normal(size=centres.shape) * 0.9
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_queues_order_needs_fewer_answers_than_chance() -> None:
    """To the same accuracy; a goal that is out of reach is said to be."""
    curve = simulate(pool(), start=20, step=20, most=200, seeds=3, wanted=(0.6, 1.1))
    needed = curve.needed["0.6"]
    assert needed["information"] is not None
    assert needed["random"] is None or needed["information"] <= needed["random"] - 20
    assert curve.accuracy["information"][0] == curve.accuracy["random"][0]  # the same random beginning
    assert curve.needed["1.1"] == {"information": None, "random": None}


def test_the_command_prints_what_was_needed(data_dir: Path, tmp_path: Path) -> None:
    """On a slice of a public set, by its own columns; out-of-scope rows are not asked about."""
    rows = [line for at, line in enumerate(_lines(data_dir / "clinc150_oos/test.csv.gz")) if at < 160]
    (tmp_path / "few.csv").write_text("".join(rows))
    done = CliRunner().invoke(
        app,
        [
            *("labels", "simulate", "--train", str(tmp_path / "few.csv"), "--test", str(tmp_path / "few.csv")),
            *("--map", "text=text,label=label", "--start", "10", "--step", "20", "--most", "60", "--seeds", "1"),
            *("--wanted", "0.05", "--format", "json"),
        ],
    )
    assert done.exit_code == 0, done.output
    curve = json.loads(done.output)
    assert curve["answers"] == [10, 30, 50]
    assert set(curve["needed"]["0.05"]) == {"information", "random"}


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.readlines()


@pytest.mark.parametrize("goal", ["0.5,x", ""])
def test_a_goal_that_is_no_number_is_refused(goal: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["labels", "simulate", "--train", "a", "--test", "b", "--wanted", goal])
    assert done.exit_code != 0
