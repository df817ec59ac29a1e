"""What the prioritiser and the summariser are asked and what they answer."""

from typing import Literal

from pydantic import Field

from services.core.contracts.base import Contract
from services.core.contracts.ticket import Priority

Level = Literal["low", "medium", "high"]


class LabelText(Contract):
    """A label and what it means, from the label catalogue (data, not prompt text)."""

    name: str
    description: str = ""


class PriorityQuestion(Contract):
    """Redacted text only. `labels` are the priorities that may be answered, lowest first."""

    ticket_id: str
    subject: str
    body: str
    group: LabelText | None = None
    labels: tuple[LabelText, ...]


class PriorityAnswer(Contract):
    """`by` says who answered: `extractive`, a model name, or `fallback`. `prompt_version` None: no prompt was used."""

    priority: Priority
    impact: Level
    urgency: Level
    reason: str
    by: str
    prompt_version: str | None = None


class SummaryQuestion(Contract):
    """A solved ticket's conversation, redacted, oldest first, each with who spoke."""

    ticket_id: str
    subject: str
    body: str
    comments: tuple[tuple[Literal["requester", "agent"], str], ...] = ()


class SummaryAnswer(Contract):
    issue: str
    actions: str
    tags: tuple[str, ...] = Field(default=(), max_length=2)
    references: tuple[str, ...] = ()
    by: str
    prompt_version: str | None = None
