"""What all contracts have in common: frozen, closed to unknown fields, JSON in and out."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """An immutable message. A changed message is a new one: `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
