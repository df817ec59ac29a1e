"""
How many answers of people it takes to be right so often: the review queue's order against a random one.

A pool of tickets is asked in rounds; after each a linear model on frozen embeddings learns what was answered so far and
is judged on other tickets. The queue's own order (`services.core.models.informative`) chooses; so does chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core.kit.errors import InputInvalid
from services.core.models.encoder import Encoder, load_encoder
from services.core.models.informative import order
from services.trainer.export import export_graph, quantise, wheel_model
from services.trainer.finetune import build_module, load_base
from services.trainer.prepare import Example, is_foreign

Way = Literal["information", "random"]
EMBED_BATCH = 64
TOKENS_MAX = 128
AHEAD = 400  # as the worker ranks: the least sure ones, then the order among them
RIDGE = 0.03  # on embeddings of length 1


@dataclass(frozen=True)
class Pool:
    """Embeddings (B, H) with rows of length 1 and groups (B,) of the tickets to ask and those to judge on."""

    asked: NDArray[np.float32]
    groups: NDArray[np.int64]
    judged: NDArray[np.float32]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """Mean accuracy over the seeds after each number of answers. `needed`: by wanted accuracy; None: not reached."""

    answers: tuple[int, ...]
    accuracy: dict[Way, tuple[float, ...]]
    needed: dict[str, dict[Way, int | None]]


def open_frozen(folder: Path) -> Encoder:
    """The base encoder as it is before any fine-tuning, written to `folder`: what a first model sees."""
    encoder, tokenizer = load_base(wheel_model())
    export_graph(build_module(encoder, None), tokenizer, folder)
    quantise(folder)
    return load_encoder(folder, max_tokens=TOKENS_MAX, threads=1)


def embed(encoder: Encoder, asked: Sequence[Example], judged: Sequence[Example]) -> Pool:
    """
    Raises:
        InputInvalid: no ticket of a group to ask or to judge on.
    """
    asked, judged = ([row for row in rows if not is_foreign(row)] for rows in (asked, judged))
    if not asked or not judged:
        raise InputInvalid("Both files need tickets of a group. Check --map label=COLUMN.")
    index = {group: at for at, group in enumerate(sorted({row.group for row in (*asked, *judged)}))}
    return Pool(
        _embeddings(encoder, asked),
        np.array([index[row.group] for row in asked]),
        _embeddings(encoder, judged),
        np.array([index[row.group] for row in judged]),
    )


def simulate(pool: Pool, *, start: int, step: int, most: int, seeds: int, wanted: Sequence[float]) -> Curve:
    """`start` random answers first, then `step` a round up to `most`."""
    rounds = tuple(range(start, min(most, len(pool.asked)) + 1, step))
    ways: tuple[Way, ...] = ("information", "random")
    accuracy: dict[Way, tuple[float, ...]] = {}
    for way in ways:
        runs = [_run(pool, way, rounds, np.random.default_rng(seed)) for seed in range(seeds)]
        accuracy[way] = tuple(fmean(run[at] for run in runs) for at in range(len(rounds)))
    needed = {f"{goal:g}": {way: _first(rounds, accuracy[way], goal) for way in ways} for goal in wanted}
    return Curve(rounds, accuracy, needed)


def _run(pool: Pool, way: Way, rounds: Sequence[int], random: np.random.Generator) -> list[float]:
    known = list(random.permutation(len(pool.asked))[: rounds[0]])
    found = []
    for before, upto in zip((rounds[0], *rounds), rounds, strict=False):
        if upto > before:
            known += _next(pool, known, way, upto - before, random)
        weights = _fit(pool, known)
        found.append(float(((pool.judged @ weights).argmax(axis=1) == pool.truth).mean()))
    return found


def _next(pool: Pool, known: list[int], way: Way, step: int, random: np.random.Generator) -> list[int]:
    left = np.setdiff1d(np.arange(len(pool.asked)), known)
    if way == "random":
        return list(random.permutation(left)[:step])
    scores = np.sort(pool.asked[left] @ _fit(pool, known), axis=1)
    unsure = 1.0 - np.clip(scores[:, -1] - scores[:, -2], 0, 1)
    ahead = np.argsort(-unsure, kind="stable")[:AHEAD]
    rows = left[ahead]
    return list(rows[order(unsure[ahead], pool.asked[rows], pool.asked[known[-AHEAD:]], first=step)])


def _fit(pool: Pool, known: Sequence[int]) -> NDArray[np.float64]:
    """Ridge regression on the groups' indicators: the weights (H, Q)."""
    x = pool.asked[known].astype(np.float64)
    targets = np.zeros((len(known), int(max(pool.groups.max(), pool.truth.max())) + 1))
    targets[np.arange(len(known)), pool.groups[known]] = 1.0
    penalty = RIDGE * np.eye(x.shape[1])
    return np.linalg.solve(x.T @ x + penalty, x.T @ targets)


def _first(rounds: Sequence[int], accuracy: Sequence[float], goal: float) -> int | None:
    return next((upto for upto, share in zip(rounds, accuracy, strict=True) if share >= goal), None)


def _embeddings(encoder: Encoder, rows: Sequence[Example]) -> NDArray[np.float32]:
    texts = [row.text for row in rows]
    parts = [encoder.run(texts[at : at + EMBED_BATCH])["embedding"] for at in range(0, len(texts), EMBED_BATCH)]
    return np.concatenate(parts)
