"""What happened to a ticket, told in order. Pure: rows in, lines out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.gateway.pages import BANDS, VERDICTS, seconds

Row = Mapping[str, Any]

ARRIVALS = {
    "created": "Received from",
    "assigned": "Assigned in",
    "solved": "Solved in",
    "updated": "Changed in",
    "deleted": "Deleted in",
    "erased": "Erased for good in",
}
NOTES = {"summary": "Summarised", "related": "Related tickets looked up", "draft": "Reply drafted, if it could be"}
LABELS = {"close": "its group when it was closed", "review": "a review", "feedback": "feedback"}
LETTERS = {"write": "Write-back", "read": "Reading it in its system"}
WRITES = {"sent": "done", "pending": "waiting", "superseded": "left: a person was faster", "dead": "failed for good"}


@dataclass(frozen=True)
class Line:
    """One thing that happened. `tone` sets its mark: good, open, bad or plain."""

    at: datetime
    title: str
    detail: str = ""
    tone: Literal["good", "open", "bad", "plain"] = "plain"


def tell(found: Row) -> list[Line]:
    """Deliveries, decisions, review, labels, notes and write-backs of a ticket, oldest first."""
    tellers = (_deliveries, _decisions, _review, _labels, _notes, _letters)
    return sorted((line for teller in tellers for line in teller(found)), key=lambda line: line.at)


def _deliveries(found: Row) -> Iterator[Line]:
    for row in found["deliveries"]:
        what = ARRIVALS.get(row["kind"], row["kind"])
        yield Line(row["received_at"], f"{what} {found['connector']}", f"delivery {row['delivery_id']}")


def _decisions(found: Row) -> Iterator[Line]:
    for decision in found["decisions"]:
        took = f" Took {seconds(decision['latency_ms'])}." if decision["latency_ms"] else ""
        band = BANDS.get(decision["band"], decision["band"])
        shadow = " (shadow: nothing is written)" if decision["shadow"] else ""
        title = f"{band}: {decision['group'] or 'no group'}{shadow}"
        tone = "good" if decision["band"] == "AUTO_ROUTE" else "open"
        yield Line(datetime.fromisoformat(decision["decided_at"]), title, decision["reason"] + took, tone)


def _review(found: Row) -> Iterator[Line]:
    review = found["review"]
    if review is None:
        return
    yield Line(review["opened_at"], "Put into the review queue", tone="open")
    if review["state"] != "open":
        verdict = VERDICTS[review["state"]]
        yield Line(review["closed_at"], f"Review: {verdict} by {review['closed_by']}", review["group"] or "", "good")


def _labels(found: Row) -> Iterator[Line]:
    for row in found["labels"]:
        by = f" by {row['by']}" if row["by"] else ""
        yield Line(
            row["at"], f"Label: {row['group']}", f"From {LABELS[row['source']]}{by}; the next training learns from it"
        )


def _notes(found: Row) -> Iterator[Line]:
    for row in found["notes"]:
        yield Line(row["at"], NOTES[row["kind"]])


def _letters(found: Row) -> Iterator[Line]:
    for row in found["outbox"]:
        what = LETTERS.get(row["kind"], "Event")
        tries = f"{row['attempts']} attempt{'' if row['attempts'] == 1 else 's'}"
        detail = " · ".join(part for part in (row["result"], tries, row["last_error"], row["key"]) if part)
        tone = {"sent": "good", "pending": "open", "superseded": "plain", "dead": "bad"}[row["state"]]
        yield Line(row["settled_at"] or row["created_at"], f"{what} {WRITES[row['state']]}", detail, tone)
