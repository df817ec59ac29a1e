"""Our events on the bus: CloudEvents 1.0, structured JSON. Ids and numbers only, never ticket text."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from services.core.contracts.base import Contract

EventType = Literal[
    "pointsman.ticket.routed.v1",
    "pointsman.ticket.reviewed.v1",
    "pointsman.ticket.solved.v1",
    "pointsman.ticket.erased.v1",
    "pointsman.audit.anchored.v1",
]
FIELDS: dict[str, frozenset[str]] = {
    "pointsman.ticket.routed.v1": frozenset(
        {"group", "band", "priority", "confidence", "model_version", "shadow"},
    ),
    "pointsman.ticket.reviewed.v1": frozenset({"group", "proposed", "verdict"}),
    "pointsman.ticket.solved.v1": frozenset({"group"}),
    "pointsman.ticket.erased.v1": frozenset(),
    "pointsman.audit.anchored.v1": frozenset({"seq", "hash"}),
}
"""What `data` may hold: ids, names of the catalogue and numbers. What is not here is refused, text above all."""


class Event(Contract):
    """
    CloudEvents 1.0 in structured mode. `source` + `id` is unique: consumers deduplicate on it.

    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: EventType
    subject: str = Field(description="our ticket id; of an anchor, the company")
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: dict[str, Any]

    @model_validator(mode="after")
    def holds_its_own_fields(self) -> Self:
        if more := sorted(set(self.data) - FIELDS[self.type]):
            raise ValueError(f"{self.type} has no {', '.join(more)}; an event holds {sorted(FIELDS[self.type])} alone")
        return self
