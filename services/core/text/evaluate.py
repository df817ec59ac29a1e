"""
How much personal data the redactor finds: recall and precision by entity and language, by overlap of spans.

A labelled span counts as found when any finding overlaps it (`any`), as named when one of the same kind does
(`recall`), and as whole when no letter or digit of it stays (`whole_recall`); a finding counts as right when it
overlaps a labelled span of its kind (`precision`).
"""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.core.kit.errors import InputInvalid
from services.core.text.recognisers.span import Span
from services.core.text.redact import Redactor

# What other label sets call our entities.
SAME_AS = {
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "CITY": "LOCATION",
    "PER": "PERSON",
    "ORG": "ORGANIZATION",
    "DOMAIN_NAME": "URL",
    "ADDRESS": "STREET_ADDRESS",
    "DATE": "DATE_TIME",
    "PASSWORD": "SECRET",
}


@dataclass(frozen=True)
class LabelledText:
    id: str
    language: str
    text: str
    spans: tuple[Span, ...]


@dataclass
class EntityScore:
    """Counts for one entity; the ratios are 0.0 when there is nothing to count."""

    labelled: int = 0
    found: int = 0
    named: int = 0
    whole: int = 0
    predicted: int = 0
    right: int = 0

    def as_row(self) -> dict[str, float | int]:
        return {
            "labelled": self.labelled,
            "any_recall": _ratio(self.found, self.labelled),
            "recall": _ratio(self.named, self.labelled),
            "whole_recall": _ratio(self.whole, self.labelled),
            "predicted": self.predicted,
            "precision": _ratio(self.right, self.predicted),
        }


@dataclass
class LanguageScore:
    """`cpu_ms_per_text` is processor time of `redact`, what production calls; of this thread, whatever else runs."""

    texts: int = 0
    cpu_s: float = 0.0
    entities: dict[str, EntityScore] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        scores = self.entities.values()
        labelled = sum(score.labelled for score in scores)
        return {
            "texts": self.texts,
            "cpu_ms_per_text": round(1000 * self.cpu_s / self.texts, 2) if self.texts else 0.0,
            "any_recall": _ratio(sum(score.found for score in scores), labelled),
            "entities": {entity: score.as_row() for entity, score in sorted(self.entities.items())},
        }


def read_labelled(path: Path) -> Iterator[LabelledText]:
    """
    The texts of a .jsonl or .jsonl.gz file with `{id, lang, text, spans: [{start, end, label}]}` per line.

    Raises:
        InputInvalid: the file cannot be read, or a line is not of that form.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, EOFError) as exc:
        raise InputInvalid(f"'{path}' cannot be read: {exc}. Give a .jsonl or .jsonl.gz file.") from exc


def evaluate(redactor: Redactor, texts: Iterable[LabelledText]) -> dict[str, LanguageScore]:
    """The score of every language that occurs, in the order of first occurrence."""
    scores: dict[str, LanguageScore] = {}
    for labelled in texts:
        score = scores.setdefault(labelled.language, LanguageScore())
        started_s = time.thread_time()
        redactor.redact(labelled.text, labelled.language)
        score.cpu_s += time.thread_time() - started_s
        found = redactor.find(labelled.text, labelled.language)
        score.texts += 1
        _count(score, labelled, found)
    return scores


def _parse(line: str, where: str) -> LabelledText:
    try:
        row = json.loads(line)
        spans = tuple(Span(s["start"], s["end"], SAME_AS.get(s["label"], s["label"])) for s in row["spans"])
        return LabelledText(str(row["id"]), row["lang"], row["text"], spans)
    except (ValueError, KeyError, TypeError) as exc:
        raise InputInvalid(
            f"{where} is not a labelled text ({exc!r}). "
            'Expected {"id", "lang", "text", "spans": [{"start", "end", "label"}]}.'
        ) from exc


def _count(score: LanguageScore, text: LabelledText, found: list[Span]) -> None:
    labelled = text.spans
    for span in labelled:
        entity = score.entities.setdefault(span.entity, EntityScore())
        hits = [other for other in found if _overlap(span, other)]
        entity.labelled += 1
        entity.found += bool(hits)
        entity.named += any(hit.entity == span.entity for hit in hits)
        entity.whole += _is_whole(text.text, span, hits)
    for entity, number in Counter(span.entity for span in found).items():
        score.entities.setdefault(entity, EntityScore()).predicted += number
    for span in found:
        score.entities[span.entity].right += any(
            span.entity == other.entity and _overlap(span, other) for other in labelled
        )


def _is_whole(text: str, span: Span, hits: list[Span]) -> bool:
    hidden = {place for hit in hits for place in range(hit.start, hit.end)}
    return all(place in hidden or not text[place].isalnum() for place in range(span.start, span.end))


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
