"""
How often a warning by learned hours is right, where a policy counts around the clock and where it counts office hours.

    python -m tests.bench.sla --train FILE --judge FILE --map text=symptom,label=team,opened=opened,solved=solved

Trains as `pointsman train --encoder frozen` does on one file, asks each ticket of the other as a worker would, and
warns where the SLA watch would: nine in ten like it take longer than is left. Late is what was solved after it was due.
"""

import argparse
import tempfile
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.prediction import Hours
from services.core.contracts.sla import Calendar, Span
from services.core.kit import business_time
from services.core.models.bundle import RouterModel, load_bundle
from services.core.text.hide import build_hide
from services.trainer.config import FitConfig
from services.trainer.files import read_file, read_map
from services.trainer.fit import fit
from services.trainer.prepare import Example, with_queue

BATCH = 256
ROWS_MIN = 30
TARGETS_H = (8.0, 24.0, 40.0, 80.0)
WARN_CHANCES = (0.5, 0.7, 0.9)
WORKING = ("monday", "tuesday", "wednesday", "thursday", "friday")
OFFICE = Calendar(zone="UTC", hours=dict.fromkeys(WORKING, (Span(start=time(9), until=time(17)),)))


def main() -> None:
    asked = _parse_arguments()
    hide = build_hide()
    learnt, judged = (read_file(path, read_map(asked.map), hide) for path in (asked.train, asked.judge))
    queued = with_queue([*learnt, *judged])
    train, timed = queued[: len(learnt)], [row for row in queued[len(learnt) :] if _is_timed(row)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "bundle")
        fit(train, folder, FitConfig(encoder="frozen"), lambda *said: None)
        model = load_bundle(folder)
        told = outlooks(model, timed)
    opened, hours = [_opened(row) for row in timed], np.array([row.targets.hours for row in timed])
    above = hours > np.array([one.low for one in told])
    print(f"{len(timed)} tickets; {above.mean():.1%} took longer than the low end, of which nine in ten should")
    for day in range(7):
        here = np.array([at.weekday() == day for at in opened])
        if here.sum() >= ROWS_MIN:
            print(f"  opened on a {opened[int(np.argmax(here))]:%A}: {above[here].mean():.1%} of {here.sum()}")
    for words, calendar in (("around the clock", None), ("office hours", OFFICE)):
        for target in TARGETS_H:
            left = [left_h(at, target, calendar) for at in opened]
            chances = np.array([one.chance_longer(given) for one, given in zip(told, left, strict=True)])
            print(f"{target:3.0f} h {words:17s} {say(chances, hours > np.array(left))}")


def say(chances: NDArray[np.float64], late: NDArray[np.bool_]) -> str:
    parts = [f"{late.mean():.1%} late"]
    for least in WARN_CHANCES:
        warned = chances >= least
        right = f"{late[warned].mean():.1%} of these late" if warned.any() else "none"
        parts.append(
            f"from {least:.0%}: {warned.sum()} warned of, {right}, {late[warned].sum() / late.sum():.0%} of all late"
        )
    return "; ".join(parts)


def outlooks(model: RouterModel, rows: Sequence[Example]) -> list[Hours]:
    found = []
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        told = model.foresee(model.embed([row.text for row in part]), [row.facts for row in part])
        found += [one.hours for one in told if one.hours is not None]
    return found


def _is_timed(row: Example) -> bool:
    return row.targets.hours is not None and row.facts.opened_at is not None


def _opened(row: Example) -> datetime:
    assert row.facts.opened_at is not None  # of timed rows
    return row.facts.opened_at


def left_h(opened: datetime, target: float, calendar: Calendar | None) -> float:
    return (business_time.after(opened, target, calendar) - opened) / timedelta(hours=1)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sla", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--map", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
