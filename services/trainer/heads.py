"""
Fits the heads beside the group. A linear head over the whole embedding and boosted trees over the table and the
embedding's main components compete on rows that neither has seen; the better one is fitted again on all.

A target that the tickets do not carry has no head. Hours and breach are judged half on the newest tickets, for times
change, and half on any: those of the newest that are closed already are the quick ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core.models.heads import (
    BREACH,
    BREACH_LABELS,
    CLASSES,
    HOURS,
    Category,
    Head,
    Line,
    View,
    category_keys,
    chances,
    hours_of,
)
from services.core.models.manifest import HeadRules
from services.trainer import metrics
from services.trainer.boosting import boost
from services.trainer.calibrate import fit_temperature
from services.trainer.prepare import Example

ROWS_MIN = 200
JUDGED_MIN = 40
CLASS_ROWS_MIN = 10  # a word that fewer tickets carry is no class
JUDGED_SHARE = 0.15
COVERAGE = 0.8
QUANTILES = (0.1, 0.5, 0.9)
COMPONENTS = 16
TARGETS_MAX = 5  # classes whose share is kept for each category
SHRINKAGE = 10.0  # imagined tickets of the overall mean in each category
FOLDS = 5
RIDGE = 300.0
DECIDES_PRECISION = 0.8
DECIDES_ROWS_MIN = 20
GAIN_MIN = 0.02  # what chance alone may show on few unseen rows
BREACH_AUC_MIN = 0.6  # a head that orders tickets no better is no reason to alarm anybody
ECE_MAX = 0.05  # beyond what chance alone shows

Kind = Literal["linear", "boosted"]
KINDS: tuple[Kind, ...] = ("linear", "boosted")
OWN = frozenset(CLASSES)  # priority is made of impact and urgency: none may be read by the others


@dataclass(frozen=True)
class Task:
    """One head's rows of all (n,), their targets (n,), classes (none for hours) and categories to read."""

    name: str
    rows: NDArray[np.intp]
    truth: NDArray[np.float64]
    labels: tuple[str, ...]
    categories: tuple[str, ...]


def judge_heads(
    rows: Sequence[Example], embeddings: NDArray[np.float32], held_out: NDArray[np.bool_], seed: int
) -> dict[str, HeadRules]:
    """
    For each head that these rows can teach: the better kind, its calibration and its figures on unseen rows. One that
    is hardly better than saying the same of every ticket is left out.
    """
    judged = {task.name: _judge(task, rows, embeddings, held_out, seed) for task in tasks_of(rows, held_out)}
    return {name: rule for name, rule in judged.items() if _is_of_use(rule)}


def _is_of_use(rule: HeadRules) -> bool:
    return rule.metrics[f"loss_{rule.kind}"] <= (1 - GAIN_MIN) * rule.metrics["loss_none"]


def fit_heads(
    rows: Sequence[Example], embeddings: NDArray[np.float32], rules: Mapping[str, HeadRules], seed: int
) -> dict[str, Head]:
    """Those heads, of the kind that was chosen, on all rows."""
    tasks = {task.name: task for task in tasks_of(rows)}
    return {name: _fit(_narrow(tasks[name], rule), rows, embeddings, rule.kind, seed) for name, rule in rules.items()}


def tasks_of(rows: Sequence[Example], held_out: NDArray[np.bool_] | None = None) -> list[Task]:
    found = [_hours_task(rows), _class_task(rows, BREACH, _breach_word)]
    found += [_class_task(rows, name, lambda row, name=name: getattr(row.targets, name)) for name in CLASSES]
    tasks = [task for task in found if task is not None]
    return [task for task in tasks if held_out is None or _is_judged(task, rows, held_out)]


def _breach_word(row: Example) -> str:
    return "" if row.targets.breached is None else BREACH_LABELS[row.targets.breached]


def _hours_task(rows: Sequence[Example]) -> Task | None:
    known = [(at, row.targets.hours) for at, row in enumerate(rows) if row.targets.hours is not None]
    if len(known) < ROWS_MIN:
        return None
    places, hours = zip(*known, strict=True)
    return Task(HOURS, np.array(places), np.log1p(np.maximum(hours, 0)), (), _categories(rows, frozenset()))


def _class_task(rows: Sequence[Example], name: str, word: Callable[[Example], str]) -> Task | None:
    counts = Counter(filter(None, map(word, rows)))
    labels = tuple(sorted(label for label, n in counts.items() if n >= CLASS_ROWS_MIN))
    if name == BREACH:
        labels = BREACH_LABELS if set(labels) == set(BREACH_LABELS) else ()
    if len(labels) < 2 or sum(counts[label] for label in labels) < ROWS_MIN:
        return None
    known = [(at, labels.index(word(row))) for at, row in enumerate(rows) if word(row) in labels]
    places, truth = zip(*known, strict=True)
    hidden = frozenset() if name == BREACH else OWN
    return Task(name, np.array(places), np.array(truth, np.float64), labels, _categories(rows, hidden))


