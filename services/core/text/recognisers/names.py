"""
People's names by what stands around them (greeting, title, signature) and by known first and family names.

Works without a model, so German, French and Spanish are covered by default and a text too long for the model is too.
"""

import re
from collections.abc import Iterable, Iterator

from services.core.text.recognisers import name_cues as cues
from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span

_WORD = re.compile(cues.WORD + r"|[^\W\d_]+")
_SHORTEST = 3  # a word of one or two letters is no name on its own


class Names:
    """PERSON by cue, first name or family name, and the TITLE before it."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for pattern in cues.LOWER_CUES if text.islower() else cues.CUES:
            for match in pattern.finditer(text):
                yield from _until_ordinary(text, *match.span(1))
        yield from _titled(text)
        yield from _by_first_name(text)
        yield from _by_family_name(text)
        yield from _enumerated(text)


def mentions(text: str, people: Iterable[str]) -> Iterator[Span]:
    """Every other place where a part of a known person's name stands: "Kreutzmann" after "Jens Kreutzmann"."""
    known = {word for person in people for word in _WORD.findall(person) if _is_name_like(word)}
    if known:  # a word that is also written small in this text is no name: "Run", "Model"
        known -= {word.capitalize() for word in re.findall(r"[^\W\d_]+", text) if word.islower()}
    for match in _WORD.finditer(text) if known else ():
        if match.group() in known:
            yield Span(match.start(), match.end(), "PERSON")


def is_ordinary_word(word: str) -> bool:
    """The word may be capitalised but names nobody."""
    return word.lower() in words("not_names")


def is_technical(word: str) -> bool:
    """The word names a product or a technical thing, and nobody is called so."""
    lower = word.lower()
    return lower in words("technology") and lower not in words("first_names")


def is_first_name(word: str) -> bool:
    """The word is a first name and nothing else."""
    lower = word.lower()
    if "-" in lower and all(part in words("first_names") for part in lower.split("-")):
        return True
    return lower in words("first_names") and lower not in words("ambiguous_names")


def _is_name_like(word: str) -> bool:
    return len(word) >= _SHORTEST and word[0].isupper() and not is_ordinary_word(word) and not is_technical(word)


def _titled(text: str) -> Iterator[Span]:
    for match in cues.TITLED.finditer(text):
        people = list(_until_ordinary(text, *match.span(2)))
        yield from people
        if people:
            yield Span(*match.span(1), "TITLE")


def _by_first_name(text: str) -> Iterator[Span]:
    any_case = text.islower()
    for match in _WORD.finditer(text):
        word = match.group()
        if not (word[0].isupper() or any_case) or len(word) < _SHORTEST:
            continue
        following = cues.FOLLOWING.match(text, match.end())
        if is_first_name(word):
            yield from _until_ordinary(text, match.start(), following.end() if following else match.end())
        elif following and word.lower() in words("ambiguous_names"):
            yield from _with_family_name(text, match.start(), following)


def _with_family_name(text: str, start: int, following: re.Match[str]) -> Iterator[Span]:
    next_word = following.group().split()[0]
    if not is_ordinary_word(next_word) and not is_technical(next_word):
        yield from _until_ordinary(text, start, following.end())


def _by_family_name(text: str) -> Iterator[Span]:
    for match in cues.PAIR.finditer(text):
        if cues.FAMILY_NAME.fullmatch(match.group(2)) and all(map(_is_name_like, match.groups())):
            yield Span(match.start(), match.end(), "PERSON")


def _enumerated(text: str) -> Iterator[Span]:
    """All of "Romi, Erik and Amy" when half of them are known first names."""
    for match in (cues.LOWER_ENUMERATION if text.islower() else cues.ENUMERATION).finditer(text):
        items = [item for item in _WORD.finditer(text, *match.span()) if item.group().lower() not in cues.AND]
        if sum(is_first_name(item.group()) for item in items) * 2 >= len(items):
            yield from (Span(*item.span(), "PERSON") for item in items if not is_ordinary_word(item.group()))


def _until_ordinary(text: str, start: int, end: int) -> Iterator[Span]:
    """The name up to the first word that is none; nothing when the first is already none."""
    for match in re.finditer(r"\S+", text[start:end]):
        word = match.group().strip(".,'’")
        if (is_ordinary_word(word) or is_technical(word)) and word not in cues.LINKS:
            end = start + match.start()
            break
    if end > start:
        yield Span(start, end, "PERSON")
