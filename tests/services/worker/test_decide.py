"""Decisions as pure functions: what is left alone, decided, written, and reviewed first."""

import pytest

from services.core.connectors import write_back
from services.core.connectors.write_back import About
from services.core.contracts.prediction import Band, Learned, Outlook, Prediction, ScoredGroup
from services.core.contracts.priority import LabelText, PriorityAnswer
from services.core.contracts.ticket import Priority, Requester, Seen, Status, Ticket
from services.worker.decide import Gathered, decide, review_urgency, why_left_alone
from services.worker.settings import Filters

TICKET = Ticket(connector="desk", external_id="1", subject="VPN down", requester=Requester(email="jo@example.com"))
ABOUT = About(7, "desk", "Z-1", Seen(stamp="s1", group=None))
TOP = (ScoredGroup(group="Network", probability=0.9), ScoredGroup(group="Access", probability=0.06))
PREDICTION = Prediction(
    top=TOP, confidence=0.93, similarity=0.8, band=Band.AUTO_ROUTE, reason="Reaches its threshold.", model_version="m1"
)
PRIORITY = PriorityAnswer(priority=Priority.HIGH, impact="high", urgency="medium", reason="everyone", by="extractive")


def gathered(**changes: object) -> Gathered:
    facts = {
        "ticket_id": "7",
        "prediction": PREDICTION,
        "priority": PRIORITY,
        "groups": frozenset({"Network", "Access"}),
        "shadow": False,
        "latency_ms": 12.0,
    }
    return Gathered(**(facts | changes))  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize(
    ("ticket", "filters", "why"),
    [
        ({}, {}, None),
        ({"status": Status.SOLVED}, {}, "it is solved already"),
        ({"group": "Network"}, {}, "it is in the group Network already"),
        ({"group": "Network"}, {"skip_grouped": False}, None),
        ({}, {"excluded_subjects": ("^vpn",)}, "its subject is excluded"),
        ({}, {"excluded_requesters": ("JO@example.com",)}, "its requester is excluded"),
        ({}, {"excluded_requesters": ("@example.com",)}, "its requester is excluded"),
        ({}, {"excluded_requesters": ("@ample.com", "o@example.com")}, None),
    ],
)
def test_filters_leave_alone_what_they_name_and_nothing_else(ticket: dict, filters: dict, why: str | None) -> None:
    """Closed, grouped, excluded subjects and requesters; a domain is not matched by its end."""
    assert why_left_alone(TICKET.model_copy(update=ticket), Filters(**filters)) == why


def test_a_wrong_pattern_stops_the_start_with_an_example() -> None:
    """A bad regular expression is a configuration error, not a ticket's."""
    with pytest.raises(ValueError, match="not a regular expression"):
        Filters(excluded_subjects=("(",))


@pytest.mark.parametrize(
    ("threshold", "priority", "band"),
    [
        (Priority.HIGH, PRIORITY, Band.AUTO_ROUTE),
        (Priority.LOW, PRIORITY, Band.AUTO_ROUTE),
        (Priority.URGENT, PRIORITY, Band.HUMAN_REVIEW),
        (Priority.LOW, None, Band.HUMAN_REVIEW),
    ],
)
def test_below_a_teams_threshold_a_person_decides(
    threshold: Priority, priority: PriorityAnswer | None, band: Band
) -> None:
    """The edge itself is routed; a ticket without a priority reaches none; other teams' thresholds do not matter."""
    decided = decide(gathered(priority=priority, thresholds={"Network": threshold, "Access": Priority.URGENT}))
    assert (decided.band, decided.group) == (band, "Network")
    assert (str(threshold) in decided.reason) is (band is Band.HUMAN_REVIEW)


def test_a_confident_prediction_is_written_with_its_reason() -> None:
    """Group, priority, tags and a private note under the ticket's key."""
    update = write_back.automatic(decide(gathered()), ABOUT)
    assert update is not None
    assert (update.key, update.external_id, update.group, update.priority) == ("7:new", "Z-1", "Network", Priority.HIGH)
    assert "confidence 93%" in (update.note or "")
    assert "Access 6%" in (update.note or "")


@pytest.mark.parametrize("group", ["Network", "Access"])
def test_a_reviewed_ticket_keeps_its_priority(group: str) -> None:
    """Accepted or corrected: the same update as an automatic one, and as late as it may be, guarded alike."""
    review = decide(gathered(prediction=PREDICTION.model_copy(update={"band": Band.HUMAN_REVIEW})))
    update = write_back.answered(review, ABOUT, group=group, by="ana")
    assert update is not None
    assert (update.key, update.group, update.priority, update.seen) == ("7:review", group, Priority.HIGH, ABOUT.seen)


