"""
Whether what is decided now differs from what was decided before: tests with an effect size, never a bare average.

Labels: chi-squared test of homogeneity, Cramér's V. Confidence: two-sample Kolmogorov-Smirnov, Cliff's delta. Right
answers: chi-squared of two shares, Cohen's h. A large number of tickets makes any difference significant, so a shift
needs both: a small p and an effect worth looking at.
Source of the effects' bounds: Cohen 1988 (V of 0.1 is small), Romano et al. 2006 (delta of 0.147 is small).
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

P_MAX = 0.01  # of a single look; the daily report corrects for looking daily (contracts.drift)
SMALL_V, SMALL_DELTA = 0.1, 0.147
ROWS_MIN = 50  # in each window; below it neither test says anything worth an alarm
EXPECTED_MIN = 5.0  # per cell (Cochran 1954); rarer groups are counted together
RARE = "(rare groups together)"
TERMS_MAX = 1_000
CLOSE = 1e-12


@dataclass(frozen=True)
class Shift:
    """`p` is the chance of a difference at least this large if nothing had changed; `effect` says how large it is."""

    statistic: float
    p: float
    effect: float


def label_shift(before: Sequence[str], now: Sequence[str]) -> Shift:
    """Chi-squared over the groups' counts in the two windows; V between 0 (the same) and 1."""
    pairs = _pooled(Counter(before), Counter(now))
    rows = [sum(pair[side] for pair in pairs) for side in (0, 1)]
    total = sum(rows)
    expected = [[sum(pair) * row / total for row in rows] for pair in pairs]
    chi = sum((pair[s] - fit[s]) ** 2 / fit[s] for pair, fit in zip(pairs, expected, strict=True) for s in (0, 1))
    freedom = len(pairs) - 1
    return Shift(chi, chi_squared_tail(chi, freedom), math.sqrt(chi / total))


def confidence_shift(before: Sequence[float], now: Sequence[float]) -> Shift:
    """The largest distance of the two distributions; delta > 0 where confidence is higher now, -1 to 1."""
    old, new = sorted(before), sorted(now)
    n, m = len(old), len(new)
    distance = max(abs(bisect_right(old, x) / n - bisect_right(new, x) / m) for x in {*old, *new})
    return Shift(distance, kolmogorov_tail(distance, n, m), _delta(old, new))


def rank_shift(before: Sequence[float], now: Sequence[float]) -> Shift:
    """Mann-Whitney: whether values are higher now; one-sided, normal approximation, corrected for ties."""
    n, m = len(before), len(now)
    delta = _delta(sorted(before), now)
    both = n + m
    ties = sum(count**3 - count for count in Counter((*before, *now)).values())
    spread = math.sqrt(n * m / 12 * (both + 1 - ties / (both * (both - 1))))
    z = delta * n * m / 2 / spread if spread else 0.0
    return Shift(z, math.erfc(z / math.sqrt(2)) / 2, delta)


def share_shift(before: Sequence[bool], now: Sequence[bool]) -> Shift:
    """Chi-squared of two shares; h > 0 where more are true now, -pi to pi."""
    was, is_now = (sum(rows) / len(rows) for rows in (before, now))
    shift = label_shift([str(row) for row in before], [str(row) for row in now])
    return Shift(shift.statistic, shift.p, 2 * (math.asin(math.sqrt(is_now)) - math.asin(math.sqrt(was))))


def chi_squared_tail(chi: float, freedom: int) -> float:
    """P(X >= chi): the upper regularised incomplete gamma function; series or continued fraction (DLMF 8.11, 8.9)."""
    if freedom < 1 or chi <= 0:
        return 1.0
    a, x = freedom / 2, chi / 2
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def kolmogorov_tail(distance: float, n: int, m: int) -> float:
    """P(D >= distance), asymptotic with Stephens' correction (1970); exact enough from some twenty values on."""
    effective = math.sqrt(n * m / (n + m))
    x = (effective + 0.12 + 0.11 / effective) * distance
    if x < 0.2:
        return 1.0  # the series does not converge there, and the chance is 1 to twelve digits
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


def _delta(old: Sequence[float], new: Sequence[float]) -> float:
    """Cliff's delta; `old` is sorted."""
    higher = sum(bisect_left(old, x) - (len(old) - bisect_right(old, x)) for x in new)
    return higher / (len(old) * len(new))


def _pooled(before: Counter[str], now: Counter[str]) -> list[tuple[int, int]]:
    """The two counts of each group; groups of which too few are expected are one."""
    total = before.total() + now.total()
    least = min(before.total(), now.total()) / total
    pairs: Counter[str] = Counter()
    names = {name: name if (before[name] + now[name]) * least >= EXPECTED_MIN else RARE for name in before | now}
    pairs.update(names.values())
    return [
        (sum(before[n] for n in names if names[n] == kind), sum(now[n] for n in names if names[n] == kind))
        for kind in pairs
    ]


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for k in range(1, TERMS_MAX):
        term *= x / (a + k)
        total += term
        if term < total * CLOSE:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz' method."""
    b, tiny = x + 1 - a, 1e-300
    c, d = 1 / tiny, 1 / b
    found = d
    for k in range(1, TERMS_MAX):
        factor = -k * (k - a)
        b += 2
        d = 1 / (factor * d + b or tiny)
        c = b + factor / c or tiny
        found *= d * c
        if abs(d * c - 1) < CLOSE:
            break
    return found
