"""From closed tickets to a training part and a held-out part that share no text."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.core.kit.errors import InputInvalid

MIN_GROUP_ROWS = 2  # a group seen once can neither be learned nor judged
LOW_VOLUME_ROWS = 10  # fewer rows than this: suggested by the neighbours, never routed without review
HELD_OUT_MAX = 3_000  # more rows sharpen no threshold that matters and cost scoring time


@dataclass(frozen=True)
class Example:
    """One closed ticket: redacted text (`join_text`), the group that closed it, when (UTC)."""

    text: str
    group: str
    at: datetime | None = None


@dataclass(frozen=True)
class Split:
    """`low_volume`: groups too rare to be automatic. `dropped`: groups left out, with their row count."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    labels: tuple[str, ...]
    low_volume: tuple[str, ...]
    dropped: dict[str, int]
    by_time: bool


def prepare(examples: Sequence[Example], *, held_out_share: float = 0.15) -> Split:
    """
    Newest tickets held out when times are known, else a stratified choice that stays the same from run to run.

    Raises:
        InputInvalid: nothing to learn from; the message says what is missing.
    """
    usable = [row for row in examples if row.text.strip() and row.group.strip()]
    counts = Counter(row.group for row in usable)
    dropped = {group: n for group, n in counts.items() if n < MIN_GROUP_ROWS}
    kept = [row for row in usable if row.group not in dropped]
    _require_learnable(examples, usable, kept)
    by_time = all(row.at for row in kept) and len({row.at for row in kept}) > 1
    held = _newest(kept, held_out_share) if by_time else _stratified(kept, held_out_share)
    train, held_out = _keep_every_group_in_train(kept, held)
    return Split(
        train=tuple(train),
        held_out=tuple(sorted(held_out, key=lambda row: text_key(row.text))[:HELD_OUT_MAX]),
        labels=tuple(sorted({row.group for row in kept})),
        low_volume=tuple(sorted(g for g, n in counts.items() if MIN_GROUP_ROWS <= n < LOW_VOLUME_ROWS)),
        dropped=dropped,
        by_time=by_time,
    )


def text_key(text: str) -> int:
    """64-bit identity of a text, blind to case and spacing: what 'the same text' means here."""
    folded = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.blake2b(folded.encode(), digest_size=8).digest(), "big")


def dataset_sha256(examples: Sequence[Example]) -> str:
    """Identity of a set of examples, whatever their order."""
    digest = hashlib.sha256()
    for line in sorted(f"{text_key(row.text):016x} {row.group}" for row in examples):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _require_learnable(examples: Sequence[Example], usable: list[Example], kept: list[Example]) -> None:
    if not examples:
        raise InputInvalid("There are no closed tickets to learn from. Import some: pointsman history import FILE")
    if not usable:
        raise InputInvalid(f"All {len(examples)} tickets lack text or group. Check the column mapping of the import.")
    groups = {row.group for row in kept}
    if len(groups) < 2:
        named = f"only '{next(iter(groups))}'" if groups else "none"
        raise InputInvalid(
            f"A router needs at least two groups with {MIN_GROUP_ROWS} or more closed tickets each; found {named} in "
            f"{len(usable)} tickets. Check which column is mapped to group, or import more history."
        )


def _newest(rows: list[Example], share: float) -> set[int]:
    """Keys of the newest texts; a text that also occurs earlier counts as early."""
    first_seen: dict[int, datetime] = {}
    for row in rows:
        key = text_key(row.text)
        if row.at and (key not in first_seen or row.at < first_seen[key]):
            first_seen[key] = row.at
    newest_first = sorted(first_seen, key=lambda key: (first_seen[key], key), reverse=True)
    return set(newest_first[: round(len(newest_first) * share)])


def _stratified(rows: list[Example], share: float) -> set[int]:
    """Of each group the texts with the lowest hash: random, yet the same next week, so champions can be compared."""
    keys: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        keys[row.group].add(text_key(row.text))
    return {key for group in keys.values() for key in sorted(group)[: round(len(group) * share)]}


def _keep_every_group_in_train(rows: list[Example], held: set[int]) -> tuple[list[Example], list[Example]]:
    train = [row for row in rows if text_key(row.text) not in held]
    known = {row.group for row in train}
    held_out = [row for row in rows if text_key(row.text) in held]
    unseen = {text_key(row.text) for row in held_out if row.group not in known}
    train += [row for row in held_out if text_key(row.text) in unseen]
    return train, [row for row in held_out if text_key(row.text) not in unseen]
