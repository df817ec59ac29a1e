"""Sentences worth quoting and words worth tagging, taken from a ticket without changing a word."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import yaml

from services.core.llm.lexicon import WORD, fold

WORDS_FILE = Path(__file__).with_name("words.yaml")
SCAN_MAX_CHARS = 20_000  # what a person would read before writing the summary; keeps 1 MB bodies cheap
SENTENCES_MAX = 200
SENTENCE_MAX_CHARS = 400
SENTENCE_MIN_WORDS = 3
SMALL_TALK_MAX_CHARS = 60  # a longer line that begins with a greeting goes on to say something
TAG_MIN_CHARS, TAG_MAX_CHARS = 3, 30
SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")
QUOTED = (">", "--", "__", "==", "***", "|")
PLACEHOLDER = re.compile(r"[<\[{][A-Z][A-Z0-9_ -]{0,40}[>\]}]")


@dataclass(frozen=True)
class Words:
    """The lists of `words.yaml`, all languages together; `done` are beginnings of words, with their lengths."""

    stop: frozenset[str]
    done: frozenset[str]
    done_lengths: tuple[int, ...]
    greeting: re.Pattern[str]
    small_talk: re.Pattern[str]


@cache
def read_words(path: Path = WORDS_FILE) -> Words:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    done = frozenset(word for line in data["done"].values() for word in line.split())
    return Words(
        stop=frozenset(word for line in data["stop"].values() for word in line.split()),
        done=done,
        done_lengths=tuple(sorted({len(stem) for stem in done})),
        greeting=_begins_with(data["greeting"]),
        small_talk=_begins_with(data["greeting"], data["closing"]),
    )


def sentences(text: str) -> list[str]:
    """Sentences that say something, in order, each cut at a word's end to 400 characters."""
    lines = (line.strip() for line in text[:SCAN_MAX_CHARS].splitlines())
    parts = (part for line in lines for part in SENTENCE_END.split(_without_greeting(line)))
    return [_cut(part) for part in islice(filter(_says_something, parts), SENTENCES_MAX)]


def reports_action(sentence: str) -> bool:
    """True when a word of the sentence says that something was done: restarted, ersetzt, corrigé, actualizado."""
    words, folded = read_words(), _fold_all(WORD.findall(sentence))
    return any(word[:length] in words.done for word in folded for length in words.done_lengths)


def lead(text: str) -> str:
    """The first sentence that says something; measured against others in `evaluate.py`."""
    return next(iter(sentences(text)), "")


def keywords(title: str, text: str, *, limit: int = 2) -> tuple[str, ...]:
    """
    One or two adjacent words each, as written in the ticket, most telling first.

    A word counts by how often it is said, three times over when the title says it; pairs from the title count double.
    """
    title_words = _content_words(title)
    counts = Counter(_fold_all(_content_words(text[:SCAN_MAX_CHARS])))
    for word in title_words:
        counts[fold(word)] += 3
    candidates = [*_pairs(title), *title_words, *_content_words(text[:SCAN_MAX_CHARS])]
    ranked = sorted(dict.fromkeys(candidates), key=lambda tag: -sum(counts[fold(word)] for word in tag.split()))
    return tuple(islice(_without_overlap(ranked), limit))


def _says_something(line: str) -> bool:
    plain = PLACEHOLDER.sub("x", line)
    if sum(1 for _ in islice(WORD.finditer(plain), SENTENCE_MIN_WORDS)) < SENTENCE_MIN_WORDS:
        return False
    return not plain.startswith(QUOTED) and not (len(plain) <= SMALL_TALK_MAX_CHARS and _is_small_talk(plain))


def _is_small_talk(line: str) -> bool:
    return bool(read_words().small_talk.match(_fold_start(line)))


def _without_greeting(line: str) -> str:
    """`Hi team, the VPN is down` without its first words, when a comma or exclamation mark ends them."""
    if not read_words().greeting.match(_fold_start(line)):
        return line
    head, mark, rest = line[:SMALL_TALK_MAX_CHARS].partition("," if "," in line[:SMALL_TALK_MAX_CHARS] else "!")
    return (rest + line[SMALL_TALK_MAX_CHARS:]).strip() if mark and len(head.split()) <= 4 else line


def _fold_start(line: str) -> str:
    return "".join(fold(char) for char in line[:SMALL_TALK_MAX_CHARS])


def _begins_with(*lists: dict[str, list[str]]) -> re.Pattern[str]:
    phrases = sorted({phrase for by_language in lists for phrases in by_language.values() for phrase in phrases})
    return re.compile("(?:" + "|".join(map(re.escape, phrases)) + r")(?!\w)")


def _cut(sentence: str) -> str:
    if len(sentence) <= SENTENCE_MAX_CHARS:
        return sentence
    head = sentence[:SENTENCE_MAX_CHARS]
    return head.rsplit(None, 1)[0] if sentence[SENTENCE_MAX_CHARS : SENTENCE_MAX_CHARS + 1].strip() else head.rstrip()


def _content_words(text: str) -> list[str]:
    return [word for word in _words(text) if _is_content(word)]


def _words(text: str) -> list[str]:
    return WORD.findall(PLACEHOLDER.sub(" ", text))


def _is_content(word: str) -> bool:
    usual = TAG_MIN_CHARS <= len(word) <= TAG_MAX_CHARS and word[0].isalpha()
    return usual and fold(word) not in read_words().stop


def _pairs(title: str) -> Iterator[str]:
    """Adjacent content words of the title, only a space between them."""
    for chunk in re.split(r"[^\w ]+", PLACEHOLDER.sub(",", title)):
        for left, right in pairwise(chunk.split(" ")):
            if _is_content(left) and _is_content(right):
                yield f"{left} {right}"


def _fold_all(words: Sequence[str]) -> Iterator[str]:
    return (fold(word) for word in words)


def _without_overlap(tags: Sequence[str]) -> Iterator[str]:
    said: set[str] = set()
    for tag in tags:
        words = set(_fold_all(tag.split()))
        if not words & said:
            said |= words
            yield tag.lower()
