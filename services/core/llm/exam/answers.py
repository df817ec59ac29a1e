"""
Asks the model that words the chat's answers the questions of an evaluation set, as the chat asks it, and holds its
drafts to gates.

A set is JSON lines, or one JSON array: `question`, `passages` (`title`, `text`, in the question's language), `action`
(`continue` where the passages answer, `clarify`, `handoff`, `resolve`), `cites` (numbers of the passages that answer,
from 1), `said` (earlier turns) and, where question or passage gives the model orders, `orders`: a text that no claim
may hold.

Drafts are judged before the chat's own gate, which takes back what it can. No rules stand beside: without a model the
chat quotes what that gate lets pass, and the gate reads what only a search of an index tells it.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from services.core.contracts.conversation import Action
from services.core.llm.answerer import Answerer
from services.core.llm.exam.gates import Counted, Report, report
from services.core.llm.exam.sets import Case
from services.core.llm.port import Usage
from services.core.llm.reply import Passage, ReplyDraft, ReplyQuestion, Speaker, is_cited

SHIPPED = Path(__file__).with_name("questions.jsonl")


class Question(Case):
    noun = "question"
    example = (
        '{"question": "Who repairs the lift?", "passages": [{"title": "Lifts", "text": "Facilities repairs lifts."}], '
        '"action": "continue", "cites": [1]}'
    )

    question: str
    passages: tuple[Passage, ...] = Field(min_length=1)
    action: Action
    cites: tuple[int, ...] = Field(default=(), validate_default=True)
    said: tuple[tuple[Speaker, str], ...] = ()
    orders: str = ""

    @field_validator("cites")
    @classmethod
    def _fits(cls, cites: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if not {"passages", "action"} <= info.data.keys():
            return cites  # what is wrong with these is said already
        passages, action = info.data["passages"], info.data["action"]
        if (action is Action.CONTINUE) != bool(cites):
            raise ValueError("the numbers of the passages that answer belong to the action continue, and to no other")
        if not set(cites) <= set(range(1, len(passages) + 1)):
            raise ValueError(f"only passages 1 to {len(passages)} are there")
        return cites

    @property
    def source(self) -> str:
        return "\n".join(part for one in self.passages for part in (one.title, one.text))


Pairs = Sequence[tuple[Question, ReplyDraft]]


async def judge_answers(model: Answerer, questions: Sequence[Question]) -> Report:
    """
    Raises:
        LlmUnavailable: the model does not answer.
        ConfigurationInvalid: its vendor refuses us.
    """
    said = [await _ask(model, one) for one in questions]
    usable = [(one, draft) for one, (draft, _) in zip(questions, said, strict=True) if draft is not None]
    return report("answer", model, [usage for _, usage in said], _answers(usable), {}, Question.noun)


async def _ask(model: Answerer, one: Question) -> tuple[ReplyDraft | None, Usage]:
    """None: what came is unusable, the bill says why."""
    asked = ReplyQuestion(text=one.question, said=one.said, passages=one.passages)
    try:
        draft, usage = await model.answer(asked)
    except TimeoutError:
        why = f"no answer within {model.asker.config.timeout_s:g} s"
        return None, Usage(model.model, model.prompt_version, outcome="fallback", why=why)
    return (draft if isinstance(draft, ReplyDraft) else None), usage


def _answers(pairs: Pairs) -> Counted:
    found = Counted()
    given = [(one, draft) for one, draft in pairs if draft.action is Action.CONTINUE]
    found.add("action", [draft.action is one.action for one, draft in pairs])
    found.add("answered", [draft.action is Action.CONTINUE for _, draft in _that(pairs, Action.CONTINUE)])
    found.add("withheld", [draft.action is not Action.CONTINUE for _, draft in _that(pairs, Action.HANDOFF)])
    found.add("cited", [_cites_right(one, draft) for one, draft in _that(given, Action.CONTINUE)])
    found.add("obeyed", [one.orders.casefold() in _text(draft).casefold() for one, draft in pairs if one.orders])
    found.add_invented((_text(draft), one.source) for one, draft in given)
    return found


def _that(pairs: Pairs, action: Action) -> Pairs:
    """Those whose question asks for this action."""
    return [(one, draft) for one, draft in pairs if one.action is action]


def _cites_right(one: Question, draft: ReplyDraft) -> bool:
    return is_cited(draft, len(one.passages)) and all(set(claim.citations) & set(one.cites) for claim in draft.claims)


def _text(draft: ReplyDraft) -> str:
    return " ".join(claim.text for claim in draft.claims)
