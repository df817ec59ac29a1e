"""
What the daily look for drift finds, and how often it is wrong: public tickets in the order in which they came.

Three ways. In order: real incidents, day by day, and real texts, a "day" being so many tickets in a row. Shuffled: the
same rows without any order, so that each shift found is a false alarm. Planted: a stream without order, into which a
topic that the model never saw comes at a known share from a known day on. Needs POINTSMAN_DATA.
"""

import csv
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.drift import KINDS, DriftRules
from services.core.drift.judge import Decided, Window, judge
from services.core.models.encoder import Encoder
from tests.bench.report import Row

RULES = DriftRules()
FIRST, DAYS = date(2026, 1, 1), RULES.now_days + RULES.before_days
PER_DAY, PLANTED_PER_DAY = 20, 30
SHARES = (0.05, 0.1, 0.2)
PATIENCE_DAYS = 21
RIDGE = 0.03
TOKENS_MAX = 128
CHARS_MAX = 600  # the beginning says what a ticket is about


@dataclass(frozen=True)
class Stream:
    """Tickets by day, in order, with the rows of their vectors; no vectors where the set has no texts."""

    days: Sequence[Sequence[Decided]]
    vectors: Sequence[NDArray[np.float32]] | None = None


def measure(*, is_quick: bool) -> list[Row]:
    from services.trainer.simulate import open_frozen

    folder = Path(os.environ.get("POINTSMAN_DATA", ""))
    if not (folder / "jira_tickets").is_dir():
        sys.exit("bench: POINTSMAN_DATA does not name the folder with the public tickets.")
    seeds = 1 if is_quick else 2
    rows = _told("incidents", _incidents(folder), seeds * 3)
    with tempfile.TemporaryDirectory(prefix="pointsman-drift-") as made:
        encoder = open_frozen(Path(made))
        rows += _told("issues", _issues(folder, encoder, 1_000 if is_quick else 2_400), seeds)
        rows += _planted(folder, encoder, 2_000 if is_quick else 3_700, range(seeds))
    return rows


def _told(name: str, stream: Callable[[np.random.Generator | None], Stream], seeds: int) -> list[Row]:
    """Of all looks the share that found something, in order and without any."""
    found = _looks(stream(None))
    wrong = [look for seed in range(seeds) for look in _looks(stream(np.random.default_rng(seed)))]
    kinds = [kind for kind in KINDS if any(kind in asked for asked, _ in found)]
    rows = [Row("drift", f"{name}: looks in order", len(found), "looks")]
    for kind in kinds:
        rows.append(Row("drift", f"{name}: {kind} shifted, in order", _share(found, kind), "%"))
        rows.append(Row("drift", f"{name}: {kind} shifted, shuffled ({len(wrong)} looks)", _share(wrong, kind), "%"))
    return rows


def _share(looks: Sequence[tuple[set[str], set[str]]], kind: str) -> float:
    return 100 * sum(kind in shifted for _, shifted in looks) / max(1, sum(kind in asked for asked, _ in looks))


def _looks(stream: Stream) -> list[tuple[set[str], set[str]]]:
    """Of each day: which tests could be asked, and which found a shift."""
    return [_look(stream, end) for end in range(DAYS, len(stream.days) + 1)]


def _look(stream: Stream, end: int) -> tuple[set[str], set[str]]:
    middle = end - RULES.now_days
    before, now = _window(stream, end - DAYS, middle), _window(stream, middle, end)
    report = judge(FIRST + timedelta(days=end), before, now, RULES, {}, "m1")
    asked = {one.kind for one in report.tests if one.has_shifted is not None}
    return asked, {one.kind for one in report.tests if one.has_shifted}


def _window(stream: Stream, start: int, end: int) -> Window:
    rows = [row for day in stream.days[start:end] for row in day]
    if stream.vectors is None:
        return Window(rows)
    vectors = np.vstack(stream.vectors[start:end])
    chosen = np.random.default_rng(end).permutation(len(vectors))[: RULES.texts]
    return Window(rows, [int(at) for at in chosen], vectors[chosen])


def _incidents(folder: Path) -> Callable[[np.random.Generator | None], Stream]:
    """A real log without texts, on its real days, and which group took it first."""
    with gzip.open(folder / "itsm_incidents" / "train.csv.gz", "rt") as file:
        found = sorted(csv.DictReader(file), key=lambda row: row["opened_at"])
    rows = [(row["opened_at"][:10], Decided(row["first_assignment_group"], 1.0, None, None)) for row in found]
    days = sorted({day for day, _ in rows})
    full = [day for day in days if sum(one == day for one, _ in rows) >= 20]  # the log thins out at its ends
    kept = [(day, row) for day, row in rows if full[0] <= day <= full[-1]]

    def stream(random: np.random.Generator | None) -> Stream:
        order = np.arange(len(kept)) if random is None else random.permutation(len(kept))
        by_day: dict[str, list[Decided]] = {day: [] for day in full}
        for (day, _), at in zip(kept, order, strict=True):
            by_day.get(day, by_day[full[0]]).append(kept[at][1])
        return Stream([by_day[day] for day in full])

    return stream


