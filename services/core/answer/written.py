"""
An answer in a language model's words: asked for with what was found, within its budgets, billed.

What comes back is a draft. Nothing of it reaches anybody before it has passed the gate in `decide`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from services.core.contracts.document import Evidence
from services.core.kit.database import Pool, connection
from services.core.kit.errors import ConfigurationInvalid, LlmUnavailable
from services.core.llm import ledger
from services.core.llm.agent import NoUsableAnswer
from services.core.llm.answerer import Answerer
from services.core.llm.config import LlmConfig
from services.core.llm.ledger import Call, Origin
from services.core.llm.port import Usage
from services.core.llm.reply import Passage, ReplyDraft, ReplyQuestion, Speaker
from services.core.search.retrieve import Found

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
    """A configured model with what it may cost."""

    answerer: Answerer
    pool: Pool
    config: LlmConfig

    async def write(
        self, found: Found, origin: Origin, *, said: tuple[tuple[Speaker, str], ...] = (), summary: str = ""
    ) -> Written | Unwritten:
        """A draft of the answer to a redacted question; what fails is an outcome, and the answer is made without."""
        evidence = found.evidence[:PASSAGES]
        if (spent := await self._spent(origin)) is not None:
            return Unwritten(spent)
        passages = tuple(Passage(title=_title(one), text=one.text) for one in evidence)
        question = ReplyQuestion(text=found.question.text, said=said, summary=summary, passages=passages)
        try:
            draft, usage = await self.answerer.answer(question)
        except TimeoutError:
            return Unwritten(f"no answer within {self.config.timeout_s:g} s")
        except (LlmUnavailable, ConfigurationInvalid) as exc:
            return Unwritten(type(exc).__name__)
        await self._bill(usage, origin)
        if isinstance(draft, NoUsableAnswer):
            return Unwritten(draft.why)
        return Written(draft, evidence, self.answerer.model)

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

    async def _bill(self, usage: Usage, origin: Origin) -> None:
        async with connection(self.pool) as conn, conn.transaction():
            await ledger.record(conn, Call(origin, "answer", usage))


def _title(evidence: Evidence) -> str:
    return " > ".join(dict.fromkeys(part for part in (evidence.title, *evidence.heading) if part))


def _is_spent(spent: Decimal | int, limit: Decimal | int | None) -> bool:
    return limit is not None and spent >= limit
