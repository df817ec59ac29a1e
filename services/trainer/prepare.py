"""From closed tickets to a training part and a held-out part that share no text, nor nearly the same one."""

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.core.contracts.facts import NOTHING_KNOWN, Facts
from services.core.contracts.prediction import NO_GROUP
from services.core.kit.errors import InputInvalid
from services.core.models.texts import text_key
from services.trainer.config import Window
from services.trainer.duplicates import group_alike

MIN_GROUP_ROWS = 2  # a group seen once can neither be learned nor judged
LOW_VOLUME_ROWS = 10  # fewer rows than this: suggested by the neighbours, never routed without review
OUT_OF_SCOPE = frozenset({"oos", "out_of_scope", "out-of-scope", NO_GROUP})
FOREIGN_MAX = 1_000  # the newest
HELD_OUT_MAX = 3_000  # more rows sharpen no threshold that matters and cost scoring time


@dataclass(frozen=True)
class Targets:
    """What became of a ticket beside its group, as far as it is known; the words are the source's own."""

    hours: float | None = None
    breached: bool | None = None
    priority: str = ""
    impact: str = ""
    urgency: str = ""


@dataclass(frozen=True)
class Example:
    """
    One closed ticket: redacted text (`join_text`), the group that closed it, when (UTC), where it lies.

    `facts`: what was known when it came; `targets`: what became of it.
    """

    text: str
    group: str
    at: datetime | None = None
    ref: str = ""
    facts: Facts = NOTHING_KNOWN
    targets: Targets = Targets()


@dataclass(frozen=True)
class Split:
    """
    `low_volume`: groups too rare to be automatic. `dropped`: groups left out, with their row count.
    `outside_window`: tickets that were too old. `foreign`: belong to no group; not learnt from, but asked about.
    """

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    labels: tuple[str, ...]
    low_volume: tuple[str, ...]
    dropped: dict[str, int]
    by_time: bool
    outside_window: int = 0
    foreign: tuple[Example, ...] = ()


def prepare(examples: Sequence[Example], *, held_out_share: float = 0.15, window: Window | None = None) -> Split:
    """
    Newest tickets held out when times are known, else a stratified choice that stays the same from run to run.

    Tickets that say nearly the same are on one side.

    Raises:
        InputInvalid: nothing to learn from; the message says what is missing.
    """
    told = [row for row in examples if row.text.strip() and row.group.strip()]
    named = [row for row in told if not is_foreign(row)]
    usable = in_window(named, window) if window else named
    counts = Counter(row.group for row in usable)
    dropped = {group: n for group, n in counts.items() if n < MIN_GROUP_ROWS}
    kept = [row for row in usable if row.group not in dropped]
    _require_learnable(examples, usable, kept)
    by_time = all(row.at for row in kept) and len({row.at for row in kept}) > 1
    kinds = _kinds(kept)
    held = (_newest if by_time else _stratified)(kept, kinds, held_out_share)
    train, held_out = _keep_every_group_in_train(kept, kinds, held)
    return Split(
        train=tuple(train),
        held_out=tuple(sorted(held_out, key=lambda row: text_key(row.text))[:HELD_OUT_MAX]),
        labels=tuple(sorted({row.group for row in kept})),
        low_volume=tuple(sorted(g for g, n in counts.items() if MIN_GROUP_ROWS <= n < LOW_VOLUME_ROWS)),
        dropped=dropped,
        by_time=by_time,
        outside_window=len(named) - len(usable),
        foreign=tuple(row for row in told if is_foreign(row))[-FOREIGN_MAX:],
    )


def is_foreign(row: Example) -> bool:
    """Whether a person said that it belongs to no group."""
    return row.group.casefold() in OUT_OF_SCOPE


def in_window(rows: list[Example], window: Window) -> list[Example]:
    """The tickets that are new enough for their group; those without a time stay."""
    newest = max((row.at for row in rows if row.at), default=None)
    if newest is None:
        return rows
    times = sorted((row.at for row in rows if row.at), reverse=True)
    oldest = times[min(window.least, len(times)) - 1] if window.least else newest
    near, far = newest - timedelta(days=window.days), newest - timedelta(days=window.rare_days)
    recent = Counter(row.group for row in rows if row.at is None or row.at >= near)
    begins = {group: near if recent[group] >= window.rows else far for group in {row.group for row in rows}}
    begin = {group: min(at, oldest) for group, at in begins.items()}
    return [row for row in rows if row.at is None or row.at >= begin[row.group]]


