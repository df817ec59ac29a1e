"""What is written to the customer's system about a decision: one place for automatic, reviewed and corrected."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band
from services.core.contracts.ticket import Seen, TicketUpdate
from services.core.kit import outbox
from services.core.kit.database import Connection

OWN_TAG = "pointsman"
UNPLACED: Mapping[str, tuple[str, str]] = {
    "no_group": ("pointsman-no-group", "that none of the groups fits. Somebody has to place it."),
    "not_a_ticket": ("pointsman-not-a-ticket", "that this is no ticket: nobody needs to work on it."),
}


@dataclass(frozen=True)
class About:
    """The ticket a letter is about. `seen` is how it was last read in its system; empty when it never was."""

    ticket_id: int
    connector: str
    external_id: str
    seen: Seen = field(default_factory=Seen)


def automatic(decision: Decision, about: About) -> TicketUpdate | None:
    """
    The route, or the call for a person; None in shadow and for a review.

    A ticket in review is written when a person has answered; an escalation must be seen where people work.
    """
    if decision.band is Band.HUMAN_REVIEW:
        return None
    if decision.band is Band.AUTO_ROUTE:
        return _update(decision, about, "new", group=decision.group, tag="pointsman-routed", note=note_for(decision))
    note = f"Pointsman asks for a person: {decision.reason}"
    return _update(decision, about, "new", group=None, tag="pointsman-escalated", note=note)


def answered(
    decision: Decision, about: About, *, group: str | None, by: str, verdict: str = "accepted"
) -> TicketUpdate | None:
    """What a person said in review: the route, or that there is none; None in shadow."""
    if group is not None:
        note = f"Pointsman: routed to {group} by {by} in review."
        return _update(decision, about, "review", group=group, tag="pointsman-reviewed", note=note)
    tag, said = UNPLACED[verdict]
    update = _update(decision, about, "review", group=None, tag=tag, note=f"Pointsman: {by} says {said}")
    return update.model_copy(update={"priority": None}) if update else None


async def put(conn: Connection, update: TicketUpdate, about: About, *, hold_s: float = 0) -> None:
    """Records the letter in the caller's transaction; the same key again changes nothing."""
    payload = update.model_dump(mode="json")
    await outbox.put(
        conn,
        update.key,
        payload,
        kind="write",
        ticket_id=about.ticket_id,
        connector=about.connector,
        hold_s=hold_s,
    )


def note_for(decision: Decision) -> str:
    """The private note: what was decided, why, and by which model."""
    others = ", ".join(f"{entry.group} {entry.probability:.0%}" for entry in decision.top3[1:])
    lines = [
        f"Pointsman routed this ticket to {decision.group} (confidence {decision.confidence:.0%}).",
        decision.reason,
        f"Next: {others}." if others else "",
        f"Priority {decision.priority}: {decision.priority_reason}" if decision.priority else "",
        f"Model {decision.model_version}. Wrong? Change the group: the next training learns from it.",
    ]
    return "\n".join(line for line in lines if line)


def _update(
    decision: Decision, about: About, stage: str, *, group: str | None, tag: str, note: str
) -> TicketUpdate | None:
    if decision.shadow:
        return None
    return TicketUpdate(
        key=f"{about.ticket_id}:{stage}",
        external_id=about.external_id,
        group=group,
        priority=decision.priority,
        tags=(OWN_TAG, tag),
        note=note,
        seen=about.seen,
    )
