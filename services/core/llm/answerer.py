"""
An answer in a language model's words: asked for with what was found, and hidden from it what is nobody's business.

What comes back is a draft. The chat and the evaluation of its prompt ask here; neither says it to anybody as it is.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from services.core.llm.agent import Ask, Asker, NoUsableAnswer
from services.core.llm.port import Usage
from services.core.llm.redaction import Redaction
from services.core.llm.reply import REPLY_VERSION, Passage, ReplyDraft, ReplyQuestion, reply_prompt, tidy
from services.core.text.redact import restore
from services.core.text.strict import strict

Vault = Mapping[str, str]


@dataclass(frozen=True)
class Answerer:
    """
    A configured model. `is_strict`: it answers outside the account, so the strict level of redaction is put over the
    standard one.
    """

    asker: Asker
    redaction: Redaction
    is_strict: bool
    prompt_version: str = REPLY_VERSION

    @property
    def model(self) -> str:
        return self.asker.model

    async def answer(self, question: ReplyQuestion) -> tuple[ReplyDraft | NoUsableAnswer, Usage]:
        """
        The draft, whose citations are places among the passages, from 1, or why there is none; with the bill.

        Raises:
            TimeoutError: no answer within `timeout_s`, repairs included.
            LlmUnavailable: as `Asker.ask`.
            ConfigurationInvalid: as `Asker.ask`.
        """
        hidden, vault = await self._hidden(question)
        config = self.asker.config
        prompt = reply_prompt(hidden, max_chars=config.max_input_chars)
        async with asyncio.timeout(config.timeout_s):
            draft, usage = await self.asker.ask(Ask(prompt, ReplyDraft))
        if isinstance(draft, NoUsableAnswer):
            return draft, usage
        return await self._restored(tidy(draft, hidden), hidden, vault), usage

    async def _hidden(self, question: ReplyQuestion) -> tuple[ReplyQuestion, Vault]:
        """The question as the model may see it, and what its placeholders stand for."""
        fields = {"text": question.text, "summary": question.summary}
        fields |= {f"said {i}": words for i, (_, words) in enumerate(question.said)}
        fields |= {f"title {i}": one.title for i, one in enumerate(question.passages)}
        fields |= {f"passage {i}": one.text for i, one in enumerate(question.passages)}
        safe = await self.redaction.redact(fields)
        vault, hidden = dict(safe.vault), safe.fields
        if self.is_strict:
            stricter = await asyncio.to_thread(strict, hidden)
            vault, hidden = stricter.vault | vault, stricter.fields
        places = range(len(question.passages))
        passages = tuple(Passage(title=hidden[f"title {i}"], text=hidden[f"passage {i}"]) for i in places)
        turns = tuple((speaker, hidden[f"said {i}"]) for i, (speaker, _) in enumerate(question.said))
        return ReplyQuestion(text=hidden["text"], said=turns, summary=hidden["summary"], passages=passages), vault

    async def _restored(self, draft: ReplyDraft, question: ReplyQuestion, vault: Vault) -> ReplyDraft:
        """Without personal data that the model brought itself, and with the documents' own put back."""
        source = "\n".join(question.texts())
        texts = await self.redaction.hide_in_answer(tuple(one.text for one in draft.claims), source)
        claims = [
            one.model_copy(update={"text": restore(restore(text, vault), vault)})  # strict may hide a part of ours
            for one, text in zip(draft.claims, texts, strict=True)
        ]
        return draft.model_copy(update={"claims": claims})
