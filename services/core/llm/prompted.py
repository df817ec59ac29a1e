"""Both tasks by a language model, with the extractive default behind it when no usable answer comes."""

from dataclasses import dataclass

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.contracts.ticket import Priority
from services.core.llm.agent import Ask, Asker, NoUsableAnswer
from services.core.llm.answers import (
    NOTE_MAX_CHARS,
    REASON_MAX_CHARS,
    PriorityDraft,
    SummaryDraft,
    clean,
    clean_references,
    clean_tags,
    priority_draft,
    text_of,
)
from services.core.llm.extractive import priority_by_rules, summary_by_rules
from services.core.llm.matrix import ORDER, offered_priorities, priority_of, restrict
from services.core.llm.port import Answered
from services.core.llm.prompt import PRIORITY_VERSION, SUMMARY_VERSION, priority_prompt, summary_prompt

FALLBACK = "fallback"
CONTRADICTION_STEPS = 2  # one step apart is a matter of taste, two mean that one of the model's answers is wrong


@dataclass(frozen=True)
class PromptedPrioritiser:
    asker: Asker
    prompt_version: str | None = PRIORITY_VERSION

    @property
    def model(self) -> str:
        return self.asker.model

    async def prioritise(self, question: PriorityQuestion) -> Answered[PriorityAnswer]:
        offered = offered_priorities(question.labels)
        prompt = priority_prompt(question, max_chars=self.asker.config.max_input_chars)
        ask = Ask(prompt, priority_draft(tuple(offered)), check=lambda draft: _contradiction(draft, question))
        draft, usage = await self.asker.ask(ask)
        if isinstance(draft, NoUsableAnswer):
            return Answered(priority_fallback(question, draft.why), usage)
        return Answered(self._answer(question, draft), usage)

    def _answer(self, question: PriorityQuestion, draft: PriorityDraft) -> PriorityAnswer:
        source = text_of(question)
        return PriorityAnswer(
            priority=restrict(priority_of(draft.impact, draft.urgency), question.labels),
            impact=draft.impact,
            urgency=draft.urgency,
            reason=clean(draft.reason, max_chars=REASON_MAX_CHARS, source=source),
            by=self.model,
            prompt_version=self.prompt_version,
        )


@dataclass(frozen=True)
class PromptedSummariser:
    asker: Asker
    prompt_version: str | None = SUMMARY_VERSION

    @property
    def model(self) -> str:
        return self.asker.model

    async def summarise(self, question: SummaryQuestion) -> Answered[SummaryAnswer]:
        prompt = summary_prompt(question, max_chars=self.asker.config.max_input_chars)
        draft, usage = await self.asker.ask(Ask(prompt, SummaryDraft))
        if isinstance(draft, NoUsableAnswer):
            return Answered(summary_fallback(question), usage)
        return Answered(self._answer(question, draft), usage)

    def _answer(self, question: SummaryQuestion, draft: SummaryDraft) -> SummaryAnswer:
        source = text_of(question)
        return SummaryAnswer(
            issue=clean(draft.issue, max_chars=NOTE_MAX_CHARS, source=source),
            actions=clean(draft.actions, max_chars=NOTE_MAX_CHARS, source=source),
            tags=clean_tags(draft.tags, source),
            references=clean_references(draft.references, source),
            by=self.model,
            prompt_version=self.prompt_version,
        )


def priority_fallback(question: PriorityQuestion, why: str) -> PriorityAnswer:
    """By rules, saying why no model answered."""
    answer = priority_by_rules(question)
    return answer.model_copy(update={"by": FALLBACK, "reason": f"By rules, because {why}: {answer.reason}"})


def summary_fallback(question: SummaryQuestion) -> SummaryAnswer:
    return summary_by_rules(question).model_copy(update={"by": FALLBACK})


def _contradiction(draft: PriorityDraft, question: PriorityQuestion) -> str | None:
    by_matrix = restrict(priority_of(draft.impact, draft.urgency), question.labels)
    apart = abs(ORDER.index(by_matrix) - ORDER.index(Priority(draft.priority)))
    if apart < CONTRADICTION_STEPS:
        return None
    return (
        f"impact {draft.impact} and urgency {draft.urgency} mean priority {by_matrix}, not {draft.priority}. "
        "Judge the facts again and answer consistently."
    )
