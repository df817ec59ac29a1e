"""What all contracts have in common: frozen, closed to unknown fields, JSON in and out."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """An immutable message. A changed message is a new one: `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def stored(cls, values: Any) -> Self:
        """
        What any version stored, as this one knows it: fields that a newer one added are left out. While an upgrade
        rolls out, and after a rollback, two versions read each other's rows.
        """
        return cls.model_validate(values, extra="ignore")
