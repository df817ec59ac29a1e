"""Surges: when alike tickets are more than chance, as data."""

from typing import Self

from pydantic import Field, model_validator

from services.core.contracts.base import Contract


class SurgeRules(Contract):
    """
    `tickets` alike within `minutes` are a surge where so many would come by chance once in `false_alarm_days` at most.

    Alike: as near to one another as few pairs of the past are, `alike_pairs` of them; so it holds for any encoder. How
    many come by chance is counted in the `past_days` before. An incident goes on while it grows, until `quiet_minutes`
    without a further ticket.
    """

    tickets: int = Field(default=5, ge=3, le=100)
    minutes: int = Field(default=30, ge=5, le=240)
    alike_pairs: float = Field(default=0.02, gt=0, le=0.05)
    false_alarm_days: float = Field(default=7, ge=1, le=3_650)
    past_days: int = Field(default=14, ge=1, le=60)
    quiet_minutes: int = Field(default=120, ge=10, le=1_440)

    @model_validator(mode="after")
    def _is_longer_than_its_window(self) -> Self:
        if self.quiet_minutes < self.minutes:
            raise ValueError("quiet_minutes is at least minutes: an incident would end while it is seen")
        return self
