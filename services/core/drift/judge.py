"""The report of one day from the tickets of two windows. Pure: no I/O, no clock."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from services.core.contracts.drift import DriftReport, DriftRules, Kind, Moved, ShiftTest
from services.core.drift import shifts
from services.core.drift.shifts import Shift

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOVED_SHOWN = 8
UNLIKE_SHOWN = 8
NAMES: Mapping[Kind, tuple[str, str]] = {
    "labels": ("chi-squared", "Cramer's V"),
    "inputs": ("permuted Hotelling", "Cliff's delta"),
    "confidence": ("Kolmogorov-Smirnov", "Cliff's delta"),
    "performance": ("chi-squared", "Cohen's h"),
}


@dataclass(frozen=True)
class Decided:
    """A ticket's newest decision. `is_right` is None while nobody said which group was right."""

    group: str
    confidence: float
    model_version: str | None
    is_right: bool | None = None


@dataclass(frozen=True)
class Window:
    """Tickets decided in it; `ids` and `vectors` (B, H) of those whose texts were embedded, all by one encoder."""

    rows: Sequence[Decided]
    ids: Sequence[int] = ()
    vectors: "NDArray[np.float32] | None" = None


def judge(
    day: date, before: Window, now: Window, rules: DriftRules, earlier: Mapping[Kind, date], champion: str | None
) -> DriftReport:
    """`earlier`: since when shifts of the days before last. Confidence is compared for the `champion` alone."""
    inputs, unlike = _inputs(before, now, rules)
    tests = (_labels(before, now, rules), inputs, _confidence(before, now, rules, champion),
             _performance(before, now, rules))  # fmt: skip
    return DriftReport(
        day=day,
        now_days=rules.now_days,
        before_days=rules.before_days,
        tests=tuple(_dated(one, day, earlier) for one in tests),
        moved=_moved(before, now),
        unlike=unlike if inputs.has_shifted else (),
        model_versions=tuple(sorted({row.model_version for row in (*before.rows, *now.rows) if row.model_version})),
    )


def _labels(before: Window, now: Window, rules: DriftRules) -> ShiftTest:
    old, new = ([row.group for row in window.rows] for window in (before, now))
    blank = _blank("labels", rules, len(old), len(new))
    if few := _too_few(blank, rules):
        return few
    return _told(blank, shifts.label_shift(old, new))


def _inputs(before: Window, now: Window, rules: DriftRules) -> tuple[ShiftTest, tuple[int, ...]]:
    blank = _blank("inputs", rules, len(before.ids), len(now.ids))
    few = _too_few(blank, rules)
    if few or before.vectors is None or now.vectors is None:
        return few or blank.model_copy(update={"why": "the router gives no embeddings"}), ()
    from services.core.drift import space

    shift, unlike = space.input_shift(before.vectors, now.vectors)
    return _told(blank, shift), tuple(now.ids[at] for at in unlike.argsort()[::-1][:UNLIKE_SHOWN])


def _confidence(before: Window, now: Window, rules: DriftRules, champion: str | None) -> ShiftTest:
    """Two models' confidences do not compare."""
    old, new = ([row.confidence for row in window.rows if row.model_version == champion] for window in (before, now))
    blank = _blank("confidence", rules, len(old), len(new))
    if few := _too_few(blank, rules):
        is_new = len(before.rows) >= rules.rows_min > len(old)
        return few.model_copy(update={"why": "the model is newer than the days before"}) if is_new else few
    return _told(blank, shifts.confidence_shift(old, new))


def _performance(before: Window, now: Window, rules: DriftRules) -> ShiftTest:
    """Only a fall is news."""
    old, new = ([row.is_right for row in window.rows if row.is_right is not None] for window in (before, now))
    blank = _blank("performance", rules, len(old), len(new))
    if few := _too_few(blank, rules):
        return few.model_copy(update={"why": few.why.replace("tickets", "tickets that somebody answered")})
    found = _told(blank, shifts.share_shift(old, new))
    has_fallen = found.has_shifted and (found.effect or 0) < 0
    return found.model_copy(update={"has_shifted": has_fallen})


def _blank(kind: Kind, rules: DriftRules, before: int, now: int) -> ShiftTest:
    test, effect = NAMES[kind]
    least = getattr(rules.least, kind)
    return ShiftTest(
        kind=kind, test=test, effect_name=effect, least_effect=least, p_max=rules.p_max, before=before, now=now
    )


def _too_few(blank: ShiftTest, rules: DriftRules) -> ShiftTest | None:
    if min(blank.before, blank.now) >= rules.rows_min:
        return None
    return blank.model_copy(update={"why": f"fewer than {rules.rows_min} tickets in a window"})


def _told(blank: ShiftTest, shift: Shift) -> ShiftTest:
    has_shifted = shift.p <= blank.p_max and abs(shift.effect) >= blank.least_effect
    return blank.model_copy(
        update={"statistic": shift.statistic, "p": shift.p, "effect": shift.effect, "has_shifted": has_shifted}
    )


def _dated(one: ShiftTest, day: date, earlier: Mapping[Kind, date]) -> ShiftTest:
    return one.model_copy(update={"since": earlier.get(one.kind, day)}) if one.has_shifted else one


def _moved(before: Window, now: Window) -> tuple[Moved, ...]:
    """The groups whose share changed most."""
    if not before.rows or not now.rows:
        return ()
    old, new = (Counter(row.group for row in window.rows) for window in (before, now))
    shares = [(group, old[group] / len(before.rows), new[group] / len(now.rows)) for group in old | new]
    shares.sort(key=lambda one: (-abs(one[2] - one[1]), one[0]))
    return tuple(Moved(group=group, before=was, now=is_now) for group, was, is_now in shares[:MOVED_SHOWN])
