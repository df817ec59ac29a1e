"""
Model card and data card: what a person must know before a version may route, as two HTML pages and the plots in them.

Numbers and names of groups alone: no text of any ticket. Written beside the bundle and into the object store.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from services.core.contracts.evidence import Bin
from services.core.models.card import CARD_FOLDER, DATA_PAGE, MODEL_PAGE
from services.core.models.manifest import HeadRules, Manifest
from services.core.models.registry import Gate
from services.trainer import plots
from services.trainer.judge import Row
from services.trainer.prepare import Example, Split

MISTAKES_SHOWN = 12
GROUPS_SHOWN = 200
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}.faint{color:#5b6875}"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.2rem .9rem .2rem 0;text-align:left;"
    "border-bottom:1px solid #e3e8ee;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "figure{display:inline-block;margin:0 1rem 1.5rem 0;vertical-align:top}figcaption{max-width:32rem}"
    "img{max-width:100%;height:auto;background:#fff}.bad{color:#b3261e;font-weight:600}"
)
ABOUT = {  # what of a manifest's metrics is shown, and what it means
    "accuracy": ("Right group", "of held-out tickets"),
    "macro_f1": ("Macro-F1", "mean over groups, small ones count as much as large ones"),
    "ece": ("Calibration error", "between the probability that is said and the share that is right"),
    "ece_floor": ("… of a perfect model", "on as few tickets: no model can be shown to be better than this"),
    "auto_coverage": ("Routed without a person", "of held-out tickets"),
    "auto_precision": ("Right of these", "cross-fitted thresholds"),
    "escalated": ("Unlike all known tickets", "given to a person whatever the probability"),
}


@dataclass(frozen=True)
class Story:
    """All that the cards tell. `curve`: tickets learnt from and share right, of the linear member."""

    manifest: Manifest
    split: Split
    rows: Sequence[Row]
    bins: Sequence[Bin]
    curve: plots.Curve
    gates: Sequence[Gate] = ()


def write_cards(story: Story, folder: Path) -> Path:
    """The pages and their plots in `folder`/card, replaced when they are there."""
    out = folder / CARD_FOLDER
    out.mkdir(parents=True, exist_ok=True)
    pictures = _draw(story)
    for name, content in pictures.items():
        (out / name).write_bytes(content)
    (out / MODEL_PAGE).write_text(_model_page(story, pictures), encoding="utf-8")
    (out / DATA_PAGE).write_text(_data_page(story), encoding="utf-8")
    return out


def _draw(story: Story) -> dict[str, bytes]:
    """A plot for which there are too few tickets is left out."""
    found = {}
    if story.rows:
        found["confusion.png"] = plots.confusion(story.rows, story.manifest.labels)
        found["reliability.png"] = plots.reliability(story.bins)
        metrics = story.manifest.metrics
        served = (metrics["auto_coverage"], metrics["auto_precision"]) if metrics.get("auto_coverage") else None
        curve, target = story.manifest.risk_coverage, story.manifest.bands.target_precision
        found["risk_coverage.png"] = plots.risk_coverage(curve, target, served)
    if story.curve:
        found["learning_curve.png"] = plots.learning_curve(story.curve)
    return found


WIDTHS = {"confusion.png": 900}
CAPTIONS = {
    "risk_coverage.png": "Automation against precision: the further left, the surer.",
    "reliability.png": "Reliability: dots below the line are probabilities that promise too much.",
    "learning_curve.png": "Learning curve: while it rises, more closed tickets would help.",
    "confusion.png": "Confusion: percent of each group's held-out tickets by what the model said.",
}


def _model_page(story: Story, pictures: Mapping[str, bytes]) -> str:
    manifest = story.manifest
    facts = [(name, f"{_figure(manifest.metrics[key])} <span class=faint>{about}</span>")
             for key, (name, about) in ABOUT.items() if key in manifest.metrics]  # fmt: skip
    figures = [_picture(name, pictures[name], caption) for name, caption in CAPTIONS.items() if name in pictures]
    parts = [
        f"<h1>Model card: {escape(manifest.model_version)}</h1>",
        f"<p class=faint>Trained {manifest.created_at:%d %B %Y, %H:%M} UTC in {manifest.fit_seconds:,.0f} s by code "
        f"{escape(manifest.code_version)}, seed {manifest.seed}. <a href={DATA_PAGE}>What it learnt from</a></p>",
        "<h2>What it is for</h2>",
        f"<p>Names the group of a new ticket, one of {len(manifest.labels)}, with a probability, and says where that "
        "is sure enough to route without a person. It reads redacted text only. It does not know groups that had "
        "fewer than two closed tickets, and it is no judge of people.</p>",
        "<h2>How good it is</h2>",
        "<p>Measured on tickets that it had not seen; each figure is cross-fitted.</p>" if facts else
        "<p class=bad>Too few tickets to measure anything: every ticket goes to a person.</p>",
        _table(facts),
        "".join(figures),
        _gates(story.gates),
        _heads(manifest.heads),
        _mistakes(story),
        _weakest(manifest),
        "<h2>What it is made of</h2>",
        _table([("Encoder", f"{escape(manifest.base_model)}, {manifest.encoder}, {manifest.max_tokens} tokens"),
                *((escape(name), f"<code>{digest[:16]}…</code>") for name, digest in manifest.files.items())]),
    ]  # fmt: skip
    return _page(f"Model card {manifest.model_version}", parts)


def _gates(gates: Sequence[Gate]) -> str:
    if not gates:
        return ""
    rows = [(escape(gate.name), f"{'passed' if gate.passed else '<span class=bad>NOT passed</span>'}: "
             f"{escape(gate.detail)}") for gate in gates]  # fmt: skip
    return "<h2>Gates</h2>" + _table(rows)


def _heads(heads: Mapping[str, HeadRules]) -> str:
    if not heads:
        return ""
    said = [(name, f"{rule.kind}; " + ", ".join(f"{key} {_figure(value)}" for key, value in rule.metrics.items())
             + ("" if rule.decides_from is None else f"; decides from {rule.decides_from:.2f}"))
            for name, rule in heads.items()]  # fmt: skip
    return "<h2>What it says beside the group</h2>" + _table(said)


def _mistakes(story: Story) -> str:
    wrong = Counter((row.truth, row.guess) for row in story.rows if row.truth != row.guess)
    if not wrong:
        return ""
    labels = story.manifest.labels
    rows = [(f"{escape(labels[true])} → {escape(labels[said])}", f"{n}") for (true, said), n in wrong.most_common()]
    return "<h2>Most frequent mistakes</h2>" + _table(rows[:MISTAKES_SHOWN], numbers=True)


def _weakest(manifest: Manifest) -> str:
    known = sorted(manifest.group_metrics.items(), key=lambda item: (item[1]["recall"], -item[1]["rows"]))
    if not known:
        return ""
    rows = [(escape(group), f"{own['recall']:.0%} of {own['rows']:,.0f} found") for group, own in known]
    rare = ", ".join(map(escape, manifest.low_volume_labels)) or "none"
    note = f"<p>Too rare to be routed without a person: {rare}.</p>"
    return "<h2>Where it is weakest</h2>" + _table(rows[:MISTAKES_SHOWN], numbers=True) + note


def _data_page(story: Story) -> str:
    split, manifest = story.split, story.manifest
    rows = split.train + split.held_out
    parts = [
        f"<h1>Data card: {escape(manifest.model_version)}</h1>",
        f"<p class=faint><a href={MODEL_PAGE}>The model that learnt from it</a></p>",
        "<p>Closed tickets, redacted before they were stored. The label is the group that closed a ticket, or what a "
        "person said in its review.</p>",
        _table(list(_data_facts(split, manifest, rows))),
        "<h2>Groups</h2>",
        _groups(split),
    ]
    return _page(f"Data card {manifest.model_version}", parts)


def _data_facts(split: Split, manifest: Manifest, rows: Sequence[Example]) -> Iterable[tuple[str, str]]:
    yield "Tickets", f"{len(split.train):,} learnt from and judged with {len(split.held_out):,}"
    yield "Split", "the newest are held out" if split.by_time else "a fixed choice of each group is held out"
    times = [row.at for row in rows if row.at]
    if times:
        yield "Closed between", f"{min(times):%d %B %Y} and {max(times):%d %B %Y}"
    yield "Left out as too old", f"{split.outside_window:,}"
    yield "Belonging to no group", f"{len(split.foreign):,}, asked about but not learnt from"
    dropped = ", ".join(f"{escape(group)} ({n})" for group, n in split.dropped.items()) or "none"
    yield "Groups left out (one ticket)", dropped
    lengths = np.percentile([len(row.text.split()) for row in rows], [5, 50, 95])
    yield "Words in a ticket", "{:,.0f} / {:,.0f} / {:,.0f} <span class=faint>5 %, half, 95 %</span>".format(*lengths)
    sources = Counter(row.ref.partition("/")[0] or "file" for row in rows)
    yield "From", ", ".join(f"{escape(name)} {n:,}" for name, n in sources.most_common())
    for name in ("hours", "breached", "priority", "impact", "urgency"):
        known = sum(getattr(row.targets, name) not in (None, "") for row in rows)
        if known:
            yield f"Known {name}", f"{known:,}"
    yield "Identity", f"<code>{manifest.dataset_sha256}</code>"


def _groups(split: Split) -> str:
    train, held = (Counter(row.group for row in part) for part in (split.train, split.held_out))
    total = sum(train.values()) + sum(held.values())
    counts = sorted(((train[group] + held[group], group) for group in split.labels), reverse=True)
    rows = [(escape(group), f"{n:,} <span class=faint>({n / total:.1%}, {held[group]:,} held out)</span>")
            for n, group in counts[:GROUPS_SHOWN]]  # fmt: skip
    return _table(rows, numbers=True)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 or value == int(value) != 0 else f"{value:.3f}"


def _picture(name: str, content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}" width={WIDTHS.get(name, 440)}>' \
           f"<figcaption class=faint>{escape(caption)}</figcaption></figure>"  # fmt: skip


def _table(rows: Sequence[tuple[str, str]], *, numbers: bool = False) -> str:
    kind = " class=n" if numbers else ""
    return "<table>" + "".join(f"<tr><th>{name}</th><td{kind}>{value}</td></tr>" for name, value in rows) + "</table>"


def _page(title: str, parts: Sequence[str]) -> str:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
    return head + "<body>" + "\n".join(parts) + "</body></html>\n"
