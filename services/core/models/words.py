"""Which words mattered: each is left out in turn, and the router is asked again. Holds for any model behind it."""

import re
from collections.abc import Iterator, Mapping, Sequence

from services.core.contracts.prediction import Prediction

WORD = re.compile(r"<[A-Z][A-Z_]*_\d{1,6}>|\w+")  # what the redactor put in place of a value is no word
WORDS_MAX = 40  # texts asked for one ticket; what comes later in a long one rarely decides
LETTERS_MIN = 3
DROP_MIN = 0.01  # of probability: less is rounding
SHOWN = 4


def without_each_word(text: str) -> dict[str, str]:
    """The first WORDS_MAX different words, each with the text from which every place of it is taken."""
    places: dict[str, list[tuple[int, int]]] = {}
    for start, end in _words(text):
        places.setdefault(text[start:end].casefold(), []).append((start, end))
    return {word: _without(text, found) for word, found in list(places.items())[:WORDS_MAX]}


def that_mattered(
    groups: Sequence[str], whole: Prediction, without: Mapping[str, Prediction]
) -> dict[str, tuple[str, ...]]:
    """For each group the words without which it is less likely, the weightiest first."""
    found = {}
    for group in groups:
        drops = {word: _chance(whole, group) - _chance(part, group) for word, part in without.items()}
        weighty = sorted((word for word, drop in drops.items() if drop >= DROP_MIN), key=lambda word: -drops[word])
        found[group] = tuple(weighty[:SHOWN])
    return found


def _words(text: str) -> Iterator[tuple[int, int]]:
    for match in WORD.finditer(text):
        word = match.group()
        if len(word) >= LETTERS_MIN and not word.startswith("<") and not word.isdecimal():
            yield match.span()


def _without(text: str, places: Sequence[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in places:
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]])


def _chance(prediction: Prediction, group: str) -> float:
    """A group that is not among the first three has at most as much as the third."""
    known = {scored.group: scored.probability for scored in prediction.top}
    return known.get(group, min(known.values()) if len(known) == 3 else 0.0)
