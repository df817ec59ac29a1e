"""What hiding personal data costs: processor time of this thread for `redact`, as the worker calls it, and by stage."""

import statistics
import time
from collections.abc import Callable, Sequence

from services.core.text.exam.generate import exam
from services.core.text.language import detect_language
from services.core.text.normalise import normalise
from services.core.text.own_rules import OwnRules
from services.core.text.redact import RedactionConfig, build_redactor
from services.core.text.strict import strict
from tests.bench.report import Row

BATCH = 32


def measure(*, fillings: int, rounds: int) -> list[Row]:
    """Median of the rounds, milliseconds a ticket; the rules alone leave the name model out."""
    texts = list(exam("visible", fillings=fillings))
    english = [text.text for text in texts if text.language == "en"]
    others = [text.text for text in texts if text.language != "en"]
    whole, rules = build_redactor(own=OwnRules()), build_redactor(RedactionConfig(models={}), OwnRules())
    plain = [normalise(text) for text in english]
    hidden = [whole.redact(text).fields for text in english]
    long = ["\n".join(english[at : at + BATCH]) for at in range(0, len(english), BATCH)]

    def of(what: str, work: Callable[[Sequence], object], texts: Sequence) -> Row:
        return Row("redact", what, _ms_each(lambda: work(texts), len(texts), rounds), "ms")

    return [
        of("redact, English", lambda texts: [whole.redact(text) for text in texts], english),
        of("redact, seven other languages", lambda texts: [whole.redact(text) for text in texts], others),
        of("redact, English, rules alone", lambda texts: [rules.redact(text) for text in texts], english),
        of("redact, seven other languages, rules alone", lambda texts: [rules.redact(text) for text in texts], others),
        of(f"redact, English, {BATCH} in one call", lambda texts: list(_batches(whole.redact_many, texts)), english),
        of(f"redact, English, {BATCH} tickets as one long", lambda texts: [whole.redact(text) for text in texts], long),
        of("normalise", lambda texts: [normalise(text) for text in texts], english),
        of("language", lambda texts: [detect_language(text, "en") for text in texts], plain),
        of("strict, on top", lambda texts: [strict(fields, "en", OwnRules()) for fields in texts], hidden),
    ]


def _batches(redact_many: Callable, texts: Sequence[str]):
    for at in range(0, len(texts), BATCH):
        yield redact_many([{"text": text} for text in texts[at : at + BATCH]])


def _ms_each(work: Callable[[], object], count: int, rounds: int) -> float:
    work()  # dictionaries, caches
    return statistics.median(1_000 * _cpu_s(work) / count for _ in range(rounds))


def _cpu_s(work: Callable[[], object]) -> float:
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s
