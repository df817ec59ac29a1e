"""The charts of the report, as SVG for the page and PNG for strategy/. Matplotlib is imported when one is drawn."""

import io
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost.bill import BAND_USD, TICKETS_MAX, is_beyond
from cost.curve import Curve
from cost.estimate import Estimate
from cost.report.content import Content, Key
from infra.catalogue import CATALOGUE, Bill

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers and in grey.
CLOUD_COLOURS = {"aws": "#E69F00", "azure": "#0072B2", "gcp": "#009E73"}
CLOUD_NAMES = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
GROUPS = {bill.value: tuple(c.name for c in CATALOGUE if c.bill is bill) for bill in Bill}
GROUP_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#999999")
INK, PALE, CHEAP, DEAR = "#222222", "#7a7a7a", "#009E73", "#D55E00"
STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": PALE,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "pointsman",
    "font.family": "DejaVu Sans",
}
REFERENCES = ("Intercom Fin", "Zendesk AI agents", "Human contact, business to consumer")
SHOWN_SWINGS = 8
LEAST_SWING = 0.005  # of the bill; less is a hair in the chart


def per_ticket(content: Content) -> "Figure":
    """Cost per ticket over volume, a panel per profile, the promised band, what others charge per resolution."""
    profiles = list(dict.fromkeys(profile for _, profile in content.keys))
    figure, axes = _panels(len(profiles), height=4.9)
    for axis, profile in zip(axes, profiles, strict=True):
        _curves(axis, content, profile)
    axes[0].set_ylabel("USD per ticket, log scale")
    _references(axes[0], content)
    axes[0].fill_between([], [], [], color=PALE, alpha=0.2, linewidth=0, label="low to high estimate")
    axes[0].plot([], [], color=PALE, linestyle=":", label="more than it is made for")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="lower center", ncol=6, frameon=False, bbox_to_anchor=(0.5, 0.0)
    )
    figure.suptitle("What a ticket costs, by volume", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.subplots_adjust(left=0.075, right=0.985, top=0.86, bottom=0.21, wspace=0.07)
    return figure


def by_capability(content: Content) -> "Figure":
    """What the month's bill is made of, at the volume each profile is meant for."""
    profiles = list(dict.fromkeys(profile for _, profile in content.keys))
    figure, axes = _panels(len(profiles), height=4.3, share_y=False)
    for axis, profile in zip(axes, profiles, strict=True):
        bills = [content.typical[key] for key in content.keys if key[1] == profile]
        _stack(axis, bills)
        axis.set_title(f"{profile}, {bills[0].tickets_per_month:,} tickets a month")
    axes[0].set_ylabel("USD a month")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False, bbox_to_anchor=(0.5, 0.0))
    figure.suptitle("What the bill is made of", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.subplots_adjust(left=0.07, right=0.985, top=0.84, bottom=0.23, wspace=0.2)
    return figure


def drivers(content: Content, keys: Sequence[Key]) -> "Figure":
    """Tornado: each input moved to its ends by itself, widest on top."""
    figure, axes = _panels(len(keys), height=4.2, share_y=False)
    for axis, key in zip(axes, keys, strict=True):
        _tornado(axis, content, key)
    title = "What drives the bill: one input at a time, cheap end green, dear end orange"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.subplots_adjust(left=0.02, right=0.985, top=0.84, bottom=0.13, wspace=0.08)
    return figure


def levers(content: Content, keys: Sequence[Key]) -> "Figure":
    """What each change would save a month, by itself."""
    figure, axes = _panels(len(keys), height=4.2, share_y=False)
    for axis, key in zip(axes, keys, strict=True):
        _savings(axis, content, key)
    figure.suptitle("What would make it cheaper", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.subplots_adjust(left=0.02, right=0.985, top=0.84, bottom=0.13, wspace=0.08)
    return figure


def as_svg(figure: "Figure") -> str:
    """The drawing as markup for a page, without the XML header."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def save_png(figure: "Figure", path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def save_all(content: Content, folder: Path) -> None:
    """The charts of the page as pictures, drivers and levers of every profile."""
    with styled():
        save_png(per_ticket(content), folder / "cost-per-ticket.png")
        save_png(by_capability(content), folder / "cost-by-capability.png")
        for profile in dict.fromkeys(profile for _, profile in content.keys):
            keys = [key for key in content.keys if key[1] == profile]
            save_png(drivers(content, keys), folder / f"cost-drivers-{profile}.png")
            save_png(levers(content, keys), folder / f"cost-levers-{profile}.png")


@contextmanager
def styled() -> Generator[None]:
    """Our looks, for as long as charts are made and written."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def _panels(count: int, *, height: float, share_y: bool = True) -> tuple["Figure", list["Axes"]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, height))
    axes = figure.subplots(1, count, sharey=share_y, squeeze=False)[0]
    return figure, list(axes)


def _curves(axis: "Axes", content: Content, profile: str) -> None:
    low, high = map(float, BAND_USD)
    axis.axhspan(low, high, color="#f3d9e5", zorder=0, label="0.02 to 0.05 USD, the goal")
    for key, curve in content.curves.items():
        if key[1] == profile:
            _curve(axis, curve)
    axis.set(xscale="log", yscale="log", title=profile, xlabel="tickets a month, log scale", ylim=(1e-4, 30))
    _limit(axis, profile)
    _usd_axis(axis.yaxis, [10.0**power for power in range(-4, 2)])
    axis.xaxis.set_ticks([100, 1_000, 10_000, 100_000, 1_000_000], ["100", "1,000", "10,000", "100,000", "1M"])
    axis.minorticks_off()
    axis.grid(True, which="major", color="#e8e8e8", linewidth=0.8)


def _curve(axis: "Axes", curve: Curve) -> None:
    """The low and the high end as a shade; dotted, without it, where the profile is not made for the volume."""
    colour = CLOUD_COLOURS[curve.cloud]
    meant = [point for point in curve.points if not is_beyond(curve.profile, point.tickets)]
    beyond = [point for point in curve.points if point.tickets >= meant[-1].tickets]
    tickets = [point.tickets for point in meant]
    low, high = ([float(getattr(point, end)) for point in meant] for end in ("low_usd", "high_usd"))
    axis.fill_between(tickets, low, high, color=colour, alpha=0.13, linewidth=0)
    usd = [float(point.expected_usd) for point in meant]
    axis.plot(tickets, usd, color=colour, linewidth=2, label=CLOUD_NAMES[curve.cloud])
    further = ([point.tickets for point in beyond], [float(point.expected_usd) for point in beyond])
    axis.plot(*further, color=colour, linewidth=1.2, linestyle=":")


def _limit(axis: "Axes", profile: str) -> None:
    if profile in TICKETS_MAX:
        most = TICKETS_MAX[profile]
        axis.axvline(most, color=PALE, linewidth=1, linestyle=":")
        axis.text(most * 1.06, 0.25, f"made for up to\n{most:,} a month", fontsize=7.5, color=PALE, va="top")


def _references(axis: "Axes", content: Content) -> None:
    """Per resolution, so not the same thing: thin lines, said in words."""
    for item in content.published:
        if item.name in REFERENCES:
            usd = float(item.low_usd)
            price = f"{item.low_usd}" if item.low_usd == item.high_usd else f"{item.low_usd} to {item.high_usd}"
            axis.axhline(usd, color=PALE, linewidth=0.9, linestyle="--")
            side, factor = ("top", 0.94) if item.name == REFERENCES[0] else ("bottom", 1.06)
            label = f"{item.name}: {price} per resolution"
            axis.text(1.2e6, usd * factor, label, fontsize=7.5, color=PALE, ha="right", va=side)


def _stack(axis: "Axes", bills: Sequence[Estimate]) -> None:
    names = [CLOUD_NAMES[bill.cloud] for bill in bills]
    bottom = [0.0] * len(bills)
    for (group, parts), colour in zip(GROUPS.items(), GROUP_COLOURS, strict=True):
        usd = [_of(bill, parts) for bill in bills]
        axis.bar(names, usd, bottom=bottom, color=colour, width=0.62, label=group)
        bottom = [b + u for b, u in zip(bottom, usd, strict=True)]
    for index, bill in enumerate(bills):
        text = f"{bill.monthly_usd:,.0f} USD\n{bill.usd_per_ticket:.3f} a ticket"
        axis.text(index, bottom[index] * 1.01, text, ha="center", va="bottom", fontsize=8.5)
    axis.set_ylim(0, max(bottom) * 1.2)
    _usd_axis(axis.yaxis, None)
    axis.tick_params(axis="x", length=0)


def _of(bill: Estimate, capabilities: Iterable[str]) -> float:
    totals = bill.by_capability()
    return float(sum((totals.get(name, Decimal(0)) for name in capabilities), Decimal(0)))


def _tornado(axis: "Axes", content: Content, key: Key) -> None:
    bill = content.typical[key]
    base = float(bill.monthly_usd)
    shown = [swing for swing in content.swings[key] if float(swing.width) >= LEAST_SWING * base][:SHOWN_SWINGS][::-1]
    for row, swing in enumerate(shown):
        for usd, colour in ((float(swing.low_usd), CHEAP), (float(swing.high_usd), DEAR)):
            axis.barh(row, usd - base, left=base, color=colour, height=0.5)
        axis.text(
            base, row + 0.28, f" {swing.name}: {swing.low} to {swing.high} {swing.unit}", fontsize=7.5, va="bottom"
        )
    axis.axvline(base, color=INK, linewidth=1)
    axis.set(yticks=[], ylim=(-0.5, max(len(shown), 1)), xlabel="USD a month")
    left, right = axis.get_xlim()
    axis.set_xlim(left, max(right, base + (base - left) * 3, base * 1.35))
    axis.spines["left"].set_visible(False)
    title = f"{CLOUD_NAMES[key[0]]} {key[1]}: {base:,.0f} USD at {bill.tickets_per_month:,} tickets"
    axis.set_title(title, fontsize=9.5)
    _usd_axis(axis.xaxis, None)
    axis.locator_params(axis="x", nbins=4)


def _savings(axis: "Axes", content: Content, key: Key) -> None:
    shown = list(content.savings[key])[:8][::-1]
    widest = max((float(saving.usd_per_month) for saving in shown), default=1.0)
    for row, saving in enumerate(shown):
        usd = float(saving.usd_per_month)
        axis.barh(row, usd, color=CHEAP, height=0.34)
        axis.text(0, row + 0.24, f"{saving.name}", fontsize=8, va="bottom")
        axis.text(usd + widest * 0.01, row, f"{usd:,.0f}" if usd >= 10 else f"{usd:,.2f}", fontsize=8, va="center")
    axis.set(yticks=[], xlim=(0, widest * 1.25), ylim=(-0.5, max(len(shown), 1)))
    axis.spines["left"].set_visible(False)
    bill = content.typical[key]
    axis.set_title(f"{CLOUD_NAMES[key[0]]} {key[1]}: of {bill.monthly_usd:,.0f} USD a month", fontsize=9.5)
    axis.set_xlabel("USD a month saved")
    _usd_axis(axis.xaxis, None)
    axis.locator_params(axis="x", nbins=4)


def _usd_axis(axis: Any, ticks: list[float] | None) -> None:
    if ticks:
        axis.set_ticks(ticks)
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")
