"""Retention: for how long what people wrote is kept, as data."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.core.contracts.base import Contract

Kept = Literal["originals", "tickets", "unclosed", "history", "conversations"]
KEPT: tuple[Kept, ...] = ("originals", "tickets", "unclosed", "history", "conversations")
Days = Annotated[int, Field(strict=True, ge=1, le=36_500)] | Literal["never"]


class RetentionRules(Contract):
    """
    Days after the last change until something goes; `never` keeps it until it is erased.

    `originals`: what customers wrote, names and all, of closed tickets; the redacted text takes its place. `tickets`:
    all that was said in closed tickets. `unclosed`: the same of tickets that nobody closed. `history`: imported closed
    tickets, from their closing. `conversations`: what was said in chats and by whom, but where one waits for a person.
    """

    originals: Days = "never"
    tickets: Days = "never"
    unclosed: Days = "never"
    history: Days = "never"
    conversations: Days = "never"

    @model_validator(mode="after")
    def _originals_go_first(self) -> Self:
        if isinstance(self.originals, int) and isinstance(self.tickets, int) and self.originals > self.tickets:
            raise ValueError(
                "originals go with their tickets at the latest: give originals at most the days of tickets"
            )
        return self

    def days(self, kept: Kept) -> int | None:
        """None: for good."""
        days: int | Literal["never"] = getattr(self, kept)
        return None if days == "never" else days
