"""Several fine-tunings, one model: what is done is not done again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.trainer.average import finetune_mean
from services.trainer.finetune import TuneConfig, Tuned
from tests.services.trainer.bundles import made_up_tickets, tiny_encoder


def tuned(folder: Path, heard: list[str]) -> Tuned:
    rows = made_up_tickets(40, rare=0)
    groups: Sequence[str] = sorted({row.group for row in rows})
    labels = np.array([groups.index(row.group) for row in rows], np.int32)
    config = TuneConfig(base_model=str(tiny_encoder()), epochs=1, limit_s=60, max_tokens=16)
    return finetune_mean(
        [row.text for row in rows],
        labels,
        len(groups),
        config,
        fine_tunings=3,
        folder=folder,
        checkpoint_s=60,
        progress=lambda fraction, said: heard.append(f"{fraction:.2f} {said}"),
    )


def test_only_what_is_missing_is_tuned_again(tmp_path: Path):
    heard: list[str] = []
    whole = tuned(tmp_path, heard)
    assert heard[-1] == "1.00 3 of 3: 1.0 epochs"
    (tmp_path / "2.safetensors").unlink()
    again: list[str] = []
    same = tuned(tmp_path, again)
    assert again
    assert all("3 of 3" in line for line in again)
    assert whole.epochs == same.epochs == 1
    for name, value in whole.module.state_dict().items():
        np.testing.assert_allclose(value.numpy(), same.module.state_dict()[name].numpy(), atol=1e-6)
