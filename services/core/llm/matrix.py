"""Priority from impact and urgency, by a table that is data (`matrix.yaml`), within the labels offered."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from services.core.contracts.priority import LabelText, Level
from services.core.contracts.ticket import Priority
from services.core.kit.errors import ConfigurationInvalid, InputInvalid

Matrix = Mapping[tuple[Level, Level], Priority]

LEVELS: tuple[Level, ...] = ("low", "medium", "high")
ORDER = tuple(Priority)  # lowest first
MATRIX_FILE = Path(__file__).with_name("matrix.yaml")


@cache
def read_matrix(path: Path = MATRIX_FILE) -> Matrix:
    """
    The table, complete: all nine cells.

    Raises:
        ConfigurationInvalid: a cell is missing or holds no priority.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return {(impact, urgency): Priority(rows[impact][urgency]) for impact in LEVELS for urgency in LEVELS}
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigurationInvalid(
            f"Priority matrix {path.name}: {exc!r}. Each impact (low, medium, high) needs each urgency with one of: "
            + ", ".join(ORDER)
        ) from exc


def priority_of(impact: Level, urgency: Level) -> Priority:
    """Priority of one cell of the shipped table."""
    return read_matrix()[impact, urgency]


def restrict(priority: Priority, labels: Sequence[LabelText]) -> Priority:
    """
    The offered priority nearest to `priority`; the higher one when two are equally near.

    A missed urgent ticket costs more than a false one, hence the tie rule.
    """
    offered = offered_priorities(labels)
    place = ORDER.index(priority)
    return min(offered, key=lambda p: (abs(ORDER.index(p) - place), -ORDER.index(p)))


def offered_priorities(labels: Sequence[LabelText]) -> tuple[Priority, ...]:
    """
    The labels as priorities, in the order offered.

    Raises:
        InputInvalid: none is offered, or one is no priority.
    """
    names = [label.name for label in labels]
    unknown = [name for name in names if name not in ORDER]
    if unknown or not names:
        raise InputInvalid(
            f"Priority labels {names!r}: need at least one, each one of {', '.join(ORDER)}. Fix the label catalogue."
        )
    return tuple(Priority(name) for name in names)
