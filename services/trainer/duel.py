"""Two registered versions on the closed tickets that neither has learnt from."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from services.core.kit.errors import InputInvalid
from services.core.models import registry
from services.core.models.bundle import load_bundle
from services.core.models.registry import ModelRecord
from services.core.models.texts import text_key
from services.trainer.gates import answer
from services.trainer.gates import compare as compare_paired
from services.trainer.prepare import Example, is_foreign
from services.trainer.repository import read_examples

if TYPE_CHECKING:
    from obstore.store import ObjectStore

DIFFER_MAX = 20
UNKNOWN_NAMED = 5


@dataclass(frozen=True)
class Duel:
    """
    Figures of the first and the second; `chance`: how often equally good models differ as much in macro-F1.

    `unknown`: groups that neither knows and how many of the tickets they closed; these are in no figure.
    """

    rows: int
    accuracy: tuple[float, float]
    macro_f1: tuple[float, float]
    chance: float
    differ: list[tuple[str, str, str, int]]  # closed by, said by the first, said by the second, tickets
    unknown: list[tuple[str, int]]


def duel(conn: Connection[Any], store: "ObjectStore", records: tuple[ModelRecord, ModelRecord], *, rows: int) -> Duel:
    """
    Raises:
        InputInvalid: it is one version; or every closed ticket was learnt from by one of them, or closed by a group
            that neither knows.
    """
    if records[0].version == records[1].version:
        raise InputInvalid(f"{records[0].version} is the champion itself, or was named twice. Name two versions.")
    with tempfile.TemporaryDirectory(prefix="pointsman-compare-") as scratch:
        folders = [registry.fetch(store, record, Path(scratch)) for record in records]
        seen = frozenset().union(*(registry.read_lineage(folder) for folder in folders))
        fresh = [row for row in read_examples(conn) if not is_foreign(row) and text_key(row.text) not in seen][-rows:]
        if not fresh:
            raise InputInvalid(
                "Both versions have learnt from every closed ticket there is. Compare when more are closed."
            )
        judged, unknown = _known(fresh, records)
        one, other = (answer(load_bundle(folder), [row.text for row in judged]) for folder in folders)
    return _judge(judged, one, other, unknown)


def _known(fresh: list[Example], records: tuple[ModelRecord, ModelRecord]) -> tuple[list[Example], Counter[str]]:
    """The tickets that at least one of them could have right, and the groups of the others."""
    labels = {label for record in records for label in record.manifest.labels}
    unknown = Counter(row.group for row in fresh if row.group not in labels)
    judged = [row for row in fresh if row.group in labels]
    if not judged:
        raise InputInvalid(
            f"Neither version knows a group that has closed these {len(fresh)} tickets ({name_groups(unknown)}):"
            " there is nothing to compare. Train again: pointsman train"
        )
    return judged, unknown


def name_groups(counts: Counter[str] | dict[str, int]) -> str:
    """The largest, with their tickets."""
    named = [f"{group}: {n}" for group, n in Counter(counts).most_common(UNKNOWN_NAMED)]
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more} more groups" if more else "")


def _judge(fresh: list[Example], one: list[str], other: list[str], unknown: Counter[str]) -> Duel:
    truth = [row.group for row in fresh]
    forward, back = compare_paired(one, other, truth), compare_paired(other, one, truth)
    differ = Counter(said for said in zip(truth, one, other, strict=True) if said[1] != said[2])
    right = [sum(map(str.__eq__, said, truth)) / len(truth) for said in (one, other)]
    return Duel(
        len(fresh),
        (right[0], right[1]),
        (forward.ours, forward.theirs),
        min(1.0, 2 * min(forward.chance, back.chance)),
        [(*said, n) for said, n in differ.most_common(DIFFER_MAX)],
        unknown.most_common(),
    )
