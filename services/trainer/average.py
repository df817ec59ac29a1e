"""
One model from two fine-tunings of the same base: the mean of their weights, served at the price of one.

Source: model soups, Wortsman et al. 2022, arXiv:2203.05482.
"""

from pathlib import Path
from typing import Any

from services.trainer.checkpoint import trained_weights

WEIGHTS_FILE = "weights.safetensors"


def keep_weights(module: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(trained_weights(module), folder / WEIGHTS_FILE)


def average_with(module: Any, folder: Path) -> None:
    """Moves `module` half-way to the weights that `keep_weights` wrote to `folder`; the same base and groups."""
    from safetensors.torch import load_file

    others = load_file(folder / WEIGHTS_FILE)
    for name, value in trained_weights(module).items():
        value.lerp_(others[name], 0.5)
