"""
The embedded default: no network, no model weights, and it says so (`by="extractive"`).

Priority comes from cues of impact and urgency and a matrix; a summary is sentences of the ticket itself, so it cannot
invent a word. A generative model that fits a wheel was measured at chance on priority and invented 39 % of its words.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.llm.lexicon import Axis, Found, find_cues, level_of, read_lexicon
from services.core.llm.matrix import offered_priorities, priority_of, restrict
from services.core.llm.port import Answered, free_of_charge, joined
from services.core.llm.references import find_references
from services.core.llm.sentences import keywords, lead, reports_action, sentences

NAME = "extractive"
ISSUE_MAX_CHARS = 500
ACTION_SENTENCES = 3


@dataclass(frozen=True)
class Extractive:
    """Both tasks by rules. Safe to share between tasks; a call takes well under a millisecond for a usual ticket."""

    model: str = NAME
    prompt_version: str | None = None

    async def prioritise(self, question: PriorityQuestion) -> Answered[PriorityAnswer]:
        begin = time.perf_counter()
        return Answered(priority_by_rules(question), free_of_charge(NAME, _ms_since(begin)))

    async def summarise(self, question: SummaryQuestion) -> Answered[SummaryAnswer]:
        begin = time.perf_counter()
        return Answered(summary_by_rules(question), free_of_charge(NAME, _ms_since(begin)))


def priority_by_rules(question: PriorityQuestion) -> PriorityAnswer:
    """
    Priority among the labels offered, with the cues found as the reason.

    Raises:
        InputInvalid: no usable label was offered.
    """
    offered_priorities(question.labels)
    found = find_cues(f"{question.subject}\n{question.body}", read_lexicon())
    impact, urgency = level_of(found, "impact"), level_of(found, "urgency")
    return PriorityAnswer(
        priority=restrict(priority_of(impact, urgency), question.labels),
        impact=impact,
        urgency=urgency,
        reason=f"impact {impact} ({_quotes(found, 'impact')}), urgency {urgency} ({_quotes(found, 'urgency')})",
        by=NAME,
    )


def summary_by_rules(question: SummaryQuestion) -> SummaryAnswer:
    """Issue, actions, tags and references, every word of them from the ticket."""
    agent = [body for speaker, body in question.comments if speaker == "agent"]
    everything = (question.subject, question.body, *(body for _, body in question.comments))
    return SummaryAnswer(
        issue=_issue(question),
        actions=joined(_actions(agent)),
        tags=keywords(question.subject, question.body),
        references=find_references(*everything),
        by=NAME,
    )


def _issue(question: SummaryQuestion) -> str:
    return (lead(question.body) or question.subject or question.body.strip())[:ISSUE_MAX_CHARS].strip()


def _actions(agent_comments: Iterable[str]) -> Sequence[str]:
    """The last sentences in which an agent says what was done; else the last thing an agent said."""
    said = [sentence for body in agent_comments for sentence in sentences(body)]
    done = [sentence for sentence in said if reports_action(sentence)]
    return (done or said[-1:])[-ACTION_SENTENCES:]


def _quotes(found: Sequence[Found], axis: Axis) -> str:
    quotes = [f'"{cue.quote}"' for cue in found if cue.cue.axis == axis]
    return ", ".join(quotes) or "nothing says otherwise"


def _ms_since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000