def test_an_invented_group_is_never_written() -> None:
    """A group that the catalogue does not have goes to a person."""
    decision = decide(gathered(groups=frozenset({"Access"})))
    assert decision.band is Band.HUMAN_REVIEW
    assert "not active in the label catalogue" in decision.reason
    assert write_back.automatic(decision, ABOUT) is None


def test_an_escalation_asks_for_a_person_without_naming_a_group() -> None:
    """It must be seen in the system where people work; a guess is not presented as a decision."""
    decision = decide(gathered(prediction=PREDICTION.model_copy(update={"band": Band.ESCALATE})))
    update = write_back.automatic(decision, ABOUT)
    assert update is not None
    assert (update.group, "pointsman-escalated" in update.tags) == (None, True)


@pytest.mark.parametrize("band", list(Band))
def test_shadow_writes_nothing(band: Band) -> None:
    """Everything runs, nothing leaves."""
    decision = decide(gathered(shadow=True, prediction=PREDICTION.model_copy(update={"band": band})))
    assert decision.group == "Network"
    assert write_back.automatic(decision, ABOUT) is None
    assert write_back.answered(decision, ABOUT, group="Network", by="ana") is None


def test_without_a_router_a_person_decides_and_the_priority_stays() -> None:
    """No guess: no group, review, and the reason."""
    decision = decide(gathered(prediction=None, why_unrouted="The router did not answer; a person decides."))
    assert (decision.group, decision.band, decision.decided_by) == (None, Band.HUMAN_REVIEW, "fallback")
    assert decision.priority is Priority.HIGH


def test_the_review_queue_starts_with_escalations_then_with_close_calls() -> None:
    """The smaller the margin, the more a person's answer teaches."""
    close = (ScoredGroup(group="Network", probability=0.41), ScoredGroup(group="Access", probability=0.40))
    escalated = decide(gathered(prediction=PREDICTION.model_copy(update={"band": Band.ESCALATE})))
    near = decide(gathered(prediction=PREDICTION.model_copy(update={"band": Band.HUMAN_REVIEW, "top": close})))
    clear = decide(gathered(prediction=PREDICTION.model_copy(update={"band": Band.HUMAN_REVIEW})))
    assert review_urgency(escalated) > review_urgency(near) > review_urgency(clear)


def learned(label: str, *, decides: bool = True) -> Learned:
    return Learned(label=label, probability=0.9, decides=decides)


@pytest.mark.parametrize(
    ("outlook", "priority", "by"),
    [
        (None, "high", "extractive"),
        (Outlook(), "high", "extractive"),
        (Outlook(priority=learned("low")), "low", "m1"),
        (Outlook(priority=learned("low", decides=False)), "high", "extractive"),
        (Outlook(priority=learned("Blocker")), "high", "extractive"),
        (Outlook(impact=learned("low"), urgency=learned("high")), "normal", "m1"),
        (Outlook(impact=learned("low"), urgency=learned("high", decides=False)), "high", "extractive"),
        (Outlook(impact=learned("1"), urgency=learned("2")), "high", "extractive"),
    ],
)
def test_a_learned_priority_decides_where_it_is_sure(outlook: Outlook | None, priority: str, by: str) -> None:
    """Priority, or impact and urgency by the table, in our words; else the rules. The decision says which."""
    decided = decide(gathered(prediction=PREDICTION.model_copy(update={"outlook": outlook})))
    assert (decided.priority, decided.priority_by) == (priority, by)
    assert ("extractive said high" in decided.priority_reason) is (by == "m1")


def test_a_learned_priority_is_one_that_is_offered() -> None:
    outlook = Outlook(priority=learned("urgent"))
    offered = (LabelText(name="low"), LabelText(name="high"))
    decided = decide(gathered(prediction=PREDICTION.model_copy(update={"outlook": outlook}), priorities=offered))
    assert decided.priority == "high"


def test_the_threshold_of_a_team_is_met_by_what_is_decided() -> None:
    """Not by what the rules said before."""
    prediction = PREDICTION.model_copy(update={"outlook": Outlook(priority=learned("low"))})
    decided = decide(gathered(prediction=prediction, thresholds={"Network": Priority.NORMAL}))
    assert decided.band is Band.HUMAN_REVIEW
