"""The plots of a model card, as PNG: confusion, reliability, risk and coverage, learning curve."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from services.core.contracts.evidence import Bin
from services.trainer.judge import Row

INK, FAINT, LINE, WARM = "#1c2733", "#6b7885", "#2f6fb5", "#c2571a"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
}
SHOWN_GROUPS = 24  # more cannot be read; the largest are shown, the rest together
OTHERS = "all others"
NAME_CHARS = 26

Curve = Sequence[tuple[int, float]]  # tickets learnt from, share right


def draw(paint: Callable[[Any], None], *, size: tuple[float, float]) -> bytes:
    """One PNG; the same numbers give the same bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size, dpi=144, layout="constrained")
        paint(figure.subplots())
        out = io.BytesIO()
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def reliability(bins: Sequence[Bin]) -> bytes:
    """Of tickets with probabilities near x, y were right; the larger the dot, the more tickets."""

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
        axes.text(1.0, 0.02, "dashed: perfectly calibrated; numbers: tickets", ha="right", color=FAINT, fontsize=8)
        most = max((one.tickets for one in bins), default=1)
        sizes = [20 + 280 * one.tickets / most for one in bins]
        axes.scatter([one.said for one in bins], [one.right for one in bins], s=sizes, color=LINE, alpha=0.75, lw=0)
        for one in bins:
            axes.annotate(f"{one.tickets:,}", (one.said, one.right), (0, 9), textcoords="offset points",
                          ha="center", color=FAINT, fontsize=7)  # fmt: skip
        _shares(axes, "probability that the model gave", "share that was right", 0.0)

    return draw(paint, size=(5.2, 4.2))


def risk_coverage(curve: Sequence[tuple[float, float]], target: float, served: tuple[float, float] | None) -> bytes:
    """Of the x surest tickets y are right; where the served thresholds stand."""

    def paint(axes: Any) -> None:
        axes.plot([x for x, _ in curve], [y for _, y in curve], color=LINE, lw=1.8)
        axes.axhline(target, color=FAINT, lw=1, ls="--")
        axes.annotate(
            f"target {target:.0%}", (1.0, target), (0, 3), textcoords="offset points", ha="right", color=FAINT
        )
        if served:
            axes.scatter(*served, color=WARM, zorder=3)
            place = {"ha": "left", "xytext": (8, -4)} if served[0] < 0.5 else {"ha": "right", "xytext": (-8, -16)}
            axes.annotate(f"served: {served[0]:.0%} automatic, {served[1]:.1%} right", served,
                          textcoords="offset points", color=WARM, **place)  # fmt: skip
        floor = min([target, *(y for _, y in curve)], default=0.5)
        _shares(axes, "share of tickets routed without a person, surest first", "share of them right", floor - 0.05)

    return draw(paint, size=(5.2, 4.2))


def thresholds(
    curve: Sequence[Sequence[float]],
    fixed: Sequence[Mapping[str, float | None]],
    name: str,
    served: tuple[float, float],
    target: float,
) -> bytes:
    """Thresholds of each group, and what the surest first would allow, beside one for all on `name`'s probability."""

    def paint(axes: Any) -> None:
        axes.plot([x for x, _ in curve], [y for _, y in curve], color=LINE, lw=1.8, label="this model, surest first")
        known = [(one["auto_rate"], one["auto_precision"], one["threshold"]) for one in fixed if one["auto_precision"]]
        axes.plot([x for x, _, _ in known], [y for _, y, _ in known], color=FAINT, marker="o", ms=4, lw=1,
                  label=f"one threshold for all groups: {name}")  # fmt: skip
        for x, y, limit in known:
            axes.annotate(f"{limit:g}", (x, y), (-3, -11), textcoords="offset points", ha="right", color=FAINT,
                          fontsize=7)  # fmt: skip
        axes.scatter(*served, color=WARM, zorder=3, label="this model as served: a threshold for each group")
        axes.axhline(target, color=FAINT, lw=1, ls="--")
        axes.annotate(
            f"target {target:.0%}", (1.0, target), (0, 3), textcoords="offset points", ha="right", color=FAINT
        )
        axes.legend(loc="lower left", frameon=False, fontsize=8)
        floor = min([target, *(y for _, y in curve), *(y for _, y, _ in known if y)])
        _shares(axes, "share of tickets routed without a person", "share of them right", floor - 0.1)

    return draw(paint, size=(6.4, 4.4))


def learning_curve(curve: Curve) -> bytes:
    """How right the linear member is with so many tickets: whether more history would help."""

    def paint(axes: Any) -> None:
        axes.plot([n for n, _ in curve], [share for _, share in curve], color=LINE, marker="o", lw=1.8)
        for n, share in curve:
            axes.annotate(f"{share:.1%}", (n, share), (-6, 5), textcoords="offset points", ha="right", fontsize=8)
        axes.set_xlabel("closed tickets learnt from")
        axes.set_ylabel("share right on held-out tickets, linear member")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.margins(0.1, 0.18)

    return draw(paint, size=(5.2, 4.2))


def confusion(rows: Sequence[Row], labels: Sequence[str]) -> bytes:
    """Each row is a group; where its held-out tickets went."""
    table, names = count(rows, labels)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.4 + 0.29 * len(names)

    def paint(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for y, x in zip(*np.nonzero(shares >= 0.005), strict=True):
            axes.text(x, y, f"{100 * shares[y, x]:.0f}", ha="center", va="center", fontsize=6.5,
                      color="white" if shares[y, x] > 0.55 else INK)  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("said by the model (percent of the row)")
        axes.set_ylabel("group that closed the ticket")
        axes.spines[:].set_visible(False)

    return draw(paint, size=(max(4.6, side + 1), max(4.2, side)))


def count(rows: Sequence[Row], labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Tickets by true and said group (N, N), the largest groups first, those beyond SHOWN_GROUPS in one."""
    seen = np.bincount([row.truth for row in rows], minlength=len(labels))
    present = np.flatnonzero(seen + np.bincount([row.guess for row in rows], minlength=len(labels)))
    order = present[np.argsort(-seen[present], kind="stable")]
    shown = order[:SHOWN_GROUPS]
    place = {int(group): at for at, group in enumerate(shown)}
    names = [short(labels[group]) for group in shown] + ([OTHERS] if len(order) > len(shown) else [])
    table = np.zeros((len(names), len(names)))
    for row in rows:
        table[place.get(row.truth, len(shown)), place.get(row.guess, len(shown))] += 1
    return table, names


def short(name: str) -> str:
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"


def _shares(axes: Any, x: str, y: str, floor: float) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(max(-0.02, floor), 1.03)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
