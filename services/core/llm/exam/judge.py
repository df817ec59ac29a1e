"""
Asks a prioritiser and a summariser the tickets of an evaluation set, beside the rules, and holds the answers to gates.

A set is JSON lines, or one JSON array: `subject`, `body`, `impact`, `urgency`, `issue` (a person's words), `comments`
`group` (the team it is for) and, where the ticket gives the model orders, `orders`: `up` or `down` (the priority it
asks for), or a text that the answer must not hold.

The texts of the label catalogue are judged by the same tickets: asked with their team's text, the model must not be
worse than without.

A figure over no case is None and not 0; a gate over fewer cases than it needs is not passed. Answers that were unusable
are counted, with why, and are in no other figure: the rules gave them.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from services.core.contracts.catalogue import Team
from services.core.contracts.priority import (
    LabelText,
    Level,
    PriorityAnswer,
    PriorityQuestion,
    SummaryAnswer,
    SummaryQuestion,
)
from services.core.contracts.ticket import Priority
from services.core.kit.errors import InputInvalid
from services.core.llm.evaluate import rouge_l
from services.core.llm.extractive import Extractive
from services.core.llm.lexicon import WORD
from services.core.llm.matrix import ORDER, priority_of
from services.core.llm.port import Answered, Prioritiser, Summariser, Usage
from services.core.llm.prompted import FALLBACK
from services.core.text.records import Malformed, Record, inspect, records

SHIPPED = Path(__file__).with_name("tickets.jsonl")
GATES = Path(__file__).parents[1] / "gates.toml"
PRESSING = ORDER[ORDER.index(Priority.HIGH) :]
LABELS = tuple(LabelText(name=name) for name in ORDER)
UP, DOWN = "up", "down"
NO_PROMPT = "no model is asked: the rules answer, and what they reach is shown"
Figures = dict[str, float | None]
NOTHING: Mapping[str, Sequence[float]] = {}
WANTED = (
    "A set is JSON lines, one ticket a line, for example: "
    '{"subject": "VPN down", "body": "Nobody can connect.", "impact": "high", "urgency": "high", '
    '"issue": "the VPN is down"}'
)


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    subject: str
    body: str
    impact: Level
    urgency: Level
    issue: str
    comments: tuple[tuple[Literal["requester", "agent"], str], ...] = ()
    orders: str = ""
    group: str = ""

    @property
    def priority(self) -> Priority:
        return priority_of(self.impact, self.urgency)


@dataclass(frozen=True)
class Gate:
    task: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """
    One task's figures, of the model and of the rules on the tickets that the model answered. None: over no case. Of the
    catalogue: with its texts, and without.

    `usd` a ticket; None: a price is not known. `unusable`: why, and how many of the `tickets`.
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


@dataclass(frozen=True)
class Counted:
    """Figures, and over how many tickets each is."""

    figures: Figures = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: Sequence[float]) -> None:
        self.cases[name] = len(values)
        self.figures[name] = sum(values) / len(values) if values else None


def read_rows(path: Path = SHIPPED, notice: Callable[[str], None] = lambda _: None) -> list[Row]:
    """
    `notice` is told what is unusual about the file: an encoding that was guessed.

    Raises:
        InputInvalid: the file cannot be read, or a line is no row: line, field and what belongs there, no content.
    """
    file = inspect(path)
    if file.kind == "csv":
        raise InputInvalid(f"{path} is not JSON (it begins with neither {{ nor [). {WANTED}")
    if file.notice:
        notice(file.notice)
    rows = [_row(path, line, record) for line, record in records(file)]
    if not rows:
        raise InputInvalid(f"{path} holds no ticket. {WANTED}")
    return rows


def _row(path: Path, line: int, record: Record | Malformed) -> Row:
    if isinstance(record, Malformed):
        raise InputInvalid(f"{path}, line {line}: {record.why}. {WANTED}")
    try:
        return Row.model_validate(record)
    except ValidationError as exc:
        found = exc.errors(include_input=False, include_url=False, include_context=False)
        problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
        raise InputInvalid(f"{path}, line {line}: {'; '.join(problems)}. {WANTED}") from None


def shown(figure: float | None) -> str:
    return "no case" if figure is None else f"{figure:.3f}"


async def judge_priorities(model: Prioritiser, rows: Sequence[Row]) -> Report:
    """Raises LlmUnavailable: the model does not answer."""
    questions = [_asked(row) for row in rows]
    said = [await model.prioritise(question) for question in questions]
    rules = [await Extractive().prioritise(question) for question in questions]
    return _report("priority", model, _priorities, rows, said, rules)


async def judge_catalogue(model: Prioritiser, rows: Sequence[Row], teams: Sequence[Team]) -> Report:
    """
    The set's tickets that have a team, asked with its text, beside the same model without. Raises as above.

    Raises:
        InputInvalid: no ticket of the set has a team.
    """
    told = [row for row in rows if row.group]
    if not told:
        raise InputInvalid('No ticket of the set says its team: add "group", as the catalogue names it.')
    texts = {team.name: team.description for team in teams if team.active}
    said = [await model.prioritise(_asked(row, texts.get(row.group))) for row in told]
    without = [await model.prioritise(_asked(row)) for row in told]
    described = [bool(texts.get(row.group, "").strip()) for row in told]
    report = _report("catalogue", model, _priorities, told, said, without, always={"described": described})
    bare = sorted({row.group for row, has in zip(told, described, strict=True) if not has})
    return replace(report, gates=tuple(_naming(gate, bare) for gate in report.gates))


def _naming(gate: Gate, bare: Sequence[str]) -> Gate:
    """Which teams have no text, where that is what was asked."""
    if gate.name != "described" or not bare:
        return gate
    return replace(gate, detail=f"{gate.detail}; no active team with a text: {', '.join(bare)}")


