"""
Long numbers in a text that none of our languages is written in: we cannot read what they are, so they are somebody's.

A phone, an identity card or a passport is told from an order's number by the words around it. Dates and versions are
told by their shape, and left to those who know them.
"""

import re
from collections.abc import Iterator

from services.core.text.recognisers.span import Span

_SAMPLE_CHARS = 4_000  # a script shows in the first lines
_OURS = re.compile(r"[A-Za-z\u00c0-\u024f]")  # Latin, with the marks of our languages
_LETTER = re.compile(r"[^\W\d_]")
_FOREIGN_SHARE = 1 / 3  # of the letters: such texts are full of Latin product names
_NUMBER = re.compile(r"(?<![0-9.,:/-])\+?\d(?:[ .-]?\d){5,24}X?(?![0-9]|[.,:/-]\d)", re.ASCII)
_SAID_BY_SHAPE = re.compile(
    r"(?:19|20)\d\d[-. ][01]?\d[-. ][0-3]?\d|[0-3]?\d[-. ][01]?\d[-. ](?:19|20)\d\d|(?:\d{1,5}\.){1,}\d{1,6}"
)


class Unread:
    """NATIONAL_ID; six digits or more."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        if not is_unread(text):
            return
        for match in _NUMBER.finditer(text):
            if not _SAID_BY_SHAPE.fullmatch(match.group()):
                yield Span(match.start(), match.end(), "NATIONAL_ID")


def is_unread(text: str) -> bool:
    """Whether a good part of it is in another script than ours."""
    if text.isascii():
        return False
    letters = _LETTER.findall(text[:_SAMPLE_CHARS])
    return len(letters) - sum(map(bool, map(_OURS.match, letters))) > len(letters) * _FOREIGN_SHARE
