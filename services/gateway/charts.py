"""Curves as points of an SVG: numbers in, `x,y` pairs out, in a box of 100 by 100 whose origin is below on the left."""

from collections.abc import Iterable, Sequence

from services.core.contracts.evidence import Bin, Held

POINTS = 60


def risk_coverage(held: Sequence[Held], tickets: int) -> list[tuple[float, float]]:
    """(share routed by itself, share of it that is right), the surest tickets first."""
    rows = sorted((row for one in held for row in one.tickets), key=lambda row: -row[0])
    found, right = [], 0
    for count, (_, is_right) in enumerate(rows, 1):
        right += is_right
        if count % max(1, len(rows) // POINTS) == 0 or count == len(rows):
            found.append((count / tickets, right / count))
    return found


def reliability(bins: Iterable[Bin]) -> list[tuple[float, float]]:
    """(probability said, share right)."""
    return [(one.said, one.right) for one in bins]


def line(points: Iterable[tuple[float, float]], *, floor: float = 0.0) -> str:
    """For `points` of a polyline; `floor` is the value at the bottom."""
    return " ".join(f"{at(x, 0):.2f},{100 - at(y, floor):.2f}" for x, y in points)


def at(value: float, floor: float) -> float:
    """Percent of the way from `floor` to 1."""
    return 100 * max(0.0, (value - floor) / (1 - floor))