def _categories(rows: Sequence[Example], hidden: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted({name for row in rows for name in row.facts.categories} - hidden))


def _narrow(task: Task, rule: HeadRules) -> Task:
    """With the classes that were judged: all rows may hold one more."""
    if not task.labels or task.labels == rule.labels:
        return task
    words = [task.labels[int(at)] for at in task.truth]
    kept = [place for place, word in enumerate(words) if word in rule.labels]
    truth = np.array([rule.labels.index(words[place]) for place in kept], np.float64)
    return Task(task.name, task.rows[kept], truth, rule.labels, task.categories)


def _judged_rows(task: Task, rows: Sequence[Example], held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the task's rows (n,) are judged on."""
    opened = [rows[at].facts.opened_at for at in task.rows]
    if task.name not in (HOURS, BREACH) or any(at is None for at in opened):
        return held_out[task.rows]
    times = np.array([at.timestamp() for at in opened if at])
    newest = times > np.quantile(times, 1 - JUDGED_SHARE / 2)
    return newest | (np.random.default_rng(len(times)).random(len(times)) < JUDGED_SHARE / 2)


def _is_judged(task: Task, rows: Sequence[Example], held_out: NDArray[np.bool_]) -> bool:
    judged = _judged_rows(task, rows, held_out)
    seen = set(task.truth[~judged].tolist())
    return judged.sum() >= JUDGED_MIN and (not task.labels or seen == set(range(len(task.labels))))


def _judge(
    task: Task, rows: Sequence[Example], embeddings: NDArray[np.float32], held_out: NDArray[np.bool_], seed: int
) -> HeadRules:
    judged = _judged_rows(task, rows, held_out)
    learnt = Task(task.name, task.rows[~judged], task.truth[~judged], task.labels, task.categories)
    asked, truth = task.rows[judged], task.truth[judged]
    facts = [rows[at].facts for at in asked]
    scores = {kind: _fit(learnt, rows, embeddings, kind, seed).score(facts, embeddings[asked]) for kind in KINDS}
    conclude = _conclude_hours if task.name == HOURS else _conclude_classes
    found = {kind: conclude(task, values, truth, learnt.truth) for kind, values in scores.items()}
    best = min(KINDS, key=lambda kind: found[kind][0])
    others = {f"loss_{kind}": found[kind][0] for kind in KINDS} | {
        "loss_none": _loss_of_none(task, truth, learnt.truth)
    }
    rule = found[best][1]
    return rule.model_copy(
        update={"kind": best, "categories": task.categories, "metrics": {**rule.metrics, **others, "rows": len(truth)}}
    )


def _loss_of_none(task: Task, truth: NDArray[np.float64], learnt: NDArray[np.float64]) -> float:
    """What the median of hours, or the share of each class, would lose."""
    if not task.labels:
        return float(np.abs(np.expm1(np.median(learnt)) - np.expm1(truth)).mean())
    shares = np.bincount(learnt.astype(int), minlength=len(task.labels)) / len(learnt)
    return float(-np.log(shares[truth.astype(int)]).mean())


def _conclude_hours(
    task: Task, scores: NDArray[np.float64], truth: NDArray[np.float64], learnt: NDArray[np.float64]
) -> tuple[float, HeadRules]:
    """Mean absolute error in hours, and the conformal margin; its coverage is measured on the other half."""
    order = np.random.default_rng(0).permutation(len(truth))
    halves = order[::2], order[1::2]
    covered = [_covers(scores[b], truth[b], _margin(scores[a], truth[a])) for a, b in (halves, halves[::-1])]
    hours = np.expm1(truth)
    error = float(np.abs(hours_of(scores, 0.0)[:, 1] - hours).mean())
    figures = {
        "mae_h": error,
        "mae_median_h": _loss_of_none(task, truth, learnt),
        "coverage": float(np.concatenate(covered).mean()),
    }
    return error, HeadRules(kind="linear", margin=_margin(scores, truth), metrics=figures)


def _margin(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """
    What the interval must be widened by (less than 0: narrowed) to hold four in five.

    Source: conformalised quantile regression, Romano et al. 2019, arXiv:1905.03222.
    """
    missed = np.maximum(scores[:, 0] - truth, truth - scores[:, 2])
    return float(np.quantile(missed, min(1.0, COVERAGE * (1 + 1 / len(missed)))))


def _covers(scores: NDArray[np.float64], truth: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
    return (truth >= scores[:, 0] - margin) & (truth <= scores[:, 2] + margin)


def _conclude_classes(
    task: Task, scores: NDArray[np.float64], truth: NDArray[np.float64], learnt: NDArray[np.float64]
) -> tuple[float, HeadRules]:
    """Log loss after temperature, and from which probability on the word is followed."""
    index = truth.astype(np.int32)
    temperature = fit_temperature(np.log(np.maximum(chances(scores, 1.0), 1e-12)).astype(np.float32), index)
    probabilities = chances(scores, temperature)
    top, guess = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = guess == index
    figures = {
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(index, guess.astype(np.int32)),
        "ece": metrics.calibration_error(top, right),
        "ece_noise": metrics.calibration_noise(top),
        "majority": float((index == np.bincount(learnt.astype(int)).argmax()).mean()),
    }
    if task.name == BREACH:
        figures["auc"] = metrics.auc(probabilities[:, 1], index == 1)
    loss = float(-np.log(np.maximum(probabilities[np.arange(len(index)), index], 1e-12)).mean())
    decides = _breach_decides(figures) if task.name == BREACH else _decides_from(top, right, figures)
    return loss, HeadRules(
        kind="linear", labels=task.labels, temperature=temperature, decides_from=decides, metrics=figures
    )


def _breach_decides(figures: Mapping[str, float]) -> float | None:
    """Its chance is acted upon at any height where it is calibrated and orders tickets better than a coin does."""
    return 0.0 if figures["ece"] <= figures["ece_noise"] + ECE_MAX and figures["auc"] >= BREACH_AUC_MIN else None


def _decides_from(top: NDArray[np.float64], right: NDArray[np.bool_], figures: Mapping[str, float]) -> float | None:
    """The least probability from which on it is right often enough; None of one that is not calibrated, or no use."""
    if figures["ece"] > figures["ece_noise"] + ECE_MAX or figures["accuracy"] <= figures["majority"]:
        return None
    order = np.argsort(-top)
    counts = np.arange(1, len(order) + 1)
    precision = (np.cumsum(right[order]) + 1) / (counts + 2)
    good = np.flatnonzero((precision >= DECIDES_PRECISION) & (counts >= DECIDES_ROWS_MIN))
    return float(top[order[good[-1]]]) if len(good) else None


def _fit(task: Task, rows: Sequence[Example], embeddings: NDArray[np.float32], kind: Kind, seed: int) -> Head:
    targets = _targets(task)
    facts, own = [rows[at].facts for at in task.rows], embeddings[task.rows]
    names = task.categories
    view = View(
        {name: _category(category_keys(facts, name), targets) for name in names},
        targets.mean(axis=0).astype(np.float32),
        _components(own),
    )
    tabular = _out_of_fold(view, facts, targets, seed)
    if kind == "linear":
        return Head(view, _line(np.hstack([tabular, own.astype(np.float64)]), task))
    return Head(view, boost(view.join(tabular, own), task.truth, QUANTILES if task.name == HOURS else (), seed=seed))


def _targets(task: Task) -> NDArray[np.float64]:
    """(n, T): what each category's mean is taken of."""
    if not task.labels:
        return task.truth[:, None]
    common = np.argsort(-np.bincount(task.truth.astype(int)), kind="stable")[:TARGETS_MAX]
    common = np.array([1]) if len(task.labels) == 2 else common
    return (task.truth[:, None] == common).astype(np.float64)


def _category(keys: NDArray[np.uint64], targets: NDArray[np.float64]) -> Category:
    unique, place = np.unique(keys, return_inverse=True)
    counts = np.bincount(place)
    sums = np.stack([np.bincount(place, column) for column in targets.T], axis=1)
    means = (sums + SHRINKAGE * targets.mean(axis=0)) / (counts[:, None] + SHRINKAGE)
    return Category(unique, means.astype(np.float32), counts.astype(np.float32))


def _out_of_fold(view: View, facts: list, targets: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The table of the learnt rows, each category's mean taken of the other rows: their own would tell the answer."""
    table = view.tabular(facts)
    if not view.categories:
        return table
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(facts))
    keys = {name: category_keys(facts, name) for name in view.categories}
    width = targets.shape[1]
    for number in range(FOLDS):
        inside, outside = fold == number, fold != number
        for place, name in enumerate(view.categories):
            begin = 3 + place * (width + 1)
            read = _category(keys[name][outside], targets[outside]).read(keys[name][inside], view.prior)
            table[inside, begin : begin + width] = read[:, :width]
    return table


def _components(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, P): the directions in which the texts differ most."""
    centred = embeddings - embeddings.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS]).astype(np.float32)


def _line(features: NDArray[np.float64], task: Task) -> Line:
    known = np.isfinite(features).any(axis=0)
    mean = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
    scale = np.where(known, np.nanstd(np.where(known, features, 0.0), axis=0), 1.0) + 1e-6
    standard = np.nan_to_num((features - mean) / scale)
    weights, bias = _regress(standard, task.truth) if not task.labels else _discriminate(standard, task.truth)
    return Line(weights, bias, mean, scale)


def _regress(features: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Ridge regression, and the quantiles of what it leaves."""
    centre = truth.mean()
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features.T @ (truth - centre))
    left = np.quantile(truth - centre - features @ weights, QUANTILES)
    return np.repeat(weights[:, None], len(QUANTILES), axis=1), centre + left


def _discriminate(features: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=0.01, max_iter=300).fit(features, truth)
    return np.ascontiguousarray(fitted.coef_.T), np.asarray(fitted.intercept_)
