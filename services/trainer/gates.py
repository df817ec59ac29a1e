"""What a candidate must pass before it may replace the champion. Each gate answers with a sentence."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.prediction import Band
from services.core.models.bundle import RouterModel
from services.core.models.registry import Gate
from services.core.models.texts import text_key
from services.trainer.fit import SCORE_BATCH, Fitted
from services.trainer.metrics import macro_f1
from services.trainer.rules import GateRules

DRAWS = 2_000  # of the randomisation test: its chance is known to about half a point
SEED = 20261121
SINGLE_ROWS = 60  # asked one by one for the latency


@dataclass(frozen=True)
class Candidate:
    """All that is judged. `seen`: text keys the champion was trained on; judging it on those would flatter it."""

    fitted: Fitted
    model: RouterModel
    champion: RouterModel | None = None
    seen: frozenset[int] = frozenset()

    @cached_property
    def fresh(self) -> list[int]:
        """The held-out rows that the champion has not learnt from."""
        rows = self.fitted.held_out if self.fitted.guesses else ()
        return [at for at, row in enumerate(rows) if text_key(row.text) not in self.seen]

    @cached_property
    def theirs(self) -> list[str]:
        """What the champion answers to them."""
        assert self.champion is not None  # asked only where there is one
        return answer(self.champion, [self.fitted.held_out[at].text for at in self.fresh])

    @property
    def ours(self) -> list[str]:
        return [self.fitted.guesses[at] for at in self.fresh]


def check(candidate: Candidate, rules: GateRules) -> list[Gate]:
    """All gates, passed or not; one that is switched off is there, and says so."""
    found = []
    for name, judge in GATES.items():
        if getattr(rules, name).enabled:
            passed, detail = judge(candidate, rules)
            found.append(Gate(name, bool(passed), detail))
        else:
            found.append(Gate(name, True, "switched off"))
    return found


def _better_than_majority(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    groups = [row.group for row in candidate.fitted.held_out]
    if not candidate.fitted.guesses:
        return True, "too few held-out tickets to tell; every ticket is reviewed"
    share = max(groups.count(group) for group in set(groups)) / len(groups)
    accuracy = candidate.fitted.manifest.metrics["accuracy"]
    return accuracy > share, f"accuracy {accuracy:.3f} against {share:.3f}"


def _macro_f1(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    if not candidate.fitted.guesses:
        return True, "too few held-out tickets to tell; every ticket is reviewed"
    found = candidate.fitted.manifest.metrics["macro_f1"]
    return found >= rules.macro_f1.floor, f"macro-F1 {found:.3f}, floor {rules.macro_f1.floor}"


def _group_recall(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    """Clopper and Pearson's upper end of what the recall may be."""
    from scipy.stats import beta

    rule, low = rules.group_recall, []
    for group, figures in candidate.fitted.manifest.group_metrics.items():
        rows, hits = figures["rows"], round(figures["recall"] * figures["rows"])
        if rows >= rule.rows_min and hits < rows and beta.ppf(1 - rule.alpha, hits + 1, rows - hits) < rule.floor:
            low.append(f"{group}: {hits} of {rows:.0f} found")
    return not low, "; ".join(low) or f"no group of {rule.rows_min} or more tickets is below {rule.floor}"