def _asked(row: Row, text: str | None = None) -> PriorityQuestion:
    group = None if text is None else LabelText(name=row.group, description=text)
    return PriorityQuestion(ticket_id="exam", subject=row.subject, body=row.body, labels=LABELS, group=group)


async def judge_summaries(model: Summariser, rows: Sequence[Row]) -> Report:
    """Raises as above."""
    questions = [SummaryQuestion(ticket_id="exam", subject=r.subject, body=r.body, comments=r.comments) for r in rows]
    said = [await model.summarise(question) for question in questions]
    rules = [await Extractive().summarise(question) for question in questions]
    return _report("summary", model, _summaries, rows, said, rules)


def _priorities(pairs: Sequence[tuple[Row, PriorityAnswer]]) -> Counted:
    found = Counted()
    steps = [abs(ORDER.index(row.priority) - ORDER.index(answer.priority)) for row, answer in pairs]
    found.add("accuracy", [step == 0 for step in steps])
    found.add("within_one", [step <= 1 for step in steps])
    found.add("pressing", [answer.priority in PRESSING for row, answer in pairs if row.priority in PRESSING])
    found.add("false_alarms", [answer.priority in PRESSING for row, answer in pairs if row.priority not in PRESSING])
    found.add("obeyed", [_is_moved(row, answer) for row, answer in pairs if row.orders in (UP, DOWN)])
    return found


def _is_moved(row: Row, answer: PriorityAnswer) -> bool:
    """Where it was told to go; a step in the other direction is only wrong."""
    by = ORDER.index(answer.priority) - ORDER.index(row.priority)
    return by > 0 if row.orders == UP else by < 0


def _summaries(pairs: Sequence[tuple[Row, SummaryAnswer]]) -> Counted:
    found = Counted()
    found.add("rouge_l", [rouge_l(row.issue, answer.issue) for row, answer in pairs])
    told = [(_words(f"{answer.issue} {answer.actions}"), _text(row).lower()) for row, answer in pairs]
    found.add("invented", [word not in text for words, text in told for word in words])
    found.cases["invented"] = sum(bool(words) for words, _ in told)
    orders = [(row, answer) for row, answer in pairs if row.orders not in ("", UP, DOWN)]
    found.add("obeyed", [row.orders in answer.model_dump_json() for row, answer in orders])
    return found


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def _text(row: Row) -> str:
    return "\n".join([row.subject, row.body, *(body for _, body in row.comments)])


def _report(
    task: str,
    model: Prioritiser | Summariser,
    judge: Callable[[Sequence[tuple[Row, Any]]], Counted],
    rows: Sequence[Row],
    said: Sequence[Answered[Any]],
    rules: Sequence[Answered[Any]],
    always: Mapping[str, Sequence[float]] = NOTHING,
) -> Report:
    """Beside the rules, on the tickets that the model itself answered; `always`: figures that need no model."""
    own = [at for at, one in enumerate(said) if one.answer.by != FALLBACK]
    found, beside = (judge([(rows[at], many[at].answer) for at in own]) for many in (said, rules))
    sure = Counted()
    for name, values in always.items():
        sure.add(name, values)
    usable = {"usable": len(own) / len(rows)}
    figures = usable | found.figures | sure.figures
    cases = {"usable": len(rows)} | found.cases | sure.cases
    by_rules = {"usable": 1.0} | beside.figures | sure.figures
    if model.prompt_version:
        gates = _gates(task, Counted(figures, cases), by_rules)
    else:
        gates = (*_gates(task, sure, sure.figures), Gate(task, "none", True, NO_PROMPT))
    why = Counter(one.usage.why or one.usage.outcome for one in said if one.answer.by == FALLBACK)
    return Report(
        task=task,
        model=model.model,
        prompt=model.prompt_version,
        figures=figures,
        rules=by_rules,
        usd=_usd_a_ticket([one.usage for one in said]),
        gates=gates,
        tickets=len(rows),
        cases=cases,
        unusable=dict(why.most_common()),
    )


def _usd_a_ticket(usage: Sequence[Usage]) -> Decimal | None:
    bills = [one.usd for one in usage if one.usd is not None]
    return sum(bills, Decimal(0)) / len(usage) if len(bills) == len(usage) else None


def _gates(task: str, found: Counted, rules: Figures) -> tuple[Gate, ...]:
    """Those whose figure the task has."""
    limits = tomllib.loads(GATES.read_text("utf-8"))
    return tuple(_gate(task, name, limits[name], found, rules[name]) for name in limits if name in found.figures)


def _gate(task: str, name: str, limit: dict[str, float], found: Counted, rules: float | None) -> Gate:
    least, [(kind, number)] = limit["tickets"], [rule for rule in limit.items() if rule[0] != "tickets"]
    value, cases = found.figures[name], found.cases[name]
    if value is None or rules is None or cases < least:
        return Gate(task, name, False, f"not judged: {cases} tickets{CASES.get((task, name), '')}, at least {least}")
    passed, words = KINDS[kind](value, number, rules)
    return Gate(task, name, passed, f"{value:.3f}, {words}")


CASES = {  # which tickets of a set a gate is judged on, where it is not all that were answered
    ("priority", "obeyed"): " with `orders` up or down",
    ("summary", "obeyed"): " with a text as `orders`",
    ("priority", "pressing"): " that are high or urgent",
}
KINDS: dict[str, Callable[[float, float, float], tuple[bool, str]]] = {
    "floor": lambda value, number, _: (value >= number, f"at least {number}"),
    "ceiling": lambda value, number, _: (value <= number, f"at most {number}"),
    "margin": lambda value, number, rules: (value >= rules - number, f"beside it {rules:.3f}, less {number}"),
}
