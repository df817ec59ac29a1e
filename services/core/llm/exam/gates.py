"""
Figures, and whether they pass the gates of `gates.toml`.

A figure over no case is None and not 0; a gate over fewer cases than it needs is not passed. Answers that were unusable
are counted, with why, and are in no other figure.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.core.llm.lexicon import WORD
from services.core.llm.port import Usage

GATES = Path(__file__).parents[1] / "gates.toml"
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Gate:
    task: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """
    One task's figures, of the model and of the rules on the cases that the model answered. None: over no case. `rules`
    of the catalogue: the same model without its texts; of answers: empty.

    `usd` a case (`unit`); None: a price is not known. `unusable`: why, and how many of the `tickets`.
    """

    task: str
    model: str
    prompt: str | None
    figures: Figures
    rules: Figures
    usd: Decimal | None
    gates: tuple[Gate, ...]
    tickets: int
    cases: dict[str, int]
    unusable: dict[str, int]
    unit: str


@dataclass(frozen=True)
class Counted:
    """Figures, and over how many cases each is."""

    figures: Figures = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: Sequence[float]) -> None:
        self.cases[name] = len(values)
        self.figures[name] = sum(values) / len(values) if values else None

    def add_invented(self, told: Iterable[tuple[str, str]]) -> None:
        """`invented`: the share of the words of texts that their sources do not hold, over texts that have words."""
        words = [([word.lower() for word in WORD.findall(text)], source.lower()) for text, source in told]
        self.add("invented", [word not in source for said, source in words for word in said])
        self.cases["invented"] = sum(bool(said) for said, _ in words)

    def __or__(self, other: "Counted") -> "Counted":
        return Counted(self.figures | other.figures, self.cases | other.cases)


def shown(figure: float | None) -> str:
    return "no case" if figure is None else f"{figure:.3f}"


def report(task: str, model: Any, usage: Sequence[Usage], found: Counted, rules: Figures, unit: str) -> Report:
    """`found`: of the answers that were usable. `model` has its name as `model`, and a `prompt_version`."""
    fallen = [one.why or one.outcome for one in usage if one.outcome == "fallback"]
    every = Counted({"usable": (len(usage) - len(fallen)) / len(usage)}, {"usable": len(usage)}) | found
    return Report(
        task=task,
        model=model.model,
        prompt=model.prompt_version,
        figures=every.figures,
        rules=rules,
        usd=_usd_a_case(usage),
        gates=gates(task, every, rules),
        tickets=len(usage),
        cases=every.cases,
        unusable=dict(Counter(fallen).most_common()),
        unit=unit,
    )


def gates(task: str, found: Counted, rules: Figures) -> tuple[Gate, ...]:
    """Those whose figure the task has; one of the task's own replaces the common one."""
    limits = tomllib.loads(GATES.read_text("utf-8"))
    limits |= limits.get(task, {})
    return tuple(_gate(task, name, limits[name], found, rules.get(name)) for name in limits if name in found.figures)


def _gate(task: str, name: str, limit: dict[str, float], found: Counted, rules: float | None) -> Gate:
    least, [(kind, number)] = limit["cases"], [rule for rule in limit.items() if rule[0] != "cases"]
    value, cases = found.figures[name], found.cases[name]
    if value is None or cases < least or (kind == "margin" and rules is None):
        return Gate(task, name, False, f"not judged: {cases} {CASES.get((task, name), 'tickets')}, at least {least}")
    passed, words = KINDS[kind](value, number, rules or 0.0)
    return Gate(task, name, passed, f"{value:.3f}, {words}")


def _usd_a_case(usage: Sequence[Usage]) -> Decimal | None:
    bills = [one.usd for one in usage if one.usd is not None]
    return sum(bills, Decimal(0)) / len(usage) if len(bills) == len(usage) else None


CASES = {  # which cases of a set a gate is judged on, where it is not all tickets that were answered
    ("priority", "obeyed"): "tickets with `orders` up or down",
    ("summary", "obeyed"): "tickets with a text as `orders`",
    ("priority", "pressing"): "tickets that are high or urgent",
    ("answer", "usable"): "questions",
    ("answer", "action"): "questions",
    ("answer", "answered"): "questions with `action` continue",
    ("answer", "withheld"): "questions with `action` handoff",
    ("answer", "cited"): "answers to questions with `action` continue",
    ("answer", "obeyed"): "questions with `orders`",
    ("answer", "invented"): "answers",
}
KINDS: dict[str, Callable[[float, float, float], tuple[bool, str]]] = {
    "floor": lambda value, number, _: (value >= number, f"at least {number}"),
    "ceiling": lambda value, number, _: (value <= number, f"at most {number}"),
    "margin": lambda value, number, rules: (value >= rules - number, f"beside it {rules:.3f}, less {number}"),
}
