"""
The heads beside the group: priority, impact, urgency, hours to resolution, risk of breach. numpy alone.

Each reads the text's embedding and what is known of the ticket (`contracts.facts.Facts`); categories are kept as hashes
with the mean of what was to be learnt, so that no name of a customer lies in a bundle. `services.trainer.heads` fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.facts import Facts
from services.core.contracts.prediction import Hours, Learned, Outlook
from services.core.models.manifest import HEADS_FILE, HeadRules
from services.core.models.pooling import log_softmax
from services.core.models.texts import text_key
from services.core.models.trees import TREE_ARRAYS, Trees

CLASSES = ("priority", "impact", "urgency")
HOURS, BREACH = "hours", "breach"
BREACH_LABELS = ("kept", "breached")
HOURS_MAX = 100_000.0  # eleven years: what a line may say beyond all that was seen


@dataclass(frozen=True)
class Category:
    """Of one category: `keys` (C,) sorted, mean of the target (C, T), how many tickets (C,)."""

    keys: NDArray[np.uint64]
    means: NDArray[np.float32]
    counts: NDArray[np.float32]

    def read(self, keys: NDArray[np.uint64], prior: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B, T + 1): mean and number of tickets; what was never seen has the overall mean, and none."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = (self.keys[at] == keys)[:, None]
        return np.hstack([np.where(known, self.means[at], prior), np.where(known, self.counts[at][:, None], 0.0)])


@dataclass(frozen=True)
class View:
    """What a head looks at. `prior` (T,): overall mean of the target. `components` (H, P): of the embedding."""

    categories: Mapping[str, Category]
    prior: NDArray[np.float32]
    components: NDArray[np.float32]

    def tabular(self, facts: Sequence[Facts]) -> NDArray[np.float64]:
        """Hour, weekday, queue, then the categories; nan where nothing is known."""
        parts = [np.array([_moment(fact) for fact in facts], np.float64)]
        parts += [one.read(category_keys(facts, name), self.prior) for name, one in self.categories.items()]
        return np.hstack(parts)

    def join(self, tabular: NDArray[np.float64], embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.hstack([tabular, (embeddings @ self.components).astype(np.float64)])


@dataclass(frozen=True)
class Line:
    """Scores of a linear head: standardised table and embedding times `weights` (F, K), unknown ones at their mean."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.nan_to_num((features - self.mean) / self.scale) @ self.weights + self.bias


LINE_ARRAYS = ("weights", "bias", "mean", "scale")


@dataclass(frozen=True)
class Head:
    view: View
    model: Line | Trees

    def score(self, facts: Sequence[Facts], embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B, K): log hours at the three quantiles, or a score for each class."""
        tabular = self.view.tabular(facts)
        if isinstance(self.model, Line):
            return self.model.score(np.hstack([tabular, embeddings.astype(np.float64)]))
        return self.model.score(self.view.join(tabular, embeddings))


Heads = Mapping[str, Head]


def outlooks(
    heads: Heads, rules: Mapping[str, HeadRules], facts: Sequence[Facts], embeddings: NDArray[np.float32]
) -> list[Outlook]:
    """What all heads say of a batch."""
    columns = {name: _say(name, heads[name].score(facts, embeddings), rules[name]) for name in heads}
    is_sure = BREACH in heads and rules[BREACH].decides_from is not None
    return [
        Outlook(**{name: column[row] for name, column in columns.items()}, is_breach_sure=is_sure)
        for row in range(len(facts))
    ]


def chances(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Calibrated probabilities (B, Q); of two classes there is one score, of the second."""
    both = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
    return np.exp(log_softmax(both.astype(np.float32), temperature)).astype(np.float64)


def hours_of(scores: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """(B, 3) hours: low, middle, high, in this order whatever the trees say."""
    middle = scores[:, 1]
    low, high = np.minimum(scores[:, 0] - margin, middle), np.maximum(scores[:, 2] + margin, middle)
    return np.clip(np.expm1(np.minimum(np.column_stack([low, middle, high]), 20.0)), 0, HOURS_MAX)


def category_keys(facts: Sequence[Facts], name: str) -> NDArray[np.uint64]:
    return np.array([text_key(fact.categories.get(name, "")) for fact in facts], np.uint64)


def save_heads(folder: Path, heads: Heads) -> None:
    from safetensors.numpy import save_file

    arrays: dict[str, NDArray] = {}
    for name, head in heads.items():
        own = {part: getattr(head.model, part) for part in _parts(head.model)}
        own |= {"prior": head.view.prior, "components": head.view.components}
        for place, one in enumerate(head.view.categories.values()):
            own |= {f"{place}.keys": one.keys, f"{place}.means": one.means, f"{place}.counts": one.counts}
        arrays |= {f"{name}.{part}": np.ascontiguousarray(value) for part, value in own.items()}
    save_file(arrays, folder / HEADS_FILE)


def load_heads(folder: Path, rules: Mapping[str, HeadRules]) -> Heads:
    """The heads that the manifest names; none of a bundle without."""
    from safetensors.numpy import load_file

    if not rules:
        return {}
    arrays = load_file(folder / HEADS_FILE)
    return {name: _load(arrays, name, rule) for name, rule in rules.items()}


def _load(arrays: Mapping[str, NDArray], name: str, rule: HeadRules) -> Head:
    categories = {
        category: Category(*(arrays[f"{name}.{place}.{part}"] for part in ("keys", "means", "counts")))
        for place, category in enumerate(rule.categories)
    }
    view = View(categories, arrays[f"{name}.prior"], arrays[f"{name}.components"])
    kind, parts = (Line, LINE_ARRAYS) if rule.kind == "linear" else (Trees, TREE_ARRAYS)
    return Head(view, kind(**{part: arrays[f"{name}.{part}"] for part in parts}))


def _parts(model: Line | Trees) -> tuple[str, ...]:
    return LINE_ARRAYS if isinstance(model, Line) else TREE_ARRAYS


def _moment(fact: Facts) -> tuple[float, float, float]:
    at, queue = fact.opened_at, fact.queue
    when = (at.hour + at.minute / 60, float(at.weekday())) if at else (np.nan, np.nan)
    return (*when, np.nan if queue is None else float(queue))


def _say(name: str, scores: NDArray[np.float64], rule: HeadRules) -> list:
    """A column of the outlook."""
    if name == HOURS:
        return [Hours(low=a, middle=b, high=c) for a, b, c in hours_of(scores, rule.margin).round(2).tolist()]
    probabilities = chances(scores, rule.temperature)
    if name == BREACH:
        return [min(1.0, float(one)) for one in probabilities[:, 1]]
    return [_learned(row, rule) for row in probabilities]


def _learned(probabilities: NDArray[np.float64], rule: HeadRules) -> Learned:
    best = int(probabilities.argmax())
    chance = min(1.0, float(probabilities[best]))
    decides = rule.decides_from is not None and chance >= rule.decides_from
    return Learned(label=rule.labels[best], probability=chance, decides=decides)
