"""
An answer in a language model's words: asked for with what was found, hidden from it what is nobody's business, billed.

What comes back is a draft. Nothing of it reaches anybody before it has passed the gate in `decide`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from services.core.contracts.document import Evidence
from services.core.kit.database import Pool, connection
from services.core.kit.errors import ConfigurationInvalid, LlmUnavailable
from services.core.llm import ledger
from services.core.llm.agent import Ask, Asker, NoUsableAnswer
from services.core.llm.config import LlmConfig
from services.core.llm.ledger import Call, Origin
from services.core.llm.port import Usage
from services.core.llm.redaction import Redaction
from services.core.llm.reply import Passage, ReplyDraft, ReplyQuestion, Speaker, reply_prompt, tidy
from services.core.search.retrieve import Found
from services.core.text.redact import restore
from services.core.text.strict import strict

PASSAGES = 5  # of what was found; more dilutes, and costs


@dataclass(frozen=True)
class Written:
    """A draft whose citations are places among `evidence`, from 1."""

    draft: ReplyDraft
    evidence: tuple[Evidence, ...]
    by: str


@dataclass(frozen=True)
class Unwritten:
    """No draft; `why` is for the log."""

    why: str


Write = Callable[[Found], Awaitable[Written | Unwritten]]


@dataclass(frozen=True)
class Writer:
    """
    A configured model with what it may cost. `is_strict`: it answers outside the account, so the strict level of
    redaction is put over the standard one.
    """

    asker: Asker
    pool: Pool
    redaction: Redaction
    config: LlmConfig
    is_strict: bool

    async def write(
        self, found: Found, origin: Origin, *, said: tuple[tuple[Speaker, str], ...] = (), summary: str = ""
    ) -> Written | Unwritten:
        """A draft of the answer to a redacted question; what fails is an outcome, and the answer is made without."""
        evidence = found.evidence[:PASSAGES]
        if (spent := await self._spent(origin)) is not None:
            return Unwritten(spent)
        question, vault = await self._hidden(found.question.text, said, summary, evidence)
        prompt = reply_prompt(question, max_chars=self.config.max_input_chars)
        try:
            async with asyncio.timeout(self.config.timeout_s):
                draft, usage = await self.asker.ask(Ask(prompt, ReplyDraft))
        except TimeoutError:
            return Unwritten(f"no answer within {self.config.timeout_s:g} s")
        except (LlmUnavailable, ConfigurationInvalid) as exc:
            return Unwritten(type(exc).__name__)
        await self._bill(usage, origin)
        if isinstance(draft, NoUsableAnswer):
            return Unwritten(draft.why)
        return Written(await self._restored(tidy(draft, question), question, vault), evidence, self.asker.model)

    async def _spent(self, origin: Origin) -> str | None:
        """Which budget is spent, if one is."""
        config = self.config
        async with connection(self.pool) as conn:
            day, here = await ledger.spent(conn), await ledger.spent(conn, origin.ticket_id)
        limits = {
            "the day's budget": _is_spent(day.usd, config.budget_usd_per_day),
            "the day's tokens": _is_spent(day.answer_tokens, config.tokens_per_day),
            "the conversation's budget": _is_spent(here.usd, config.budget_usd_per_conversation),
            "the conversation's tokens": _is_spent(here.answer_tokens, config.tokens_per_conversation),
        }
        return next((name for name, is_spent in limits.items() if is_spent), None)

    async def _hidden(
        self, text: str, said: tuple[tuple[Speaker, str], ...], summary: str, evidence: tuple[Evidence, ...]
    ) -> tuple[ReplyQuestion, Mapping[str, str]]:
        """The question as the model may see it, and what its placeholders stand for in the documents."""
        fields = {"text": text, "summary": summary} | {f"said {i}": words for i, (_, words) in enumerate(said)}
        fields |= {f"title {i}": _title(one) for i, one in enumerate(evidence)}
        fields |= {f"passage {i}": one.text for i, one in enumerate(evidence)}
        safe = await self.redaction.redact(fields)
        vault, hidden = dict(safe.vault), safe.fields
        if self.is_strict:
            stricter = await asyncio.to_thread(strict, hidden)
            vault, hidden = stricter.vault | vault, stricter.fields
        passages = tuple(Passage(title=hidden[f"title {i}"], text=hidden[f"passage {i}"]) for i in range(len(evidence)))
        turns = tuple((speaker, hidden[f"said {i}"]) for i, (speaker, _) in enumerate(said))
        question = ReplyQuestion(text=hidden["text"], said=turns, summary=hidden["summary"], passages=passages)
        return question, vault

    async def _restored(self, draft: ReplyDraft, question: ReplyQuestion, vault: Mapping[str, str]) -> ReplyDraft:
        """Without personal data that the model brought itself, and with the documents' own put back."""
        source = "\n".join(question.texts())
        texts = await self.redaction.hide_in_answer(tuple(one.text for one in draft.claims), source)
        claims = [
            one.model_copy(update={"text": restore(restore(text, vault), vault)})  # strict may hide a part of ours
            for one, text in zip(draft.claims, texts, strict=True)
        ]
        return draft.model_copy(update={"claims": claims})

    async def _bill(self, usage: Usage, origin: Origin) -> None:
        async with connection(self.pool) as conn, conn.transaction():
            await ledger.record(conn, Call(origin, "answer", usage))


def _title(evidence: Evidence) -> str:
    return " > ".join(dict.fromkeys(part for part in (evidence.title, *evidence.heading) if part))


def _is_spent(spent: Decimal | int, limit: Decimal | int | None) -> bool:
    return limit is not None and spent >= limit
