"""Where fine-tuning goes on after a kill or a spot reclaim: weights, optimiser, random numbers, steps, seconds."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()


@dataclass(frozen=True)
class Position:
    """`step`: the next one, from 0. `seconds`: spent on those before."""

    step: int = 0
    seconds: float = 0.0


def trained_weights(module: Any) -> dict[str, Any]:
    """By name, in the module's own memory. The embeddings of words are the base model's, and half of all."""
    return {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


class Checkpoints:
    """
    One file, replaced every `every_s` seconds; written on a GPU it is read on a processor, and the other way round.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self._path = path
        self._every_s = every_s
        self._last = time.monotonic()

    def resume(self, module: Any, optimiser: Any) -> Position:
        """Puts the saved state into both; the beginning where there is none that can be read."""
        import torch

        if not self._path.exists():
            return Position()
        try:
            saved = torch.load(self._path, map_location="cpu", weights_only=True)
        except Exception as exc:  # half a file after a power cut: fine-tuning begins anew
            log.warning("trainer.checkpoint.unreadable", error=type(exc).__name__)
            return Position()
        module.load_state_dict(saved["module"], strict=False)  # the words' embeddings are the base model's
        optimiser.load_state_dict(saved["optimiser"])
        torch.set_rng_state(saved["random"])
        if torch.cuda.is_available() and saved["random_cuda"]:
            torch.cuda.set_rng_state_all(saved["random_cuda"])
        return Position(saved["step"], saved["seconds"])

    def save_when_due(self, module: Any, optimiser: Any, position: Position) -> None:
        import torch

        if time.monotonic() - self._last < self._every_s:
            return
        state = {
            "module": trained_weights(module),
            "optimiser": optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "step": position.step,
            "seconds": position.seconds,
        }
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._last = time.monotonic()
