"""Fine-tunes a Hugging Face encoder with a cosine head for a number of epochs, within a time limit."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from services.trainer.checkpoint import Checkpoints, Position
from services.trainer.team import ALONE, Team

if TYPE_CHECKING:
    import torch

BATCH = 32
ENCODER_RATE = 2e-4  # peak of the triangle; the encoder is small and the run is short
HEAD_RATE = 2e-2
WEIGHT_DECAY = 0.01
WARM_UP_SHARE = 0.1
LOGIT_SCALE = 20.0  # cosines are within -1..1: softmax needs a wider range
SLICE_TOKENS = 1_024  # activations of one slice: 1.1 GiB at the peak with 128-token texts, 1.8 GiB without slices
POOL_BATCHES = 32  # batches sorted by length within pools of this many


@dataclass(frozen=True)
class TuneConfig:
    """`limit_s`: wall-clock seconds after which the training loop ends. Not reached, runs are repeatable."""

    base_model: str
    epochs: int
    limit_s: float
    max_tokens: int = 128
    threads: int = 1
    seed: int = 20261120


@dataclass(frozen=True)
class Shard:
    """One process's part: rows `places` of `total`, their texts and labels."""

    config: TuneConfig
    groups: int
    total: int
    places: NDArray[np.int64]
    texts: tuple[str, ...]
    labels: NDArray[np.int32]


class Rows:
    """The rows of a shard by their place among all: tokens and labels of its own, the length of every one."""

    def __init__(self, shard: Shard, tokenizer: Any, team: Team) -> None:
        limit = shard.config.max_tokens
        tokens = tokenizer(list(shard.texts), truncation=True, max_length=limit)["input_ids"] if shard.texts else []
        self.tokens = dict(zip(shard.places.tolist(), tokens, strict=True))
        self.label = dict(zip(shard.places.tolist(), shard.labels.tolist(), strict=True))
        self.lengths = np.zeros(shard.total, np.int64)
        for places, lengths in team.gather((shard.places, [len(ids) for ids in tokens])):
            self.lengths[places] = lengths


@dataclass(frozen=True)
class Tuned:
    """A torch module (ids, mask) -> (embedding (B, H), logits (B, Q)), its tokenizer, and what was done."""

    module: Any
    tokenizer: Any
    epochs: float
    seconds: float


def load_base(base_model: str) -> tuple[Any, Any]:
    """Encoder and fast tokenizer of a folder or hub name."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars run through ours
    encoder = AutoModel.from_pretrained(base_model, attn_implementation="sdpa")
    return encoder, AutoTokenizer.from_pretrained(base_model)


def build_module(encoder: Any, groups: int | None) -> Any:
    """Mean pooling, length 1, and (when `groups` is given) a cosine head."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            if groups is not None:
                self.prototypes = nn.Parameter(torch.zeros(groups, encoder.config.hidden_size))
                self.bias = nn.Parameter(torch.zeros(groups))

        def embed(self, input_ids: "torch.Tensor", attention_mask: "torch.Tensor") -> "torch.Tensor":
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, H)
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            return nn.functional.normalize(mean.float(), dim=-1)

        def forward(self, input_ids: "torch.Tensor", attention_mask: "torch.Tensor") -> Any:
            embedding = self.embed(input_ids, attention_mask)
            if groups is None:
                return embedding
            logits = LOGIT_SCALE * embedding @ self.prototypes.T + self.bias
            return embedding, logits

    return Classifier()


def finetune(
    texts: Sequence[str],
    labels: NDArray[np.int32],
    groups: int,
    config: TuneConfig,
    *,
    checkpoints: Checkpoints,
    progress: Callable[[float, str], None],
    team: Team = ALONE,
) -> Tuned:
    """
    Trains encoder and head on all of `texts`; `progress` gets the fraction done and a line of detail.

    Where a run was killed it goes on from the last checkpoint, and ends with the very weights it would have had. The
    other processes of a team are in `follow`.
    """
    parts = [_shard(texts, labels, groups, config, place, team.size) for place in range(team.size)]
    return _tune(team.hand_out(parts), team, checkpoints, progress)


