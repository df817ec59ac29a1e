"""What a candidate was judged by, for people: made from its held-out rows, kept beside it in the registry."""

from collections import Counter
from collections.abc import Iterator, Sequence

from services.core.contracts.evidence import BINS, Bin, Changed, Confused, Evidence, Held
from services.trainer.judge import Judged, Row
from services.trainer.prepare import Example


def gather(
    judged: Judged, labels: Sequence[str], *, compared_with: str | None = None, changed: Sequence[Changed] = ()
) -> Evidence:
    """
    Answers to the held-out tickets, counted and sorted: cross-fitted but for `held`, whose confidences are those of the
    rules that serve, for people move these rules' thresholds.
    """
    rows = judged.rows
    confusion = Counter((row.truth, row.guess) for row in rows)
    return Evidence(
        tickets=len(rows),
        held=tuple(_held(judged.served, labels)),
        reliability=tuple(_bins(rows)),
        confusion=tuple(
            Confused(group=labels[true], said=labels[said], tickets=n) for (true, said), n in sorted(confusion.items())
        ),
        compared_with=compared_with,
        changed=tuple(changed),
    )


def changes(rows: Sequence[Example], before: Sequence[str], now: Sequence[str]) -> list[Changed]:
    """The tickets that two models answer otherwise."""
    told = zip(rows, before, now, strict=True)
    return [Changed(ref=row.ref, group=row.group, before=was, now=is_) for row, was, is_ in told if was != is_]


def _held(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[Held]:
    for at, group in enumerate(labels):
        own = sorted((-row.confidence, row.guess == row.truth) for row in rows if row.guess == at and row.in_scope)
        if own:
            yield Held(group=group, tickets=tuple((-value, right) for value, right in own))


def _bins(rows: Sequence[Row]) -> Iterator[Bin]:
    for at in range(BINS):
        own = [row for row in rows if min(int(row.top * BINS), BINS - 1) == at]
        if own:
            right = sum(row.guess == row.truth for row in own) / len(own)
            yield Bin(said=sum(row.top for row in own) / len(own), right=right, tickets=len(own))
