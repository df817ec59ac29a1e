"""What a candidate was judged by is kept with it: counts add up to its figures, and changed tickets are named."""

from services.core.contracts.evidence import Evidence, effect
from services.core.models.manifest import BandRules, Pooling
from services.trainer.evidence import changes, gather
from services.trainer.judge import Judged, Row
from services.trainer.prepare import Example

LABELS = ("A", "B")
ROWS = (
    Row(0, 0, 0.91, 0.9, True),
    Row(0, 1, 0.55, 0.6, True),
    Row(1, 1, 0.95, 0.95, True),
    Row(1, 1, 0.99, 0.2, False),
)


def test_held_out_rows_become_curves_that_add_up() -> None:
    """Those out of scope count among the tickets and are never routed, whatever the threshold."""
    served = tuple(row._replace(confidence=row.confidence / 2) for row in ROWS)  # by the rules that serve
    found = gather(
        Judged(Pooling.model_construct(), BandRules.model_construct(), {}, {}, (), rows=ROWS, served=served), LABELS
    )
    assert (found.tickets, [one.group for one in found.held]) == (4, ["A", "B"])
    assert found.held[0].tickets == ((0.45, True), (0.3, False))
    assert found.held[1].tickets == ((0.475, True),)
    assert sum(one.tickets for one in found.confusion) == sum(one.tickets for one in found.reliability) == 4
    all_in = effect(found.held, {"A": 0.0, "B": 0.0}, found.tickets)
    assert (all_in.automatic, all_in.right, all_in.tickets) == (3, 2, 4)
    assert Evidence.model_validate_json(found.model_dump_json()) == found


def test_what_two_models_answer_otherwise_is_named_by_reference() -> None:
    rows = [Example("secret text", "A", ref="ticket/7"), Example("other", "B", ref="history/9")]
    (changed,) = changes(rows, ["B", "B"], ["A", "B"])
    assert (changed.ref, changed.group, changed.before, changed.now) == ("ticket/7", "A", "B", "A")
    assert "secret" not in changed.model_dump_json()
