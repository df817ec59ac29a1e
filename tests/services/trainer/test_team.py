"""Two real processes train one model: started by torchrun at the same entry point, each with its shard."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.core.models.bundle import load_bundle
from services.core.models.manifest import read_manifest
from services.trainer.finetune import Rows, Shard, TuneConfig, _shard
from services.trainer.team import ALONE, Team
from tests.conftest import free_port
from tests.services.trainer.bundles import made_up_tickets, tiny_encoder

FRESH = [row.text for row in made_up_tickets(40, seed=9, rare=0)]
APART = 0.02  # in probability: sums of gradients are rounded in another order, and int8 rounds the weights again


@pytest.fixture(scope="module")
def sure_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout: each process would drop out other units."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    encoder = AutoModel.from_pretrained(tiny_encoder())
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.0
    encoder.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder()).save_pretrained(folder)
    return folder


def write_tickets(path: Path) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["body", "group"])
        rows.writerows((row.text, row.group) for row in made_up_tickets(301))  # odd: the shards differ in size
    return path


def train(out: Path, data: Path, encoder: Path, *, processes: int) -> Path:
    import os

    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={free_port()}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), "-m", "services.trainer", "--progress", "json"]
    environment = os.environ | {
        "POINTSMAN_TRAINER_BASE_MODEL": str(encoder),
        "POINTSMAN_TRAINER_MAX_TOKENS": "32",
        "OMP_NUM_THREADS": "1",
    }
    ran = subprocess.run(
        [*command, "--data", str(data), "--out", str(out), "--epochs", "2"],
        env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.count('"stage": "done"') == 1  # the first process alone speaks
    return out


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path: Path, sure_encoder: Path) -> None:
    """Fine-tuned twice (judged, and served), judged and exported by the first: the same answers within APART."""
    data = write_tickets(tmp_path / "closed.csv")
    alone, together = (load_bundle(train(tmp_path / f"bundle{n}", data, sure_encoder, processes=n)) for n in (1, 2))
    assert read_manifest(tmp_path / "bundle2").metrics["epochs"] == 2
    scores = [model.score(FRESH).members["encoder"] for model in (alone, together)]
    chances = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in scores]
    assert np.abs(chances[0] - chances[1]).max() < APART
    untrained = np.full_like(chances[0], 1 / chances[0].shape[1])
    assert np.abs(chances[0] - untrained).max() > 10 * APART  # and something was learnt


def test_a_shard_holds_its_own_rows_and_every_length() -> None:
    """No process reads the others' texts; batches of like length need the lengths of all."""
    from transformers import AutoTokenizer

    texts = [f"ticket {'word ' * n}" for n in range(7)]
    labels = np.arange(7, dtype=np.int32) % 2
    config = TuneConfig(base_model=str(tiny_encoder()), epochs=1, limit_s=60)
    shards = [_shard(texts, labels, 2, config, place, 2) for place in range(2)]
    assert [shard.places.tolist() for shard in shards] == [[0, 2, 4, 6], [1, 3, 5]]
    assert sorted(sum((shard.texts for shard in shards), ())) == sorted(texts)
    whole = Rows(_shard(texts, labels, 2, config, 0, 1), AutoTokenizer.from_pretrained(tiny_encoder()), ALONE)
    assert whole.lengths.tolist() == sorted(whole.lengths.tolist())
    assert isinstance(shards[0], Shard)


def test_every_row_of_a_batch_belongs_to_one_process() -> None:
    places = np.array([5, 2, 9, 4, 1])
    parts = [Team(rank, 3).owns(places).tolist() for rank in range(3)]
    assert parts == [[9], [4, 1], [5, 2]]
    assert ALONE.owns(places).tolist() == places.tolist()
