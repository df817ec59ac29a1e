"""What is said in a conversation, and what was decided about it."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.document import Evidence

MESSAGE_MAX_CHARS = 8_000


class Action(StrEnum):
    """What a turn does: answer, ask back, give the conversation to a person, or close it."""

    CONTINUE = "continue"
    CLARIFY = "clarify"
    HANDOFF = "handoff"
    RESOLVE = "resolve"


class Reason(StrEnum):
    """Why no answer was given; one of a closed list."""

    NO_EVIDENCE = "no_evidence"
    WEAK_EVIDENCE = "weak_evidence"
    INSUFFICIENT_COVERAGE = "insufficient_coverage"
    CONFLICTING_SOURCES = "conflicting_sources"
    MISSING_CITATION = "missing_citation"
    UNSUPPORTED_CLAIM = "unsupported_claim"
    EVALUATOR_LOW = "evaluator_low"
    OUT_OF_SCOPE = "out_of_scope"
    ASKED_FOR_HUMAN = "asked_for_human"
    LLM_ERROR = "llm_error"


class SessionState(StrEnum):
    """`escalated`: a person has it; the machine says nothing more of its own."""

    OPEN = "open"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Author(StrEnum):
    """Who said something: the person who asks, the machine, or a support agent through the ticket."""

    USER = "user"
    ASSISTANT = "assistant"
    AGENT = "agent"


class Claim(Contract):
    """A sentence of an answer and the chunks that say so."""

    text: str = Field(min_length=1)
    citations: tuple[int, ...] = Field(min_length=1)


class Answer(Contract):
    """
    One turn of the machine. `confidence` is the gate's probability that the evidence answers the question; `reason` is
    set when no answer was given. `by` names who worded it: `extractive` are the documents' own words.
    """

    action: Action
    reply: str
    claims: tuple[Claim, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reason: Reason | None = None
    confidence: float = Field(default=0.0, ge=0, le=1)
    by: str = "extractive"


class Message(Contract):
    """One message of a session, verbatim: an agent's may be long. `answer` is there when the machine said it."""

    id: str
    author: Author
    text: str
    at: datetime
    answer: Answer | None = None


class Session(Contract):
    """A conversation as its person sees it; `ticket` names the ticket it was handed to."""

    id: str
    state: SessionState
    messages: tuple[Message, ...] = ()
    ticket: str | None = None
    rating: int | None = Field(default=None, ge=1, le=5)
