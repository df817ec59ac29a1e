"""Where phrases of a list stand in a text, as whole words, in any case: one look-up a word, however long it is."""

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W_]+")
_BLANKS = re.compile(r"\s+")


class Phrases:
    """An index by first word; the longest phrase wins."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_first: dict[str, list[re.Pattern[str]]] = {}
        for phrase in sorted(phrases, key=len, reverse=True):
            first = _WORD.search(phrase)
            if first:
                self._by_first.setdefault(first.group().lower(), []).append(_whole(phrase, first.start()))

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each, in order, without overlaps."""
        position = 0
        for word in _WORD.finditer(text):
            if word.start() < position:
                continue
            for phrase in self._by_first.get(word.group().lower(), ()):
                if match := phrase.match(text, word.start()):
                    yield match.span()
                    position = match.end()
                    break


def _whole(phrase: str, first: int) -> re.Pattern[str]:
    words = r"\s{1,3}".join(map(re.escape, _BLANKS.split(phrase[first:])))
    return re.compile(rf"{words}(?![^\W_])", re.I)
