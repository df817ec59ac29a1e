"""`submit --truth`: how many were right, in all and of those routed without a person."""

from services.cli.submit import score
from services.core.contracts.decision import Triaged
from services.core.contracts.prediction import Band


def answer(external_id: str, group: str, band: Band) -> Triaged:
    return Triaged(
        external_id=external_id,
        ticket_id="1",
        group=group,
        confidence=0.5,
        band=band,
        priority=None,
        top3=(),
        model_version="m",
        latency_ms=1,
    )


def test_the_score_counts_only_tickets_whose_group_is_known() -> None:
    """Two of three right; one of the two automatic ones; the fourth has no known group."""
    answered = [
        answer("1", "Network", Band.AUTO_ROUTE),
        answer("2", "Network", Band.AUTO_ROUTE),
        answer("3", "Access", Band.HUMAN_REVIEW),
        answer("4", "Access", Band.AUTO_ROUTE),
    ]
    said = score(answered, {"1": "Network", "2": "Access", "3": "Access"})
    assert said == "3 with a known group: 66.7% right. Routed without a person: 66.7%, of these 50.0% right."


def test_nothing_to_judge_is_said() -> None:
    """No group known, nothing automatic: no division, no figure."""
    assert score([answer("1", "Network", Band.AUTO_ROUTE)], {}) == "No ticket has a known group."
    said = score([answer("1", "Network", Band.HUMAN_REVIEW)], {"1": "Network"})
    assert said == "1 with a known group: 100.0% right."
