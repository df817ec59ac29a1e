"""What the desk and the generic connector are told: one event of each kind."""

from collections.abc import Mapping
from typing import Any

from services.core.contracts.delivery import DeliveryKind


def standard_event(kind: DeliveryKind, fields: Mapping[str, Any]) -> dict[str, Any]:
    data = {"status": "new", "tags": ["a"], "requester": {"name": "Ana"}, "comments": [{"body": "b"}], **fields}
    return {"type": f"ticket.{kind}", "timestamp": "2026-11-20T08:59:59Z", "actor_id": "ana", "data": data}
