"""Our events on the bus: CloudEvents 1.0, structured JSON. Ids and numbers only, never ticket text."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from services.core.contracts.base import Contract

EventType = Literal["pointsman.ticket.routed.v1", "pointsman.ticket.solved.v1", "pointsman.audit.anchored.v1"]


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
