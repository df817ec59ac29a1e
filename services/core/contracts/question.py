"""What the prediction API asks the worker, and what it answers: texts in, decisions out, nothing stored."""

from typing import Self

from pydantic import Field, model_validator

from services.core.contracts.base import Contract
from services.core.contracts.decision import Decision
from services.core.contracts.ticket import SUBJECT_MAX_CHARS, Priority

BATCH_MAX = 256  # texts that the router takes in one request
TEXT_MAX_CHARS = 200_000
BATCH_MAX_CHARS = 200_000  # all texts of a batch together: redacting is what they cost, and one thread does it


class Question(Contract):
    """A text as it came, before redaction. `priority`: for teams that take tickets by themselves only from one on."""

    title: str = Field(default="", max_length=SUBJECT_MAX_CHARS)
    description: str = Field(default="", max_length=TEXT_MAX_CHARS)
    priority: Priority | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.title.strip() or self.description.strip()):
            raise ValueError("title and description are both empty: there is nothing to predict from")
        return self


class Questions(Contract):
    questions: tuple[Question, ...] = Field(min_length=1, max_length=BATCH_MAX)

    @model_validator(mode="after")
    def _is_not_too_long(self) -> Self:
        chars = sum(len(one.title) + len(one.description) for one in self.questions)
        if len(self.questions) > 1 and chars > BATCH_MAX_CHARS:
            raise ValueError(
                f"the texts have {chars} characters together; a batch takes {BATCH_MAX_CHARS}: send several"
            )
        return self


class Answers(Contract):
    """In the order of the questions; `ticket_id` is the question's place."""

    decisions: tuple[Decision, ...]
