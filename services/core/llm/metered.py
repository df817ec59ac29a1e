"""
The models behind cache, budget and ledger: what a workflow's step calls.

No connection is held while a model answers. The budget is checked before a call, so calls that run at the same moment
may pass it together: the overshoot is at most the calls in flight, fractions of a cent each.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar

from psycopg_pool import AsyncConnectionPool

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.kit.database import connection
from services.core.llm.answers import NOTE_MAX_CHARS, REASON_MAX_CHARS, text_of
from services.core.llm.build import Llm
from services.core.llm.extractive import NAME as EXTRACTIVE
from services.core.llm.ledger import Call, Origin, cache_key, recall, record, remember, spent_today
from services.core.llm.port import Answered, Prioritiser, Summariser, Task, Usage
from services.core.llm.prompted import priority_fallback, summary_fallback

Question = TypeVar("Question", PriorityQuestion, SummaryQuestion)
Answer = TypeVar("Answer", PriorityAnswer, SummaryAnswer)
OVER_BUDGET = "today's budget for language models is spent"


@dataclass(frozen=True)
class _Job(Generic[Question, Answer]):
    task: Task
    question: Question
    port: Prioritiser | Summariser
    ask: Callable[[Question], Awaitable[Answered[Answer]]]
    kind: type[Answer]
    by_rules: Callable[[Question], Answer]


@dataclass(frozen=True)
class MeteredLlm:
    """
    `hide` takes personal data out of texts of an answer, but for what the redacted source says; whatever a model said
    passes it before it is stored. `budget_usd_per_day` holds per UTC day; None: no limit.
    """

    llm: Llm
    pool: AsyncConnectionPool[Any]
    hide: Callable[[tuple[str, ...], str], Awaitable[tuple[str, ...]]]
    budget_usd_per_day: Decimal | None = None

    async def prioritise(self, question: PriorityQuestion, origin: Origin) -> Answered[PriorityAnswer]:
        """
        Priority of a ticket, billed once however often the step runs.

        Raises:
            LlmUnavailable: the model does not answer; the step may be tried again.
            DatabaseUnavailable: the ledger cannot be reached.
            InputInvalid: no usable label was offered.
        """
        port = self.llm.prioritiser
        return await self._metered(
            _Job("priority", question, port, port.prioritise, PriorityAnswer, _priority_over_budget), origin
        )

    async def summarise(self, question: SummaryQuestion, origin: Origin) -> Answered[SummaryAnswer]:
        """Summary of a solved ticket, billed once; raises like `prioritise`."""
        port = self.llm.summariser
        return await self._metered(
            _Job("summary", question, port, port.summarise, SummaryAnswer, summary_fallback), origin
        )

    async def _metered(self, job: _Job[Question, Answer], origin: Origin) -> Answered[Answer]:
        if job.port.model == EXTRACTIVE:  # costs nothing: a row for each ticket would only fill the ledger
            return await job.ask(job.question)
        answered = await self._without_asking(job, origin) or await job.ask(job.question)
        answered = replace(answered, answer=await self._hidden(answered.answer, job.question))
        await self._settle(job, answered, origin)
        return answered

    async def _without_asking(self, job: _Job[Question, Answer], origin: Origin) -> Answered[Answer] | None:
        """A kept answer, or the rules' when the budget is spent."""
        begin = time.perf_counter()
        usage = Usage(model=job.port.model, prompt_version=job.port.prompt_version, usd=Decimal(0), outcome="cached")
        async with connection(self.pool) as conn:
            kept = await recall(conn, self._key(job), job.kind)
            if kept is not None:
                return Answered(kept, replace(usage, latency_ms=(time.perf_counter() - begin) * 1000))
            if self.budget_usd_per_day is None or await spent_today(conn) < self.budget_usd_per_day:
                return None
        return Answered(job.by_rules(job.question), replace(usage, prompt_version=None, outcome="over_budget"))

    async def _hidden(self, answer: Answer, question: Question) -> Answer:
        """Every text of the answer; a tag or reference that is not what it was is left out, it would name nothing."""
        source = text_of(question)
        if isinstance(answer, PriorityAnswer):
            (reason,) = await self.hide((answer.reason,), source)
            return answer.model_copy(update={"reason": reason[:REASON_MAX_CHARS]})
        said = (answer.issue, answer.actions, *answer.tags, *answer.references)
        issue, actions, *short = await self.hide(said, source)
        kept = {old for old, new in zip(said[2:], short, strict=True) if old == new}
        changed = {
            "issue": issue[:NOTE_MAX_CHARS],
            "actions": actions[:NOTE_MAX_CHARS],
            "tags": tuple(tag for tag in answer.tags if tag in kept),
            "references": tuple(reference for reference in answer.references if reference in kept),
        }
        return answer.model_copy(update=changed)

    async def _settle(self, job: _Job[Question, Answer], answered: Answered[Answer], origin: Origin) -> None:
        async with connection(self.pool) as conn, conn.transaction():
            await record(conn, Call(origin, job.task, answered.usage))
            if answered.usage.outcome == "answered":
                await remember(conn, self._key(job), origin, answered.answer)

    def _key(self, job: _Job[Question, Answer]) -> str:
        return cache_key(job.port.model, job.port.prompt_version, job.question)


def _priority_over_budget(question: PriorityQuestion) -> PriorityAnswer:
    return priority_fallback(question, OVER_BUDGET)
