"""The mock company as data: its groups (the label catalogue) and the phrases its people use, read once from YAML."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from services.core.contracts.priority import LabelText

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Group:
    """
    A support group. `share` is its part of all tickets (they sum to 1), `phrases` its wording by language; what
    `support_level` means says `Team`.
    """

    name: str
    support_level: int
    description: str
    share: float
    median_hours: float
    systems: tuple[str, ...]
    codes: tuple[str, ...]
    issues: dict[str, list[dict[str, str]]]
    details: dict[str, list[str]]
    fixes: dict[str, list[str]]


@dataclass(frozen=True)
class Company:
    name: str
    domain: str
    groups: tuple[Group, ...]

    def group(self, name: str) -> Group:
        return next(group for group in self.groups if group.name == name)


@cache
def company() -> Company:
    raw = _read("company.yaml")
    groups = tuple(Group(**_tuples(group)) for group in raw["groups"])
    return Company(raw["name"], raw["domain"], groups)


@cache
def phrases() -> dict[str, Any]:
    """Wording that no group owns: openings, urgency, closings, quoted mail, vague, ambiguous and foreign tickets."""
    return _read("phrases.yaml")


def labels() -> tuple[LabelText, ...]:
    """The label catalogue of the mock company: every group with what it is for."""
    return tuple(LabelText(name=group.name, description=group.description) for group in company().groups)


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def _tuples(group: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in group.items()}
