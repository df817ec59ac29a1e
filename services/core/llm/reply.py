"""What a model is asked in a conversation, and the only form it may answer in."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.core.contracts.base import Contract
from services.core.contracts.conversation import Action, Reason
from services.core.llm.answers import clean
from services.core.llm.prompt import Prompt, as_data, render

REPLY_VERSION = "answer/v1"
CLAIMS_MAX = 8
CLAIM_MAX_CHARS = 600
PASSAGE_MAX_CHARS = 2_000  # a chunk has some 1,000
Speaker = Literal["requester", "assistant"]


class Passage(Contract):
    """A part of a document; its number is its place in the question, from 1."""

    title: str
    text: str


class ReplyQuestion(Contract):
    """What the person said is redacted, passages are not yet. `summary` tells what was said before `said`."""

    text: str
    said: tuple[tuple[Speaker, str], ...] = ()
    summary: str = ""
    passages: tuple[Passage, ...] = Field(min_length=1)

    def texts(self) -> tuple[str, ...]:
        """Every text that a stranger wrote."""
        passages = (part for one in self.passages for part in (one.title, one.text))
        return (self.text, self.summary, *(text for _, text in self.said), *passages)


class ClaimDraft(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str = Field(min_length=1, description="one sentence of the answer")
    citations: list[int] = Field(default_factory=list, description="numbers of the passages that say so")


class ReplyDraft(BaseModel):
    """No tool, no free field that reaches anybody: `reply` is asked for and thrown away."""

    model_config = ConfigDict(frozen=True)

    action: Action
    reply: str = Field(default="", description="leave empty")
    claims: list[ClaimDraft] = Field(default_factory=list, max_length=CLAIMS_MAX)
    reason: Reason | Literal[""] = Field(default="", description="why a person should answer; empty otherwise")


def reply_prompt(question: ReplyQuestion, *, max_chars: int) -> Prompt:
    """The prompt for an answer; passages are shortened to what a chunk may have, the rest to `max_chars`."""
    passages = [
        {"title": as_data(one.title, PASSAGE_MAX_CHARS), "text": as_data(one.text, PASSAGE_MAX_CHARS)}
        for one in question.passages
    ]
    return render(
        REPLY_VERSION,
        question.texts(),
        reasons=", ".join(f"`{reason}`" for reason in (Reason.WEAK_EVIDENCE, Reason.CONFLICTING_SOURCES)),
        passages=passages,
        summary=as_data(question.summary, max_chars),
        said=[{"speaker": speaker, "text": as_data(text, max_chars)} for speaker, text in question.said],
        question=as_data(question.text, max_chars),
    )


def is_cited(draft: ReplyDraft, passages: int) -> bool:
    """Whether there are claims, and each cites passages, all of which exist."""
    places = set(range(1, passages + 1))
    return bool(draft.claims) and all(one.citations and set(one.citations) <= places for one in draft.claims)


def tidy(draft: ReplyDraft, question: ReplyQuestion) -> ReplyDraft:
    """The draft without markup, control characters, and links that no passage holds."""
    source = "\n".join(one.text for one in question.passages)
    claims = [
        ClaimDraft(text=text, citations=one.citations)
        for one in draft.claims
        if (text := clean(one.text, max_chars=CLAIM_MAX_CHARS, source=source))
    ]
    return draft.model_copy(update={"claims": claims, "reply": ""})
