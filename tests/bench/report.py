"""What a measurement found, and how it is shown: as a table for people, as JSON for a record of many runs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

Landed = Mapping[tuple[str, str], float]  # by room and what
NOTHING: Landed = {}


@dataclass(frozen=True)
class Target:
    """A goal of the design: `at_least` or `at_most`, in the row's unit."""

    at_least: float | None = None
    at_most: float | None = None

    def is_held(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass(frozen=True)
class Row:
    """One figure. Only figures that are ratios, or bounds of the design, carry a target."""

    room: str
    what: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return f"{'held' if self.target.is_held(self.value) else 'MISSED'} ({self.target})"


@dataclass(frozen=True)
class Machine:
    """What the figures were measured on, and how busy others kept it: absolutes depend on it, ratios hardly."""

    processor: str
    cores: int
    memory_gib: float
    python: str
    load_1m_before: float
    load_1m_after: float


def describe_machine(load_before: float) -> Machine:
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        python=platform.python_version(),
        load_1m_before=round(load_before, 2),
        load_1m_after=round(os.getloadavg()[0], 2),
    )


def usable_cores() -> int:
    return len(psutil.Process().cpu_affinity() or []) or os.cpu_count() or 1


def as_json(machine: Machine, rows: Sequence[Row], landed: Landed = NOTHING) -> str:
    found = [
        {
            "held": row.target.is_held(row.value) if row.target else None,
            "landed": landed.get((row.room, row.what)),
            **asdict(row),
        }
        for row in rows
    ]
    return json.dumps({"machine": asdict(machine), "rows": found}, indent=1)


def as_table(machine: Machine, rows: Sequence[Row], landed: Landed = NOTHING) -> str:
    """`landed`: the last landing's figure of a row stands behind it."""
    lines = [
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, Python {machine.python}; "
        f"load average {machine.load_1m_before} before, {machine.load_1m_after} after"
    ]
    for room in dict.fromkeys(row.room for row in rows):
        lines += ["", room]
        lines += [_line(row, landed.get((room, row.what))) for row in rows if row.room == room]
    return "\n".join(lines)


def _line(row: Row, landed: float | None) -> str:
    was = "" if landed is None else f"was {_figure(landed)}"
    return f"  {row.what:<58}{_figure(row.value):>9} {row.unit:<11}{was:<13}{row.verdict}".rstrip()


def _figure(value: float) -> str:
    return f"{value:.{0 if abs(value) >= 100 else 2}f}"


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
