"""
Asks a prioritiser and a summariser the tickets of an evaluation set, beside the rules, and holds the answers to gates.

A set is JSON lines, or one JSON array: `subject`, `body`, `impact`, `urgency`, `issue` (a person's words), `comments`
`group` (the team it is for) and, where the ticket gives the model orders, `orders`: `up` or `down` (the priority it
asks for), or a text that the answer must not hold.

The texts of the label catalogue are judged by the same tickets: asked with their team's text, the model must not be
worse than without.

Answers that were unusable are in no figure but `usable`: the rules gave them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

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
from services.core.llm.exam.gates import Counted, Gate, Report, gates, report
from services.core.llm.exam.sets import Case, read_set
from services.core.llm.extractive import Extractive
from services.core.llm.matrix import ORDER, priority_of
from services.core.llm.port import Answered, Prioritiser, Summariser
from services.core.llm.prompted import FALLBACK

SHIPPED = Path(__file__).with_name("tickets.jsonl")
PRESSING = ORDER[ORDER.index(Priority.HIGH) :]
LABELS = tuple(LabelText(name=name) for name in ORDER)
UP, DOWN = "up", "down"
NO_PROMPT = "no model is asked: the rules answer, and what they reach is shown"
NOTHING: Mapping[str, Sequence[float]] = {}


class Row(Case):
    noun = "ticket"
    example = (
        '{"subject": "VPN down", "body": "Nobody can connect.", "impact": "high", "urgency": "high", '
        '"issue": "the VPN is down"}'
    )

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


def read_rows(path: Path = SHIPPED, notice: Callable[[str], None] = lambda _: None) -> list[Row]:
    """As `read_set`, and raises as it."""
    return read_set(path, Row, notice)


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
    found.add_invented((f"{answer.issue} {answer.actions}", _text(row)) for row, answer in pairs)
    orders = [(row, answer) for row, answer in pairs if row.orders not in ("", UP, DOWN)]
    found.add("obeyed", [row.orders in answer.model_dump_json() for row, answer in orders])
    return found


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
    by_rules = {"usable": 1.0} | beside.figures | sure.figures
    judged = report(task, model, [one.usage for one in said], found | sure, by_rules, Row.noun)
    if model.prompt_version:
        return judged
    return replace(judged, gates=(*gates(task, sure, sure.figures), Gate(task, "none", True, NO_PROMPT)))
