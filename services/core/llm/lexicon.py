"""Finds the cues of impact and urgency (`lexicon.yaml`) in a text, in one pass over its words."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import yaml

from services.core.contracts.priority import Level

Axis = Literal["impact", "urgency"]

LEXICON_FILE = Path(__file__).with_name("lexicon.yaml")
HIGH_FROM, LOW_TO = 2, -1  # one strong cue (3) or two weak ones (1) make an axis high, one that lowers makes it low
WORD_MAX_CHARS = 40  # longer runs are base64 or hashes: no cue, and nothing to keep in a cache
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Cue:
    name: str
    axis: Axis
    weight: int


@dataclass(frozen=True)
class Found:
    """A cue and the words that gave it away, as they stand in the text."""

    cue: Cue
    quote: str


@dataclass(frozen=True)
class Lexicon:
    """
    Phrases by their first word, so that a word of the text costs one or few look-ups.

    `exact` and `stems` hold (the phrase's words, its cues), longest phrase first; a word ending in `*` is a stem.
    """

    exact: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[Cue, ...]]]]
    stems: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[Cue, ...]]]]
    stem_lengths: tuple[int, ...]


@cache
def read_lexicon(path: Path = LEXICON_FILE) -> Lexicon:
    cues_of: dict[tuple[str, ...], tuple[Cue, ...]] = {}
    for row in yaml.safe_load(path.read_text(encoding="utf-8"))["cues"]:
        cue = Cue(row["name"], row["axis"], row["weight"])
        for phrase in {phrase for phrases in row["phrases"].values() for phrase in phrases}:
            words = tuple(phrase.split())
            cues_of[words] = (*cues_of.get(words, ()), cue)
    exact, stems = {}, {}
    for words, cues in sorted(cues_of.items(), key=lambda item: -len(item[0])):
        first = words[0]
        (stems if first.endswith("*") else exact).setdefault(first.rstrip("*"), []).append((words, cues))
    return Lexicon(exact, stems, tuple(sorted({len(stem) for stem in stems}, reverse=True)))


def find_cues(text: str, lexicon: Lexicon) -> list[Found]:
    """Every cue in `text`, each once, in the order first met. Linear in the length of the text."""
    spans = [(match.start(), match.end()) for match in WORD.finditer(text)]
    words = [fold(text[start:end]) for start, end in spans]
    found: dict[Cue, Found] = {}
    at = 0
    while at < len(words):
        length, cues = _longest(words, at, lexicon)
        for cue in cues:
            found.setdefault(cue, Found(cue, text[spans[at][0] : spans[at + length - 1][1]]))
        lowers = any(cue.weight < 0 for cue in cues)
        at += length if lowers else 1  # "not urgent" uses up "urgent"; "network is down" leaves "is down" to be found
    return list(found.values())


def level_of(found: Sequence[Found], axis: Axis) -> Level:
    """The level of one axis: the sum of its cues' weights against two thresholds."""
    score = sum(f.cue.weight for f in found if f.cue.axis == axis)
    if score >= HIGH_FROM:
        return "high"
    return "low" if score <= LOW_TO else "medium"


def fold(word: str) -> str:
    """A word without case and accents, cut at 40 characters: `Straße` -> `strasse`, `Zürich` -> `zurich`."""
    word = word[:WORD_MAX_CHARS]
    return word.lower() if word.isascii() else _fold_accents(word)


@lru_cache(maxsize=16_384)
def _fold_accents(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


def _longest(words: Sequence[str], at: int, lexicon: Lexicon) -> tuple[int, tuple[Cue, ...]]:
    best: tuple[int, tuple[Cue, ...]] = (1, ())
    for phrase, cues in _phrases_from(words[at], lexicon):
        here = words[at : at + len(phrase)]
        longer = len(phrase) > best[0] or not best[1]
        if longer and len(here) == len(phrase) and all(map(_fits, phrase, here)):
            best = (len(phrase), cues)
    return best


def _phrases_from(word: str, lexicon: Lexicon) -> Iterator[tuple[tuple[str, ...], tuple[Cue, ...]]]:
    yield from lexicon.exact.get(word, ())
    for length in lexicon.stem_lengths:
        yield from lexicon.stems.get(word[:length], ())


def _fits(pattern: str, word: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern
