"""
Trains on one file exactly as the trainer does and judges on another; registers nothing.

Rows labelled `oos` or alike belong to no group: they are not learned from, and the router is right to send
them to a person. A group that only the judged file knows counts as a mistake.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.kit.errors import InputInvalid
from services.core.models.bundle import RouterModel, load_bundle
from services.core.models.manifest import BandRules
from services.core.models.pooling import log_softmax, pool
from services.trainer import metrics
from services.trainer.config import FitConfig, Progress
from services.trainer.fit import fit
from services.trainer.fixed import average, fixed_thresholds, surest_first
from services.trainer.foreseen import figures as foreseen
from services.trainer.judge import Outcome, apply
from services.trainer.prepare import Example, is_foreign, with_queue

SCORE_BATCH = 32  # what the router's micro-batches hold at most
SINGLE_ROWS = 200  # asked one by one for the latency
SCOPE_KEPT = 0.95  # share of in-scope tickets at which out-of-scope recall is compared with published figures


@dataclass(frozen=True)
class Judged:
    """
    Outcome and scope signal of every judged row; `truth` is -1 for a group that training did not know.

    `at_kept`: the outcome where the scope threshold keeps SCOPE_KEPT of the rows that belong to a group.
    """

    outcome: Outcome
    at_kept: Outcome
    truth: NDArray[np.int32]
    is_foreign: NDArray[np.bool_]
    members: dict[str, NDArray[np.intp]]  # each member's own first group
    chances: dict[str, NDArray[np.float32]]  # pooled; and the fine-tuned encoder's plain softmax, where there is one


def rehearse(
    train: Sequence[Example], test: Sequence[Example], config: FitConfig, *, seeds: int, progress: Progress
) -> dict[str, Any]:
    """
    Figures over `seeds` runs: the means, their `spread` (population standard deviation) and each run. `curve` is what
    the served confidence allows, `fixed_thresholds` what one threshold for all groups would do instead.

    Raises:
        InputInvalid: nothing to learn from, or nothing to judge on.
    """
    if all(is_foreign(row) for row in test):
        raise InputInvalid("The file to judge on has no row of any group. Check --map label=COLUMN.")
    queued = with_queue([*train, *test])  # those of both files were open then
    learnt, judged_on = queued[: len(train)], queued[len(train) :]
    runs = []
    for run in range(seeds):
        with tempfile.TemporaryDirectory(prefix="pointsman-evaluate-") as scratch:
            runs.append(_run(learnt, judged_on, replace(config, seed=config.seed + run), Path(scratch), progress))
    return summarise(runs)


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means of figures that every run has: not with every seed a head is learnt, or sure enough to decide."""
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    means = {name: fmean(run[name] for run in runs) for name in shared if isinstance(runs[0][name], float)}
    spread = {name: pstdev(run[name] for run in runs) for name in means} if len(runs) > 1 else {}
    counts = {name: value for name, value in runs[0].items() if isinstance(value, int)}
    heads = sorted(set.intersection(*(set(run["heads"]) for run in runs)))
    others = {name: average([run[name] for run in runs]) for name in ("baseline", "curve", "fixed_thresholds")}
    return {**counts, **means, "heads": heads, **others, "spread": spread, "runs": runs}


def _run(
    train: Sequence[Example], test: Sequence[Example], config: FitConfig, folder: Path, progress: Progress
) -> dict[str, Any]:
    started = time.monotonic()
    manifest = fit(train, folder / "bundle", config, progress)
    train_s = time.monotonic() - started
    model = load_bundle(folder / "bundle", threads=config.threads)
    judged, speed = _judge(model, test), _speed(model, [row.text for row in test])
    held_out = {
        f"held_out_{name}": manifest.metrics[name] for name in ("accuracy", "macro_f1") if name in manifest.metrics
    }
    return {
        **_figures(judged, model),
        **foreseen(model, train, test),
        **held_out,
        **{name: manifest.metrics[name] for name in ("fine_tunings", "epochs") if name in manifest.metrics},
        "train_s": train_s,
        **speed,
        "heads": sorted(manifest.heads),
        "baseline": _baseline(judged),
        **_curves(judged),
    }


