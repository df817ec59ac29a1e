"""The model that the measurements serve: of full size, trained once on mock history and kept under build/."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from services.core.models.texts import join_text
from services.local.mock.tickets import history
from services.trainer.config import FitConfig
from services.trainer.fit import fit
from services.trainer.prepare import Example

CACHE = Path(__file__).parents[2] / "build" / "bench"
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 1_500
TUNING_S = 90.0  # confident enough that most tickets are routed, and so written back, without a person
QUICK_ROWS = 400


def full_bundle() -> Path:
    """Fine-tuned as the first start does it: about three minutes on one busy core, once."""
    return _cached(f"tuned-{ROWS}", ROWS, FitConfig(limit_s=TUNING_S))


def quick_bundle() -> Path:
    """The kept full one; else the cold start: the same encoder, not fine-tuned, so as fast but less sure."""
    if (CACHE / f"tuned-{ROWS}").exists():
        return full_bundle()
    return _cached(f"frozen-{QUICK_ROWS}", QUICK_ROWS, FitConfig(encoder="frozen"))


def _cached(name: str, rows: int, config: FitConfig) -> Path:
    folder = CACHE / name
    if not (folder / "manifest.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        examples = [Example(join_text(row.subject, row.body), row.group) for row in history(rows, until=UNTIL)]
        fit(examples, folder, config, lambda stage, fraction, detail: None)
    return folder
