"""
Surges in a made stream: how many are found, how soon, and how many are found where there are none.

Three weeks of tickets in working hours, two of them past. Surges of alike tickets are put into the third week: of the
mock company tickets of one issue, of banking77 (where POINTSMAN_DATA is) questions of one intent.
"""

import csv
import gzip
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from services.core.contracts.surge import SurgeRules
from services.core.drift.surges import find
from services.local.mock.tickets import live
from tests.bench.report import Row, Target

RULES = SurgeRules()
DAY, WEEKS, PER_DAY = 24 * 60, 3, 120
SURGE_MINUTES = 20
SIZES = (8, 12)
PAST_MAX = 5_000
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Text = tuple[str, str]  # what it is about, and the text


def measure(*, is_quick: bool) -> list[Row]:
    from services.trainer.simulate import open_frozen

    rows = []
    with tempfile.TemporaryDirectory(prefix="pointsman-surge-") as made:
        encoder = open_frozen(Path(made))

        def embed(texts: Sequence[str]) -> NDArray[np.float32]:
            return np.vstack([encoder.run(texts[at : at + 64])["embedding"] for at in range(0, len(texts), 64)])

        for name, tickets in _sets():
            for size in SIZES[:1] if is_quick else SIZES:
                rows += _measure(name, tickets, size, embed, surges=6 if is_quick else 10)
    return rows


def _sets() -> Iterator[tuple[str, list[Text]]]:
    mock = [(f"{t.true_group} {t.subject[:14].lower()}", f"{t.subject}\n{t.body}") for t in islice(live(3), 6_000)]
    yield "mock", mock
    path = Path(os.environ.get("POINTSMAN_DATA", "")) / "banking77" / "train.csv.gz"
    if path.is_file():
        with gzip.open(path, "rt") as file:
            yield "banking77", [(row["label"], row["text"]) for row in csv.DictReader(file)]


def _measure(name: str, tickets: Sequence[Text], size: int, embed: Embed, surges: int) -> list[Row]:
    random = Random(size)
    stream = [(minute, random.choice(tickets)[1], -1) for minute in _arrivals(random)]
    starts = random.sample(range(2 * 7 * DAY, WEEKS * 7 * DAY - 60, 240), surges)
    for number, start in enumerate(starts):
        texts = random.sample(_alike(tickets, size, random), size)
        stream += [(start + random.uniform(0, SURGE_MINUTES), text, number) for text in texts]
    stream.sort()
    minutes, marks = np.array([at for at, _, _ in stream]), [mark for _, _, mark in stream]
    found, alarms = _look(minutes, marks, embed([text for _, text, _ in stream]))
    late = [found[n] - starts[n] for n in found]
    return [
        Row("surge", f"{name}, {size} in 20 min: found", 100 * len(found) / surges, "%", Target(at_least=90)),
        Row("surge", f"{name}, {size} in 20 min: found within 15 min", 100 * sum(m <= 15 for m in late) / surges, "%",
            Target(at_least=90)),
        Row("surge", f"{name}, {size} in 20 min: median of those found", float(np.median(late or [0])), "min"),
        Row("surge", f"{name}, {size} in 20 min: false alarms in a week", alarms, "alarms", Target(at_most=1)),
    ]  # fmt: skip


def _arrivals(random: Random) -> list[float]:
    """Nine in ten on working days from 8 to 18, the others at any time."""
    days = [day for day in range(WEEKS * 7) if day % 7 < 5]
    office = [random.choice(days) * DAY + 480 + random.random() * 600 for _ in range(int(0.9 * PER_DAY * len(days)))]
    return office + [random.random() * WEEKS * 7 * DAY for _ in range(int(0.1 * PER_DAY * len(days)))]


def _alike(tickets: Sequence[Text], size: int, random: Random) -> list[str]:
    by_subject: dict[str, list[str]] = defaultdict(list)
    for about, text in tickets:
        by_subject[about].append(text)
    return random.choice([texts for _, texts in sorted(by_subject.items()) if len(texts) >= size])


def _look(
    minutes: NDArray[np.float64], marks: Sequence[int], vectors: NDArray[np.float32]
) -> tuple[dict[int, float], int]:
    """By surge the minute at which it was found; alarms that are about none, told once until it is quiet."""
    found: dict[int, float] = {}
    alarms, quiet_until = 0, 0.0
    for at in range(len(minutes)):
        now = minutes[at]
        if now < 14 * DAY or (at + 1 < len(minutes) and minutes[at + 1] < now + 1):
            continue  # the worker looks once a minute
        first = int(np.searchsorted(minutes, now - RULES.minutes))
        oldest = int(np.searchsorted(minutes, now - RULES.past_days * DAY))
        lately, past = np.arange(first, at + 1), np.arange(oldest, first)
        span = now - RULES.minutes - minutes[past[0]]
        for surge in find(vectors[lately], vectors[past][-PAST_MAX:], span, RULES):
            told = [marks[lately[row]] for row in surge.members]
            about = max(set(told), key=told.count)
            if about >= 0:
                found.setdefault(about, float(now))
            elif now > quiet_until:
                alarms, quiet_until = alarms + 1, now + RULES.quiet_minutes
    return found, alarms
