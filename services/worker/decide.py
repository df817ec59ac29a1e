"""Pure decisions of the worker: what to leave alone, what to decide, what to tell. No I/O, clock or randomness."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.contracts.decision import Decision
from services.core.contracts.prediction import Band, Outlook, Prediction
from services.core.contracts.priority import LabelText, PriorityAnswer
from services.core.contracts.ticket import ENDED, Priority, Ticket
from services.core.llm.matrix import LEVELS, ORDER, read_matrix, restrict
from services.worker.settings import Filters


@dataclass(frozen=True)
class Gathered:
    """All that a decision is made from. `prediction` is None when the router could not be asked."""

    ticket_id: str
    prediction: Prediction | None
    priority: PriorityAnswer | None
    groups: frozenset[str]
    shadow: bool
    latency_ms: float
    why_unrouted: str = ""
    priorities: tuple[LabelText, ...] = ()  # that the catalogue offers
    thresholds: Mapping[str, Priority] = field(default_factory=dict)
    least: Mapping[str, float | None] = field(default_factory=dict)  # what people set in place of the model's own


def why_left_alone(ticket: Ticket, filters: Filters) -> str | None:
    """Why this ticket is none of our business; None when it is."""
    if ticket.status in ENDED:
        return f"it is {ticket.status} already"
    if filters.skip_grouped and ticket.group:
        return f"it is in the group {ticket.group} already"
    if any(pattern.search(ticket.subject) for pattern in filters.subject_patterns):
        return "its subject is excluded"
    email = (ticket.requester.email or "").lower()
    if email and any(
        email == entry.lower() or (entry[:1] == "@" and email.endswith(entry.lower()))
        for entry in filters.excluded_requesters
    ):
        return "its requester is excluded"
    return None


def decide(gathered: Gathered) -> Decision:
    """The final decision: the router's, unless it could not be asked or named a group that does not exist."""
    priority = _priority(gathered)
    common: dict[str, Any] = {
        "ticket_id": gathered.ticket_id,
        "priority": priority.priority if priority else None,
        "priority_reason": priority.reason if priority else "",
        "priority_by": priority.by if priority else "",
        "prompt_version": priority.prompt_version if priority else None,
        "shadow": gathered.shadow,
        "latency_ms": gathered.latency_ms,
    }
    prediction = gathered.prediction
    if prediction and (outlook := prediction.outlook):
        common |= {"hours": outlook.hours, "breach": outlook.breach if outlook.is_breach_sure else None}
    if prediction is None:
        return Decision(
            group=None,
            confidence=0.0,
            band=Band.HUMAN_REVIEW,
            decided_by="fallback",
            reason=gathered.why_unrouted,
            **common,
        )
    band, reason = _by_people(prediction, gathered.least) or (prediction.band, prediction.reason)
    if band is Band.AUTO_ROUTE and prediction.group not in gathered.groups:
        band, reason = Band.HUMAN_REVIEW, f"The group {prediction.group} is not active in the label catalogue."
    elif band is Band.AUTO_ROUTE and (threshold := _unmet(gathered)):
        band, reason = Band.HUMAN_REVIEW, f"{prediction.group} takes tickets by itself from priority {threshold} on."
    return Decision(
        group=prediction.group,
        confidence=prediction.confidence,
        similarity=prediction.similarity,
        band=band,
        top3=prediction.top,
        reason=reason,
        model_version=prediction.model_version,
        **common,
    )


def _priority(gathered: Gathered) -> PriorityAnswer | None:
    """What was learnt from closed tickets, where it is sure enough; else what the rules or the language model said."""
    said, prediction = gathered.priority, gathered.prediction
    found = _learned(prediction.outlook) if prediction and prediction.outlook else None
    if said is None or prediction is None or found is None:
        return said
    learned = restrict(found[0], gathered.priorities) if gathered.priorities else found[0]
    reason = f"Learned from closed tickets ({found[1]:.0%} sure). {said.by} said {said.priority}: {said.reason}"
    return said.model_copy(update={"priority": learned, "reason": reason, "by": prediction.model_version})


def _learned(outlook: Outlook) -> tuple[Priority, float] | None:
    """The priority, or impact and urgency by the table, with its probability; None where no head may decide."""
    one, impact, urgency = outlook.priority, outlook.impact, outlook.urgency
    if one and one.decides and one.label in ORDER:
        return Priority(one.label), one.probability
    if impact and urgency and impact.decides and urgency.decides and {impact.label, urgency.label} <= set(LEVELS):
        cell = read_matrix()[impact.label, urgency.label]  # ty: ignore[invalid-argument-type]  # both are levels
        return cell, impact.probability * urgency.probability
    return None


def _by_people(prediction: Prediction, least: Mapping[str, float | None]) -> tuple[Band, str] | None:
    """By the threshold that people set for the group; what is unlike all that was learnt stays with a person."""
    if prediction.group not in least or prediction.band is Band.ESCALATE:
        return None
    limit, value = least[prediction.group], prediction.confidence
    if limit is None:
        return Band.HUMAN_REVIEW, f"Nothing is routed to '{prediction.group}' by itself: so it was set."
    if value >= limit:
        return Band.AUTO_ROUTE, f"Confidence {value:.2f} reaches {limit:.2f}, set for '{prediction.group}'."
    return Band.HUMAN_REVIEW, f"Confidence {value:.2f} is below {limit:.2f}, set for '{prediction.group}'."


def _unmet(gathered: Gathered) -> Priority | None:
    """The priority that the group asks for and the ticket does not reach; one without a priority reaches none."""
    threshold = gathered.thresholds.get(gathered.prediction.group) if gathered.prediction else None
    if threshold is None:
        return None
    order, priority = list(Priority), _priority(gathered)
    reached = order.index(priority.priority) if priority else -1
    return threshold if reached < order.index(threshold) else None


def review_urgency(decision: Decision) -> float:
    """
    Order of the review queue: escalations first, then what teaches the model most.

    The smaller the margin between the first two groups, the more informative the answer (margin sampling,
    Settles 2009, Active Learning Literature Survey, section 3.1).
    """
    if decision.band is Band.ESCALATE:
        return 2.0
    if len(decision.top3) < 2:
        return 1.0
    return 1.0 - (decision.top3[0].probability - decision.top3[1].probability)
