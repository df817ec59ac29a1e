"""
A training run on disk: a folder per stage that is done, so that a run that was killed goes on where it was.

A stage works in a hidden folder that becomes its own by one rename: it is there whole, or not at all.
"""

import fcntl
import json
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.core.kit.errors import ConfigurationInvalid, Conflict

STATE_FILE = "run.json"
AGE_MAX = timedelta(days=1)  # older ones begin anew: they hold tickets' text, some of which may be erased by now

STAGES = ("prepare", "finetune", "evaluate", "calibrate", "export")


@dataclass(frozen=True)
class Run:
    folder: Path
    started_at: datetime

    def stage(self, name: str, work: Callable[[Path], None]) -> Path:
        """The stage's folder, filled by `work` unless an earlier try has done so."""
        done = self.folder / name
        if done.exists():
            return done
        part = self.folder / f".{name}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        work(part)
        part.rename(done)
        return done

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def discard(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def open_run(folder: Path, identity: str) -> Generator[Run]:
    """
    The unfinished run in `folder` when it has the same `identity` (data, settings, code), else a new one.

    Raises:
        Conflict: another process trains there. ConfigurationInvalid: it is no place to write to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationInvalid(
            f"{folder.parent} is no folder that can be written to ({exc.strerror}). Name another: "
            "POINTSMAN_TRAINER_RUN_DIR or POINTSMAN_TRAINER_WORK_DIR."
        ) from exc
    lock = folder.with_name(f"{folder.name}.lock")
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Conflict(
                f"Another training runs in {folder}. Wait for it, or name another folder: POINTSMAN_TRAINER_RUN_DIR."
            ) from exc
        yield Run(folder, _begin(folder, identity))
        lock.unlink()


def _begin(folder: Path, identity: str) -> datetime:
    """When the run began."""
    now = datetime.now(UTC)
    try:
        known = json.loads((folder / STATE_FILE).read_bytes())
        began = datetime.fromisoformat(known["started_at"])
        if known["identity"] == identity and now - began < AGE_MAX:
            return began
    except (OSError, ValueError, KeyError):
        pass  # there is none, or it was killed before it had begun
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    part = folder / f".{STATE_FILE}"
    part.write_text(json.dumps({"identity": identity, "started_at": now.isoformat()}))
    part.rename(folder / STATE_FILE)
    return now
