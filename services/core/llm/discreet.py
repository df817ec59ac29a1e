"""A model outside the account is asked in the strict level; what was hidden for it is put back into its answer."""

import asyncio
from dataclasses import dataclass

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion
from services.core.llm.port import Answered, Prioritiser, Summariser
from services.core.text.redact import restore
from services.core.text.strict import strict


@dataclass(frozen=True)
class DiscreetPrioritiser:
    inner: Prioritiser

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def prompt_version(self) -> str | None:
        return self.inner.prompt_version

    async def prioritise(self, question: PriorityQuestion) -> Answered[PriorityAnswer]:
        fields = {"subject": question.subject, "body": question.body}
        safe = await asyncio.to_thread(strict, fields)  # a language's dictionary may be read: seconds, once
        answered = await self.inner.prioritise(question.model_copy(update=safe.fields))
        reason = restore(answered.answer.reason, safe.vault)
        return Answered(answered.answer.model_copy(update={"reason": reason}), answered.usage)


@dataclass(frozen=True)
class DiscreetSummariser:
    inner: Summariser

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def prompt_version(self) -> str | None:
        return self.inner.prompt_version

    async def summarise(self, question: SummaryQuestion) -> Answered[SummaryAnswer]:
        said = {f"comment {number}": text for number, (_, text) in enumerate(question.comments)}
        safe = await asyncio.to_thread(strict, {"subject": question.subject, "body": question.body, **said})
        comments = tuple((who, safe.fields[key]) for (who, _), key in zip(question.comments, said, strict=True))
        asked = {"subject": safe.fields["subject"], "body": safe.fields["body"], "comments": comments}
        answered = await self.inner.summarise(question.model_copy(update=asked))
        return Answered(_restored(answered.answer, safe.vault), answered.usage)


def _restored(answer: SummaryAnswer, vault: dict[str, str]) -> SummaryAnswer:
    return answer.model_copy(
        update={
            "issue": restore(answer.issue, vault),
            "actions": restore(answer.actions, vault),
            "tags": tuple(restore(tag, vault) for tag in answer.tags),
            "references": tuple(restore(reference, vault) for reference in answer.references),
        }
    )