def with_queue(examples: Sequence[Example]) -> list[Example]:
    """Each with the number of others that were open when it came, where the times of opening and solving are known."""
    timed = [row for row in examples if row.facts.opened_at and row.targets.hours is not None]
    opened = sorted(row.facts.opened_at for row in timed if row.facts.opened_at)
    solved = sorted(map(_solved_at, timed))
    return [_queued(row, opened, solved) if row.facts.opened_at and timed else row for row in examples]


def _queued(row: Example, opened: list[datetime], solved: list[datetime]) -> Example:
    at = row.facts.opened_at
    assert at is not None  # asked only of those
    queue = max(0, bisect_left(opened, at) - bisect_left(solved, at))
    return replace(row, facts=row.facts.model_copy(update={"queue": queue}))


def _solved_at(row: Example) -> datetime:
    assert row.facts.opened_at is not None
    assert row.targets.hours is not None  # asked only of those
    return row.facts.opened_at + timedelta(hours=row.targets.hours)


def dataset_sha256(examples: Sequence[Example]) -> str:
    """Identity of a set of examples, whatever their order."""
    digest = hashlib.sha256()
    for line in sorted(f"{text_key(row.text):016x} {row.group}{_beside(row)}" for row in examples):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _beside(row: Example) -> str:
    """What is learnt of a row beside its group."""
    return "" if row.targets == Targets() else f" {row.targets} {row.facts.model_dump_json(exclude={'queue'})}"


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


def _kinds(rows: list[Example]) -> list[int]:
    """For each row the key of its kind, whatever the order of the rows: that of one text which says nearly the same."""
    texts = {text_key(row.text): row.text for row in rows}
    keys = sorted(texts)
    first = group_alike([texts[key] for key in keys])
    kind = {key: keys[int(at)] for key, at in zip(keys, first, strict=True)}
    return [kind[text_key(row.text)] for row in rows]


def _newest(rows: list[Example], kinds: list[int], share: float) -> set[int]:
    """The newest kinds, up to a share of the rows; one that also occurred earlier counts as early."""
    first_seen: dict[int, datetime] = {}
    for row, kind in zip(rows, kinds, strict=True):
        if row.at and (kind not in first_seen or row.at < first_seen[kind]):
            first_seen[kind] = row.at
    return _fill(sorted(first_seen, key=lambda kind: (first_seen[kind], kind), reverse=True), kinds, share)


def _stratified(rows: list[Example], kinds: list[int], share: float) -> set[int]:
    """Of each group the kinds with the lowest hash: random, yet the same next week, so champions can be compared."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for row, kind in zip(rows, kinds, strict=True):
        by_group[row.group].append(kind)
    return {kind for own in by_group.values() for kind in _fill(sorted(set(own)), own, share)}


def _fill(order: list[int], kinds: list[int], share: float) -> set[int]:
    """Kinds in `order` until they hold `share` of all rows; one that would take twice its room is passed over."""
    sizes, room, found = Counter(kinds), round(len(kinds) * share), set()
    for kind in order:
        if room <= 0:
            break
        if sizes[kind] <= max(1, 2 * room):
            found.add(kind)
            room -= sizes[kind]
    return found


def _keep_every_group_in_train(
    rows: list[Example], kinds: list[int], held: set[int]
) -> tuple[list[Example], list[Example]]:
    """A kind of which a group is known by nothing else is learnt from."""
    known = {row.group for row, kind in zip(rows, kinds, strict=True) if kind not in held}
    needed = {kind for row, kind in zip(rows, kinds, strict=True) if row.group not in known}
    judged = held - needed
    train = [row for row, kind in zip(rows, kinds, strict=True) if kind not in judged]
    return train, [row for row, kind in zip(rows, kinds, strict=True) if kind in judged]
