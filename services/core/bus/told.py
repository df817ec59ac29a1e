"""
Which events there are, read off the audit log: it holds every decision once, in order, and never a ticket's text.

Ids are made from what happened, so that the bus, the lake and a repetition agree on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.core.contracts.events import Event, EventType

SOURCE = "pointsman/worker"


@dataclass(frozen=True)
class _Told:
    """`fields` of the entry's detail that go along; `also` is what the action itself says."""

    type: EventType
    stage: str
    fields: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()


_TOLD = {
    "ticket.decided": _Told(
        "pointsman.ticket.routed.v1",
        "routed",
        ("group", "band", "priority", "confidence", "model_version", "shadow"),
    ),
    "review.accepted": _Told(
        "pointsman.ticket.reviewed.v1", "reviewed", ("group", "proposed"), (("verdict", "accepted"),)
    ),
    "review.corrected": _Told(
        "pointsman.ticket.reviewed.v1", "reviewed", ("group", "proposed"), (("verdict", "corrected"),)
    ),
    "review.no_group": _Told(
        "pointsman.ticket.reviewed.v1", "reviewed", ("group", "proposed"), (("verdict", "no_group"),)
    ),
    "review.not_a_ticket": _Told(
        "pointsman.ticket.reviewed.v1", "reviewed", ("group", "proposed"), (("verdict", "not_a_ticket"),)
    ),
    "review.undone": _Told("pointsman.ticket.reviewed.v1", "reviewed", ("group",), (("verdict", "undone"),)),
    "ticket.summarised": _Told("pointsman.ticket.solved.v1", "solved", ("group",)),
    "ticket.erased": _Told("pointsman.ticket.erased.v1", "erased"),
}
ACTIONS = tuple(_TOLD)


def event_of(entry: Mapping[str, Any]) -> Event:
    """
    The event of an audit entry whose action is one of ACTIONS.

    Args:
        entry: seq, at, action, subject (`ticket/<id>`) and detail.
    """
    told, detail = _TOLD[entry["action"]], entry["detail"]
    ticket_id = entry["subject"].removeprefix("ticket/")
    return Event(
        id=f"{ticket_id}:{told.stage}:{entry['seq']}",
        source=SOURCE,
        type=told.type,
        subject=ticket_id,
        time=entry["at"],
        data={**{name: detail.get(name) for name in told.fields}, **dict(told.also)},
    )
