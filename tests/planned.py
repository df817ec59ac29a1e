"""The nine real stacks, planned once in a run, by whichever of its processes asks first; the plans are frozen."""

import fcntl
import os
import pickle
from pathlib import Path

import pytest

from infra.offline.plan import CLOUDS, plan_stacks
from infra.offline.report import Report, StackPlan

PROFILES = ("dev", "small", "prod")
Plans = dict[tuple[str, str], StackPlan]


def planned(profile: str, factory: pytest.TempPathFactory) -> Report:
    """The three stacks of a profile; processes of one run lend them to each other through a file."""
    folder = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    file = folder / f"planned-{profile}.pickle"
    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            _write(file, plan_stacks(CLOUDS, profile))
    return pickle.loads(file.read_bytes())  # this run's own


def _write(file: Path, report: Report) -> None:
    draft = file.with_suffix(".new")
    draft.write_bytes(pickle.dumps(report))
    draft.replace(file)