def _against_champion(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    rule, champion, fitted = rules.champion, candidate.champion, candidate.fitted
    if champion is None:
        return True, "there is no champion yet"
    fresh = candidate.fresh
    if len(fresh) < rule.rows_min:
        ours, theirs = (m.metrics.get("macro_f1", 0.0) for m in (fitted.manifest, champion.manifest))
        said = f"macro-F1 {ours:.3f} against {theirs:.3f}, each on its own held-out part"
        return ours >= theirs - rule.margin_max, said
    rows = [fitted.held_out[i] for i in fresh]
    found = compare(candidate.ours, candidate.theirs, [row.group for row in rows])
    said = (
        f"macro-F1 {found.ours:.3f} against {found.theirs:.3f} on {len(rows)} held-out tickets neither has seen,"
        f" by chance {found.chance:.2f}"
    )
    worse = found.theirs - found.ours
    return worse <= rule.margin or (found.chance > rule.alpha and worse <= rule.margin_max), said


def _calibration(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    figures = candidate.fitted.manifest.metrics
    error, noise = figures.get("ece", 0.0), figures.get("ece_noise", 0.0)
    limit = rules.calibration.ece_max + noise
    said = f"ECE {error:.3f}, limit {limit:.3f}: one in twenty perfectly calibrated routers shows {noise:.3f} here"
    return error <= limit, said


def _parity(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    figures, limit = candidate.fitted.manifest.metrics, rules.int8_parity.lost_max
    lost, kept_float = figures.get("int8_accuracy_lost", 0.0), figures.get("encoder_int8") == 0.0
    how = "the float graph was kept" if kept_float else f"limit {limit}"
    return lost <= limit or kept_float, f"int8 lost {lost:.4f} accuracy, {how}"


def _latency(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    took_ms = []
    for row in candidate.fitted.held_out[:SINGLE_ROWS]:
        started = time.perf_counter()
        candidate.model.infer([row.text])
        took_ms.append((time.perf_counter() - started) * 1000)
    if not took_ms:
        return True, "no held-out ticket to ask about"
    median, limit = float(np.median(took_ms)), rules.latency.p50_ms_max
    return median <= limit, f"{median:.1f} ms for one ticket (median of {len(took_ms)}), limit {limit:.0f}"


def _out_of_scope(candidate: Candidate, rules: GateRules) -> tuple[bool, str]:
    rule, foreign = rules.out_of_scope, candidate.fitted.foreign
    if len(foreign) < rule.rows_min:
        return True, f"only {len(foreign)} tickets are known to belong to no group"
    found = predict_bands(candidate.model, [row.text for row in foreign])
    stopped = sum(band is not Band.AUTO_ROUTE for band in found) / len(found)
    return stopped >= rule.stopped_min, f"{stopped:.3f} of {len(foreign)} not routed, floor {rule.stopped_min}"


GATES: dict[str, Callable[[Candidate, GateRules], tuple[bool, str]]] = {
    "better_than_majority": _better_than_majority,
    "macro_f1": _macro_f1,
    "group_recall": _group_recall,
    "champion": _against_champion,
    "calibration": _calibration,
    "int8_parity": _parity,
    "latency": _latency,
    "out_of_scope": _out_of_scope,
}


@dataclass(frozen=True)
class Compared:
    """Macro-F1 of both; `chance`: how often models that are equally good would show ours this much worse."""

    ours: float
    theirs: float
    chance: float


def compare(ours: Sequence[str], theirs: Sequence[str], truth: Sequence[str]) -> Compared:
    """
    Paired randomisation test on macro-F1: swaps who said what, ticket by ticket.

    Source: Yeh 2000, More accurate tests for the statistical significance of result differences.
    """
    names = {name: i for i, name in enumerate(sorted({*ours, *theirs, *truth}))}
    one, other, right = (np.array([names[name] for name in row], np.int32) for row in (ours, theirs, truth))
    seen = macro_f1(right, other) - macro_f1(right, one)
    random, differ = np.random.default_rng(SEED), np.flatnonzero(one != other)
    worse = sum(_swapped(one, other, right, differ[random.random(len(differ)) < 0.5]) >= seen for _ in range(DRAWS))
    return Compared(macro_f1(right, one), macro_f1(right, other), (worse + 1) / (DRAWS + 1))


def _swapped(
    one: NDArray[np.int32], other: NDArray[np.int32], right: NDArray[np.int32], rows: NDArray[np.intp]
) -> float:
    one, other = one.copy(), other.copy()
    one[rows], other[rows] = other[rows], one[rows]
    return macro_f1(right, other) - macro_f1(right, one)


def answer(model: RouterModel, texts: Sequence[str]) -> list[str]:
    """The first group for each text."""
    return [prediction.group for batch in _batches(texts) for prediction in model.predict(batch)]


def predict_bands(model: RouterModel, texts: Sequence[str]) -> list[Band]:
    return [prediction.band for batch in _batches(texts) for prediction in model.predict(batch)]


def _batches(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + SCORE_BATCH] for start in range(0, len(texts), SCORE_BATCH)]
