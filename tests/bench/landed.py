"""The figures of the last landing, kept in the repository: beside them a regression can be seen."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tests.bench.report import Machine, Row

FILE = Path(__file__).with_name("landed.json")


class Room(BaseModel):
    """One room's figures by name, in the unit of their rows, and what they were measured on."""

    model_config = ConfigDict(extra="forbid")

    machine: Machine
    figures: dict[str, float]


def read(file: Path = FILE) -> dict[str, Room]:
    """By room; nothing where nothing was kept."""
    kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return {name: Room.model_validate(room) for name, room in kept.items()}


def keep(machine: Machine, rows: Sequence[Row], file: Path = FILE) -> None:
    """Puts these figures in the place of their earlier ones; others stay."""
    rooms = read(file)
    for row in rows:
        earlier = rooms[row.room].figures if row.room in rooms else {}
        rooms[row.room] = Room(machine=machine, figures=earlier | {row.what: float(f"{row.value:.4g}")})
    kept = {name: room.model_dump() for name, room in sorted(rooms.items())}
    file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def figures(rooms: Mapping[str, Room]) -> dict[tuple[str, str], float]:
    """By room and name, as rows are told apart."""
    return {(name, what): value for name, room in rooms.items() for what, value in room.figures.items()}
