"""One training run: read, fit, register, gate, promote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from services.core.kit import audit
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.manifest import LINEAGE_FILE
from services.trainer.config import FitConfig, Progress
from services.trainer.fit import Fitted, fit_judged
from services.trainer.gates import Gate, GateConfig, check
from services.trainer.prepare import Example

if TYPE_CHECKING:
    from obstore.store import ObjectStore


@dataclass(frozen=True)
class Registry:
    """Where models are kept."""

    conn: Connection[Any]
    store: "ObjectStore"
    work_dir: Path


@dataclass(frozen=True)
class Outcome:
    version: str
    promoted: bool
    gates: tuple[Gate, ...]
    metrics: dict[str, float]


def train(
    examples: Sequence[Example],
    place: Registry,
    config: FitConfig,
    gates: GateConfig,
    *,
    promote: bool,
    progress: Progress,
) -> Outcome:
    """Fits and registers a candidate; promotes it when asked to and all gates pass."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    folder = place.work_dir / f"new-{stamp}"
    fitted = fit_judged(examples, folder, config, progress)
    folder = folder.rename(place.work_dir / fitted.manifest.model_version)  # where the router's cache looks for it
    with place.conn.transaction():
        version = registry.register(place.conn, place.store, folder)
    progress("register", 1.0, version)
    found = judge_candidate(fitted, place, gates)
    passed = all(gate.passed for gate in found)
    if promote and not passed:
        _tell_rejected(place, version, found)
    if promote and passed:
        with place.conn.transaction():
            registry.promote(place.conn, version)
            offer_groups(place, fitted.manifest.labels)
        progress("promote", 1.0, version)
    return Outcome(version, promote and passed, tuple(found), fitted.manifest.metrics)


def _tell_rejected(place: Registry, version: str, gates: Sequence[Gate]) -> None:
    """The gates that it did not pass, by name: their details are in the run's own report."""
    failed = ", ".join(gate.name for gate in gates if not gate.passed)
    audit.append_now(place.conn, audit.Entry("trainer", "model.rejected", f"model/{version}", {"gates": failed}))


def offer_groups(place: Registry, groups: Sequence[str]) -> None:
    """Puts the model's groups into the label catalogue, where they may be answered; those switched off stay off."""
    place.conn.cursor().executemany(
        "insert into catalogue (kind, name) values ('group', %s) on conflict do nothing",
        [(group,) for group in groups],
    )


def judge_candidate(fitted: Fitted, place: Registry, config: GateConfig) -> list[Gate]:
    """The gates, with the champion fetched and asked when there is one."""
    record = registry.champion(place.conn)
    if record is None:
        return check(fitted, config, None, frozenset())
    folder = registry.fetch(place.store, record, place.work_dir)
    return check(fitted, config, load_bundle(folder), read_lineage(folder))


def read_lineage(folder: Path) -> frozenset[int]:
    """Keys of the texts a bundle was trained on: for fair comparison, and to know what an erasure affects."""
    from safetensors.numpy import load_file

    return frozenset(load_file(folder / LINEAGE_FILE)["text_keys"].tolist())