def follow(team: Team) -> None:
    """What every process of a team but the first does: each fine-tuning with its shard, until it is dismissed."""
    while (shard := team.hand_out(())) is not None:
        _tune(shard, team, None, lambda fraction, detail: None)


def dismiss(team: Team) -> None:
    """Ends `follow` in the others."""
    if team.size > 1:
        team.hand_out([None] * team.size)


def _shard(
    texts: Sequence[str], labels: NDArray[np.int32], groups: int, config: TuneConfig, place: int, size: int
) -> Shard:
    own = np.arange(place, len(texts), size)
    return Shard(config, groups, len(texts), own, tuple(texts[at] for at in own), labels[own])


def _tune(shard: Shard, team: Team, checkpoints: Checkpoints | None, progress: Callable[[float, str], None]) -> Tuned:
    import torch

    config = shard.config
    torch.manual_seed(config.seed + team.rank)  # each drops out other units
    torch.set_num_threads(config.threads)
    encoder, tokenizer = load_base(config.base_model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = build_module(encoder, shard.groups).to(device)
    encoder.embeddings.word_embeddings.weight.requires_grad_(False)  # half the parameters, hardly any of the gain
    rows = Rows(shard, tokenizer, team)
    _place_prototypes(module, rows, team)
    epochs, seconds = _train(module, rows, config, team, checkpoints=checkpoints, progress=progress)
    return Tuned(module.to("cpu").eval(), tokenizer, epochs, seconds)


def _place_prototypes(module: Any, rows: Rows, team: Team) -> None:
    """Starts the head at each group's mean embedding: the first step already knows what k-NN knows."""
    import torch

    device = module.prototypes.device
    sums = torch.zeros_like(module.prototypes)
    order = sorted(rows.tokens, key=lambda at: len(rows.tokens[at]))
    with torch.inference_mode(), _autocast(module):
        for start in range(0, len(order), 2 * BATCH):
            some = order[start : start + 2 * BATCH]
            embedding = module.embed(*_pad([rows.tokens[at] for at in some], device))
            target = torch.as_tensor([rows.label[at] for at in some], device=device)
            sums.index_add_(0, target.long(), embedding.float())
    with torch.no_grad():
        team.add_up([sums])
        module.prototypes.copy_(torch.nn.functional.normalize(sums, dim=-1))


class Pace:
    """
    How far a run is: by steps, or by seconds where the time limit comes first.

    The learning rate follows it, so a run that the limit cuts short still has a finished schedule.
    """

    def __init__(self, config: TuneConfig, per_epoch: int, *, spent_s: float = 0.0) -> None:
        self._limit_s = config.limit_s
        self._total = per_epoch * config.epochs
        self._started = time.monotonic() - spent_s

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def done(self, step: int) -> float:
        """Share of the run that is over (1 or more: stop) before `step`, counted from 0."""
        by_clock = self.seconds / self._limit_s - 1 / self._total  # a step late: repeatable
        return max(step / self._total, by_clock)


def _train(
    module: Any,
    rows: Rows,
    config: TuneConfig,
    team: Team,
    *,
    checkpoints: Checkpoints | None,
    progress: Callable[[float, str], None],
) -> tuple[float, float]:
    """Runs the loop; epochs and seconds actually spent, those before a kill included."""
    module.train()
    optimiser = _build_optimiser(module)
    rates = [group["lr"] for group in optimiser.param_groups]
    begun = checkpoints.resume(module, optimiser) if checkpoints else Position()
    begun = _agree(begun, module, optimiser, team)
    per_epoch, step = math.ceil(len(rows.lengths) / BATCH), begun.step
    pace = Pace(config, per_epoch, spent_s=begun.seconds)
    for step, places in enumerate(islice(_batches(rows.lengths, config.seed), begun.step, None), begun.step):
        if (done := team.tell(pace.done(step))) >= 1:  # by the clock of the first
            break
        if checkpoints:
            checkpoints.save_when_due(module, optimiser, Position(step, pace.seconds))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * _triangle(done)
        _step(module, optimiser, rows, places, team)
        progress(done, f"epoch {step / per_epoch:.1f}")
    progress(1.0, f"{step / per_epoch:.1f} epochs")
    return step / per_epoch, pace.seconds


def _agree(begun: Position, module: Any, optimiser: Any, team: Team) -> Position:
    """Where the first process goes on from a checkpoint, the others take its weights and its optimiser's state."""
    if (begun := team.tell(begun)).step:
        module_state, optimiser_state = team.tell((module.state_dict(), optimiser.state_dict()))
        if not team.leads:
            module.load_state_dict(module_state)
            optimiser.load_state_dict(optimiser_state)
    return begun


def _step(module: Any, optimiser: Any, rows: Rows, places: NDArray[np.int64], team: Team) -> None:
    import torch

    optimiser.zero_grad(set_to_none=True)
    own = team.owns(places)
    if len(own):
        _backward(module, rows, own, of=len(places))
    _add_gradients(module, team)
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimiser.step()


def _add_gradients(module: Any, team: Team) -> None:
    if team.size == 1:
        return
    import torch

    trained = [value for value in module.parameters() if value.requires_grad]
    for value in trained:
        if value.grad is None:  # none of the batch lies here
            value.grad = torch.zeros_like(value)
    team.add_up([value.grad for value in trained])


def _backward(module: Any, rows: Rows, own: NDArray[np.int64], *, of: int) -> None:
    """Gradients of a batch of `of` rows, in slices of at most SLICE_TOKENS padded tokens: memory follows the slice."""
    import torch

    device = module.prototypes.device
    longest = max(len(rows.tokens[at]) for at in own.tolist())
    for part in np.array_split(own, math.ceil(len(own) * longest / SLICE_TOKENS)):
        places = part.tolist()
        with _autocast(module):
            _, logits = module(*_pad([rows.tokens[at] for at in places], device))
        target = torch.as_tensor([rows.label[at] for at in places], device=device).long()
        loss = torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum") / of
        loss.backward()


def _build_optimiser(module: Any) -> Any:
    import torch

    encoder = [p for p in module.encoder.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": encoder, "lr": ENCODER_RATE, "weight_decay": WEIGHT_DECAY},
            {"params": [module.prototypes, module.bias], "lr": HEAD_RATE, "weight_decay": 0.0},
        ],
        fused=True,
    )


def _triangle(done: float) -> float:
    """Learning rate over its peak when `done` (0..1) of the run is over: up within the warm-up, then down to 0."""
    return min((done + WARM_UP_SHARE / 10) / WARM_UP_SHARE, (1 - done) / (1 - WARM_UP_SHARE))


def _batches(lengths: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.int64]]:
    """Endless shuffled batches of texts of like length, so that little is spent on padding."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), POOL_BATCHES * BATCH):
            pool = order[start : start + POOL_BATCHES * BATCH]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[a : a + BATCH] for a in range(0, len(pool), BATCH)]
        yield from (batches[i] for i in random.permutation(len(batches)))


def _pad(rows: list[list[int]], device: Any) -> tuple[Any, Any]:
    import torch

    ids = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.as_tensor(row)
        mask[i, : len(row)] = 1
    return ids.to(device), mask.to(device)


def _autocast(module: Any) -> Any:
    """bfloat16 where the processor multiplies it natively; elsewhere it is emulated and slower."""
    import torch

    device = module.prototypes.device.type
    native = device == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device, dtype=torch.bfloat16, enabled=native)
