"""
What explaining a review costs: the router's processor time for the words that mattered, on a router in this process.

As `services.worker.explain` asks it: the text, then the text without each of its first words, in batches. The nearest
past tickets are one statement beside it and not in here.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean

from services.core.models import words
from services.core.models.bundle import RouterModel, load_bundle
from services.core.models.texts import join_text
from services.local.mock.tickets import live
from services.worker.explain import ASK_BATCH
from tests.bench.report import Row

ROOM = "explain"
SEED = 3


def measure(bundle: Path, *, reviews: int) -> list[Row]:
    model = load_bundle(bundle)
    texts = [join_text(ticket.subject, ticket.body) for ticket in islice(live(SEED), reviews)]
    model.infer(texts[:1])  # the first pass allocates
    routed = _cpu_ms(lambda: [model.infer([text]) for text in texts]) / len(texts)
    explained = _cpu_ms(lambda: [explain(model, text) for text in texts]) / len(texts)
    asked = fmean(1 + len(words.without_each_word(text)) for text in texts)
    long = "\n".join(texts)[:4_000]
    return [
        Row(ROOM, "one ticket routed", routed, "ms"),
        Row(ROOM, "texts asked for one review", asked, "texts"),
        Row(ROOM, "one review explained", explained, "ms"),
        Row(ROOM, "one of 4,000 characters explained", _cpu_ms(lambda: explain(model, long)), "ms"),
    ]


def explain(model: RouterModel, text: str) -> dict[str, tuple[str, ...]]:
    """The words that mattered for the first three groups."""
    (whole,) = model.predict([text])
    parts = words.without_each_word(text)
    names, found = list(parts), {}
    for at in range(0, len(names), ASK_BATCH):
        some: Sequence[str] = names[at : at + ASK_BATCH]
        found |= dict(zip(some, model.predict([parts[name] or "(empty)" for name in some]), strict=True))
    return words.that_mattered([scored.group for scored in whole.top], whole, found)


def _cpu_ms(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000
