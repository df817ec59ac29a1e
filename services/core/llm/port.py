"""The one typed port to a language model: two tasks in, answers with their bill out. Knows no vendor."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Literal, Protocol, TypeVar

from services.core.contracts.priority import PriorityAnswer, PriorityQuestion, SummaryAnswer, SummaryQuestion

Answer = TypeVar("Answer", bound=PriorityAnswer | SummaryAnswer)
Task = Literal["priority", "summary", "answer"]
Outcome = Literal["answered", "fallback", "over_budget", "cached"]


@dataclass(frozen=True)
class Usage:
    """
    What one answer cost. `usd` is None when no price is known for the model: never a guess.

    `repairs` counts answers that did not fit the type and were asked again; `why`: what was wrong with the last one.
    """

    model: str
    prompt_version: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = None
    latency_ms: float = 0.0
    repairs: int = 0
    outcome: Outcome = "answered"
    why: str = ""


@dataclass(frozen=True)
class Answered(Generic[Answer]):
    answer: Answer
    usage: Usage


class Prioritiser(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def prompt_version(self) -> str | None: ...
    async def prioritise(self, question: PriorityQuestion) -> Answered[PriorityAnswer]:
        """
        Priority among the labels offered.

        Raises:
            LlmUnavailable: the model does not answer; a retry may help.
            InputInvalid: no usable label was offered.
        """
        ...


class Summariser(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def prompt_version(self) -> str | None: ...
    async def summarise(self, question: SummaryQuestion) -> Answered[SummaryAnswer]:
        """
        The issue, what was done, tags and references of a solved ticket.

        Raises:
            LlmUnavailable: the model does not answer; a retry may help.
        """
        ...


def free_of_charge(model: str, latency_ms: float) -> Usage:
    """The bill of an answer made in process."""
    return Usage(model=model, usd=Decimal(0), latency_ms=latency_ms)


def joined(parts: Sequence[str]) -> str:
    """Parts that are not empty, one space between."""
    return " ".join(part for part in parts if part)
