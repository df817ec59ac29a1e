"""What is known of a ticket beside its text when it comes: what the heads of a router read with the text."""

from datetime import datetime

from pydantic import ConfigDict, Field

from services.core.contracts.base import Contract


class Facts(Contract):
    """
    What is not known is left out. A field that an older router does not know is ignored by it.

    `queue`: tickets that were open at that moment. `categories`: channel, organisation, product and the like.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    opened_at: datetime | None = None
    queue: int | None = Field(default=None, ge=0)
    categories: dict[str, str] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.opened_at, self.queue, frozenset(self.categories.items())))


NOTHING_KNOWN = Facts()