def _judge(model: RouterModel, test: Sequence[Example]) -> Judged:
    index = {label: i for i, label in enumerate(model.manifest.labels)}
    scores, bands = model.score([row.text for row in test]), model.manifest.bands
    foreign = np.array([is_foreign(row) for row in test])

    def answer(rules: BandRules) -> Outcome:
        return apply(scores, model.manifest.pooling, rules, labels=model.manifest.labels)

    outcome = answer(bands)
    cut = float(np.quantile(outcome.scope[~foreign], 1 - SCOPE_KEPT))
    chances = {"pooled": pool(scores.members, model.manifest.pooling)}
    if "encoder" in scores.members:
        chances["encoder"] = np.exp(log_softmax(scores.members["encoder"], 1.0))
    moved = {"scope_threshold": cut, "scope_floor": bands.scope_floor + cut - bands.scope_threshold}
    return Judged(
        outcome,
        answer(bands.model_copy(update=moved)),
        np.array([index.get(row.group, -1) for row in test], np.int32),
        foreign,
        {name: values.argmax(axis=1) for name, values in scores.members.items()},
        chances,
    )


def _figures(judged: Judged, model: RouterModel) -> dict[str, Any]:
    outcome, inside = judged.outcome, ~judged.is_foreign
    truth, guess = judged.truth[inside], outcome.guess[inside]
    right, auto = guess == truth, outcome.automatic[inside]
    top = outcome.top[inside].astype(np.float64)
    return {
        "rows": int(inside.sum()),
        "classes": len(model.manifest.labels),
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(truth, guess.astype(np.int32)),
        "ece": metrics.calibration_error(top, right),
        "ece_floor": metrics.calibration_floor(top),
        "auto_rate": float(auto.mean()),
        "auto_precision": float(right[auto].mean()) if auto.any() else 1.0,
        "escalate_rate": float((~outcome.in_scope[inside]).mean()),
        **_scope_figures(judged),
    }


def _curves(judged: Judged) -> dict[str, Any]:
    outcome, inside = judged.outcome, ~judged.is_foreign
    right = outcome.guess[inside] == judged.truth[inside]
    return {
        "curve": surest_first(outcome.confidence[inside], right),
        "fixed_thresholds": fixed_thresholds(judged.chances, judged.truth, judged.is_foreign),
    }


def _scope_figures(judged: Judged) -> dict[str, float]:
    """Of out-of-scope rows: not routed automatically, and sent to a person at once; as served, and at SCOPE_KEPT."""
    if not judged.is_foreign.any():
        return {}
    outcome, at_kept, foreign = judged.outcome, judged.at_kept, judged.is_foreign
    return {
        "oos_rows": float(foreign.sum()),
        "oos_recall": float((~outcome.automatic[foreign]).mean()),
        "oos_escalated": float((~outcome.in_scope[foreign]).mean()),
        "oos_recall_at_95_kept": float((~at_kept.in_scope[foreign]).mean()),
        "oos_not_automatic_at_95_kept": float((~at_kept.automatic[foreign]).mean()),
    }


def _speed(model: RouterModel, texts: Sequence[str]) -> dict[str, float]:
    """Tickets a second in batches, and milliseconds for one ticket alone, in this process."""
    started = time.perf_counter()
    for start in range(0, len(texts), SCORE_BATCH):
        model.infer(texts[start : start + SCORE_BATCH])
    rate = len(texts) / (time.perf_counter() - started)
    alone = []
    for text in texts[:SINGLE_ROWS]:
        started = time.perf_counter()
        model.infer([text])
        alone.append((time.perf_counter() - started) * 1000)
    return {
        "tickets_per_s": rate,
        "p50_ms": float(np.percentile(alone, 50)),
        "p99_ms": float(np.percentile(alone, 99)),
    }


def _baseline(judged: Judged) -> dict[str, float]:
    """What each member alone would have reached, trained in the same run; `linear` is TF-IDF with a linear machine."""
    inside = ~judged.is_foreign
    truth, found = judged.truth[inside], {}
    for name, guess in judged.members.items():
        found[f"{name}_accuracy"] = float((guess[inside] == truth).mean())
        found[f"{name}_macro_f1"] = metrics.macro_f1(truth, guess[inside].astype(np.int32))
    return found
