"""One training run: its stages, then register, gates, promote; each may come twice."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from services.core.contracts.evidence import Evidence
from services.core.kit import audit
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.card import CARD_FOLDER
from services.trainer.cards import write_cards
from services.trainer.config import FitConfig, Progress
from services.trainer.evidence import changes, gather
from services.trainer.fit import Fitted, Read, fit_stages, identify, read_fitted, read_judged, read_story
from services.trainer.gates import Candidate, check
from services.trainer.rules import GateRules
from services.trainer.run import STAGES, Run, open_run

if TYPE_CHECKING:
    from obstore.store import ObjectStore


CHANGED_MAX = 500


@dataclass(frozen=True)
class Registry:
    """Where models are kept; `run_dir`: where the run lies that is not finished, None: in `work_dir`."""

    conn: Connection[Any]
    store: "ObjectStore"
    work_dir: Path
    run_dir: Path | None = None


@dataclass(frozen=True)
class Outcome:
    version: str
    promoted: bool
    gates: tuple[registry.Gate, ...]
    metrics: dict[str, float]
    canary: bool = False


def train(
    read: Read,
    source: str,
    place: Registry,
    config: FitConfig,
    rules: GateRules,
    *,
    promote: bool,
    progress: Progress,
    until: str | None = None,
    canary: bool = False,
) -> Outcome | None:
    """
    Fits and registers a candidate; promotes it when asked to and all gates pass; with `canary` it shadows live
    tickets first. None: it stopped after `until`.

    A run that was killed, or stopped, goes on where it was; `source` says what it must have read.

    Raises:
        Conflict: another training runs in the same folder.
    """
    with open_run((place.run_dir or place.work_dir) / "run", identify(source, config)) as run:
        fit_stages(run, read, config, progress, until=until or STAGES[-1])
        if until is not None:
            return None
        outcome = _bring_in(run, place, rules, promote=promote, progress=progress, canary=canary)
        run.discard()
    return outcome


def _bring_in(
    run: Run, place: Registry, rules: GateRules, *, promote: bool, progress: Progress, canary: bool
) -> Outcome:
    """Registers, judges, promotes: a second time changes nothing."""
    fitted = read_fitted(run)
    with place.conn.transaction():
        version = registry.register(place.conn, place.store, _keep(run, place, fitted.manifest.model_version))
    progress("register", 1.0, version)
    found = registry.find(place.conn, version).gates or _judge(run, place, fitted, rules, promote=promote)
    passed = all(gate.passed for gate in found)
    failed = ", ".join(gate.name for gate in found if not gate.passed)
    progress("gates", 1.0, f"not passed: {failed}" if failed else f"{len(found)} passed")
    if promote and passed and canary and _shadow(place, version):
        progress("canary", 0.0, "shadows live tickets; each `pointsman models canary` compares")
        return Outcome(version, promoted=False, gates=found, metrics=fitted.manifest.metrics, canary=True)
    if promote and passed:
        with place.conn.transaction():
            registry.promote(place.conn, version)
        progress("promote", 1.0, version)
    return Outcome(version, promote and passed, found, fitted.manifest.metrics)


def _judge(run: Run, place: Registry, fitted: Fitted, rules: GateRules, *, promote: bool) -> tuple[registry.Gate, ...]:
    """The gates, asked and recorded; recorded last, for what has them is not judged again."""
    version = fitted.manifest.model_version
    candidate = _candidate(fitted, place)
    found = tuple(check(candidate, rules))
    registry.record_evidence(place.conn, version, _evidence(run, candidate))
    _tell_people(run, place, version, found)
    with place.conn.transaction():
        registry.record_gates(place.conn, version, found)
        if promote and not all(gate.passed for gate in found):
            _tell_rejected(place, version, found)
    return found


def _shadow(place: Registry, version: str) -> bool:
    with place.conn.transaction():
        return registry.begin_canary(place.conn, version)


def _keep(run: Run, place: Registry, version: str) -> Path:
    """A copy of the bundle where the router's cache looks for it: on one machine it needs no fetching."""
    folder = place.work_dir / version
    if not folder.exists():
        part = place.work_dir / f".{version}"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(run.folder / "export", part)
        part.rename(folder)
    return folder


def _tell_people(run: Run, place: Registry, version: str, gates: Sequence[registry.Gate]) -> None:
    """Model card and data card, beside the bundle here and in the object store."""
    for page in sorted(write_cards(read_story(run, gates), place.work_dir / version).iterdir()):
        place.store.put(f"models/{version}/{CARD_FOLDER}/{page.name}", page.read_bytes())


def _tell_rejected(place: Registry, version: str, gates: Sequence[registry.Gate]) -> None:
    """The gates that it did not pass, by name: their details are in the run's own report."""
    failed = ", ".join(gate.name for gate in gates if not gate.passed)
    audit.append_now(place.conn, audit.Entry("trainer", "model.rejected", f"model/{version}", {"gates": failed}))


def judge_candidate(fitted: Fitted, place: Registry, rules: GateRules) -> list[registry.Gate]:
    """The gates, with the champion fetched and asked when there is one."""
    return check(_candidate(fitted, place), rules)


def _candidate(fitted: Fitted, place: Registry) -> Candidate:
    model = load_bundle(place.work_dir / fitted.manifest.model_version)
    record = registry.champion(place.conn)
    if record is None or record.version == model.version:
        return Candidate(fitted, model)
    folder = registry.fetch(place.store, record, place.work_dir)
    return Candidate(fitted, model, load_bundle(folder), registry.read_lineage(folder))


def _evidence(run: Run, candidate: Candidate) -> Evidence:
    """What it was judged by, and the tickets that the champion answers otherwise."""
    fitted, champion = candidate.fitted, candidate.champion
    judged = read_judged(run)
    if champion is None:
        return gather(judged, fitted.manifest.labels)
    held_out = [fitted.held_out[at] for at in candidate.fresh]
    changed = changes(held_out, candidate.theirs, candidate.ours)
    return gather(judged, fitted.manifest.labels, compared_with=champion.version, changed=changed[:CHANGED_MAX])
