"""
One model from several fine-tunings of the same base: the mean of their weights, served at the price of one.

Source: model soups, Wortsman et al. 2022, arXiv:2203.05482.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.trainer.checkpoint import Checkpoints, trained_weights
from services.trainer.finetune import TuneConfig, Tuned, build_module, finetune, load_base
from services.trainer.team import ALONE, Team


def finetune_mean(
    texts: Sequence[str],
    labels: NDArray[np.int32],
    groups: int,
    config: TuneConfig,
    *,
    fine_tunings: int,
    folder: Path,
    checkpoint_s: float,
    progress: Callable[[float, str], None],
    team: Team = ALONE,
) -> Tuned:
    """
    Fine-tunes so many times, each with a seed of its own and its share of the time limit, and takes the mean.

    Args:
        folder: where weights of those that are done are kept, and the checkpoint of the one that is not: a call after
            a kill goes on from there.
        progress: fraction of the whole, and a line of detail.
    Returns:
        Tuned: `epochs` of each, `seconds` of all.
    """
    folder.mkdir(exist_ok=True)
    kept = [folder / f"{number}.safetensors" for number in range(fine_tunings)]
    for number, path in enumerate(kept):
        if path.exists():
            continue
        checkpoint = path.with_suffix(".checkpoint")
        tuned = finetune(
            texts,
            labels,
            groups,
            replace(config, limit_s=config.limit_s / fine_tunings, seed=config.seed + number),
            checkpoints=Checkpoints(checkpoint, checkpoint_s),
            progress=lambda done, said, at=number: progress(
                (at + done) / fine_tunings, f"{at + 1} of {fine_tunings}: {said}"
            ),
            team=team,
        )
        _keep(tuned, path)
        checkpoint.unlink(missing_ok=True)
    return _mean(kept, config.base_model, groups)


def _keep(tuned: Tuned, path: Path) -> None:
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    said = {"epochs": str(tuned.epochs), "seconds": str(tuned.seconds)}
    save_file(trained_weights(tuned.module), part, metadata=said)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _mean(kept: Sequence[Path], base_model: str, groups: int) -> Tuned:
    from safetensors import safe_open
    from safetensors.torch import load_file

    encoder, tokenizer = load_base(base_model)
    module = build_module(encoder, groups)
    means: dict[str, Any] = {}
    said = []
    for number, path in enumerate(kept, 1):
        with safe_open(path, "pt") as file:
            said.append(file.metadata())
        for name, value in load_file(path).items():
            means[name] = value if number == 1 else means[name].lerp_(value, 1 / number)
    module.load_state_dict(means, strict=False)  # the words' embeddings are the base model's
    epochs = sum(float(one["epochs"]) for one in said) / len(said)
    return Tuned(module.eval(), tokenizer, epochs, sum(float(one["seconds"]) for one in said))