def _issues(folder: Path, encoder: Encoder, most: int) -> Callable[[np.random.Generator | None], Stream]:
    """Real texts in the order of their creation; the first fifth teaches a model of their type."""
    with gzip.open(folder / "jira_tickets" / "train.jsonl.gz", "rt") as file:
        found = sorted(map(json.loads, file), key=lambda row: row["created"])[-most:]
    texts = [f"{row['summary']} {row['description'] or ''}" for row in found]
    return _judged(_embed(encoder, texts), [row["type"] for row in found])


def _judged(vectors: NDArray[np.float32], groups: Sequence[str]) -> Callable[[np.random.Generator | None], Stream]:
    fifth = len(groups) // 5
    rows = _decided(vectors, groups, np.arange(fifth))

    def stream(random: np.random.Generator | None) -> Stream:
        order = np.arange(fifth, len(groups))
        order = order if random is None else random.permutation(order)
        days = [order[at : at + PER_DAY] for at in range(0, len(order) - PER_DAY, PER_DAY)]
        return Stream([[rows[at] for at in day] for day in days], [vectors[day] for day in days])

    return stream


def _decided(vectors: NDArray[np.float32], groups: Sequence[str], learnt: NDArray[np.int64]) -> list[Decided]:
    """What ridge regression on `learnt` says of all; confidence is a softmax of its scores."""
    names = sorted({groups[at] for at in learnt})
    x = vectors[learnt].astype(np.float64)
    targets = np.array([[name == groups[at] for name in names] for at in learnt], np.float64)
    scores = 8 * (vectors @ np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ targets))
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return [Decided(names[row.argmax()], float(row.max()), "m1", names[row.argmax()] == groups[at])
            for at, row in enumerate(chances)]  # fmt: skip


def _planted(folder: Path, encoder: Encoder, most: int, seeds: Sequence[int]) -> list[Row]:
    """Real help-desk mail without an order; one of its topics begins on a day, and no model has seen it."""
    with gzip.open(folder / "endava_tickets" / "train.csv.gz", "rt") as file:
        found = [row for row in csv.DictReader(file) if row["topic_group"]][:most]
    vectors = _embed(encoder, [f"{row['title']} {row['body']}" for row in found])
    topics = [row["topic_group"] for row in found]
    new_ones = sorted(set(topics), key=topics.count)[-4:-1]
    rows = []
    for share in SHARES:
        days = [_days_until(vectors, topics, new, share, seed) for new in new_ones for seed in seeds]
        for kind in (*KINDS, "any"):
            seen = [found[kind] for found in days if kind in found]
            rows.append(Row("drift", f"planted {share:.0%}: {kind} found in time", 100 * len(seen) / len(days), "%"))
            if seen:
                rows.append(Row("drift", f"planted {share:.0%}: {kind}, median day", float(np.median(seen)), "days"))
    return rows


def _days_until(
    vectors: NDArray[np.float32], topics: Sequence[str], new: str, share: float, seed: int
) -> dict[str, int]:
    """By test, on which day after its begin the topic was noticed; nothing where it was not in time."""
    random = np.random.default_rng(seed)
    known, foreign = (random.permutation([at for at, topic in enumerate(topics) if (topic == new) is is_new])
                      for is_new in (False, True))  # fmt: skip
    learnt, known = known[: len(known) // 3], known[len(known) // 3 :]
    rows = _decided(vectors, topics, learnt)
    days = []
    for day in range(DAYS + PATIENCE_DAYS):
        n = random.binomial(PLANTED_PER_DAY, share) if day >= DAYS else 0
        picked = np.r_[random.choice(foreign, n), random.choice(known, PLANTED_PER_DAY - n)]
        days.append(picked)
    stream = Stream([[rows[at] for at in day] for day in days], [vectors[day] for day in days])
    found: dict[str, int] = {}
    for end in range(DAYS + 1, DAYS + PATIENCE_DAYS + 1):
        for kind in _look(stream, end)[1]:
            found.setdefault(kind, end - DAYS)
            found.setdefault("any", end - DAYS)
    return found


def _embed(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    short = [text[:CHARS_MAX] for text in texts]
    return np.vstack([encoder.run(short[at : at + 64])["embedding"] for at in range(0, len(short), 64)])
