"""kill -9 at random points: the run that is started again ends with the very model of an undisturbed one."""

import json
import multiprocessing
import os
import random
import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from services.core.kit.errors import ConfigurationInvalid, Conflict
from services.core.models.manifest import Manifest, read_manifest
from services.trainer.config import FitConfig
from services.trainer.fit import fit, identify
from services.trainer.run import open_run
from tests.services.trainer.bundles import made_up_tickets, tiny_encoder

# A process that has the heavy libraries loaded and no thread: its children start at once and may be killed.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.services.trainer.bundles",
        "torch.onnx",
        "transformers.models.bert.modeling_bert",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "onnxruntime.quantization",
        "sklearn.svm",
        "sklearn.feature_extraction.text",
        "scipy.optimize",
        "scipy.stats",
        "threadpoolctl",
    ]
)
ROWS = 240


def train(out: Path, base_model: str, told: Connection) -> None:
    config = FitConfig(epochs=2, base_model=base_model, max_tokens=48, checkpoint_s=0.0)
    fit(made_up_tickets(ROWS), out, config, lambda *said: told.send(said))


def trained_until(out: Path, *, messages: int | None) -> tuple[int, bool]:
    """How much a training said before it ended, or was killed upon its `messages`-th word; whether it was killed."""
    hears, told = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=train, args=(out, str(tiny_encoder()), told))
    process.start()
    told.close()
    said = 0
    try:
        while messages is None or said < messages:
            hears.recv()
            said += 1
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
    except EOFError:
        pass  # it has ended
    process.join()
    return said, process.exitcode == -signal.SIGKILL


def what_counts(manifest: Manifest) -> dict:
    """All but names, times and durations."""
    kept = manifest.model_dump(exclude={"model_version", "created_at", "fit_seconds"})
    kept["metrics"].pop("finetune_seconds")
    return kept


def disturbed(tmp_path: Path, kills: int) -> None:
    """Runs of which each is killed at two random words of what is left, until there were so many kills."""
    whole, _ = trained_until(tmp_path / "undisturbed", messages=None)
    expected = what_counts(read_manifest(tmp_path / "undisturbed"))
    chance, killed, number = random.Random(7), 0, 0
    while killed < kills:
        number += 1
        out, left = tmp_path / f"disturbed-{number}", whole
        for _ in range(2):
            said, was_killed = trained_until(out, messages=chance.randrange(1, left))
            killed += was_killed
            left -= said
            if not was_killed or left < 2:
                break
        if not out.exists():
            said, _ = trained_until(out, messages=None)
            assert said < whole
        assert what_counts(read_manifest(out)) == expected


def test_two_kills_change_nothing(tmp_path: Path):
    disturbed(tmp_path, 2)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path: Path):
    disturbed(tmp_path, 20)


def test_two_trainings_do_not_share_a_folder(tmp_path: Path):
    folder = tmp_path / "run"
    with open_run(folder, "one"), pytest.raises(Conflict, match="Another training runs"), open_run(folder, "one"):
        pass


def test_a_run_that_an_older_trainer_began_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch):
    """Its folder holds other files: what is looked for there would be missing."""
    config = FitConfig()
    now = identify("data", config)
    assert identify("data", replace(config, checkpoint_s=1)) == now  # how often it is saved changes nothing
    monkeypatch.setattr("services.trainer.fit.LAYOUT", 1)
    assert identify("data", config) != now


def test_a_run_that_can_lie_nowhere_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ConfigurationInvalid, match="Name another: POINTSMAN_TRAINER_RUN_DIR")
    with refused, open_run(tmp_path / "file" / "run", "one"):
        pass


def test_a_run_over_other_data_begins_anew(tmp_path: Path):
    """What was prepared from other tickets, or too long ago, is not gone on with."""
    with open_run(tmp_path / "run", "one") as run:
        run.stage("prepare", lambda folder: None)
    with open_run(tmp_path / "run", "one") as run:
        assert run.has("prepare")
    with open_run(tmp_path / "run", "two") as run:
        assert not run.has("prepare")
        run.stage("prepare", lambda folder: None)
    state = tmp_path / "run" / "run.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"started_at": "2026-01-01T00:00:00+00:00"}))
    with open_run(tmp_path / "run", "two") as run:
        assert not run.has("prepare")
