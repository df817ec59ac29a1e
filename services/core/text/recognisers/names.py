"""
People's names by what stands around them (greeting, title, signature) and by known first and family names.

Works without a model, so German, French and Spanish are covered by default and a text too long for the model is too.
"""

import re
from collections.abc import Iterable, Iterator

from services.core.text.recognisers import name_cues as cues
from services.core.text.recognisers.lexicon import places, words
from services.core.text.recognisers.span import Span, is_small
from services.core.text.vocabulary import is_word

_WORD = re.compile(cues.WORD + r"|[^\W\d_]+")
_SMALL_FOLLOWING = re.compile(r" ([^\W\d_]{2,20}(?:['’-][^\W\d_]{2,20})?)(?!\w)")
_SHORTEST_MISTYPED = 4
_SHORTEST = 3  # a word of one or two letters is no name on its own


class Names:
    """PERSON by cue, first name or family name, and the TITLE before it."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for pattern in cues.CUES:
            for match in pattern.finditer(text):
                yield from _until_ordinary(text, *match.span(1))
        for pattern in cues.LOWER_CUES:
            for match in pattern.finditer(text):
                yield from _uncommon(text, *match.span(1))
        yield from _titled(text)
        yield from _by_first_name(text)
        yield from _by_family_name(text)
        yield from _family_name_first(text)
        yield from _signed(text)
        yield from _greeted_or_signed_in_small(text)
        yield from _asked_in_small(text)
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


def is_mistyped(word: str) -> bool:
    """An everyday word with two letters swapped or one doubled: "Prinitng", "fuull"."""
    lower = word.lower()
    if len(lower) < _SHORTEST_MISTYPED or lower in words("first_names") or lower in words("family_names"):
        return False
    swapped = (lower[:at] + lower[at + 1] + lower[at] + lower[at + 2 :] for at in range(len(lower) - 1))
    single = (lower[:at] + lower[at + 1 :] for at in range(len(lower) - 1) if lower[at] == lower[at + 1])
    return any(is_ordinary_word(meant) or is_technical(meant) for meant in (*swapped, *single))


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
    any_case = is_small(text)
    for match in _WORD.finditer(text):
        word = match.group()
        if not (word[0].isupper() or any_case) or len(word) < _SHORTEST:
            continue
        if word[0].islower():
            yield from _first_name_in_small(text, match)
            continue
        following = cues.FOLLOWING.match(text, match.end())
        if is_first_name(word):
            yield from _until_ordinary(text, match.start(), following.end() if following else match.end())
        elif following and word.lower() in words("ambiguous_names"):
            yield from _with_family_name(text, match.start(), following)


def _first_name_in_small(text: str, first: re.Match[str]) -> Iterator[Span]:
    """ "sylwia larsson": the next word belongs to it when no common word, or when the first is none without it."""
    following = _SMALL_FOLLOWING.match(text, first.end())
    family = following.group(1) if following else ""
    is_word = first.group() in words("names_that_are_words")
    has_family_name = family in words("family_names") if is_word else bool(family) and not _is_common(family)
    if is_first_name(first.group()) and (has_family_name or not is_word):
        yield Span(first.start(), following.end() if following and has_family_name else first.end(), "PERSON")
    elif following and first.group() in words("ambiguous_names") and following.group(1) in words("family_names"):
        yield Span(first.start(), following.end(), "PERSON")


def _is_common(word: str) -> bool:
    lower = word.lower()
    return lower in words("not_names") or lower in words("not_values") or lower in words("technology")


def _uncommon(text: str, start: int, end: int) -> Iterator[Span]:
    """The words as long as none is common; nothing when the first is."""
    last = start
    for match in re.finditer(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text[start:end]):
        if _is_common(match.group()):
            break
        last = start + match.end()
    if last > start:
        yield Span(start, last, "PERSON")


def _with_family_name(text: str, start: int, following: re.Match[str]) -> Iterator[Span]:
    next_word = following.group().split()[0]
    if not is_ordinary_word(next_word) and not is_technical(next_word):
        yield from _until_ordinary(text, start, following.end())


def _by_family_name(text: str) -> Iterator[Span]:
    for match in cues.PAIR.finditer(text):
        family = match.group(2)
        known = cues.FAMILY_NAME.fullmatch(family) or family.lower() in words("family_names")
        if known and all(map(_is_name_like, match.groups())) and match.group().lower() not in places():
            yield Span(match.start(), match.end(), "PERSON")


def _family_name_first(text: str) -> Iterator[Span]:
    """ "Öztürk, Mehmet": one of the two is known, or a word that persons follow stands before."""
    for match in cues.REVERSED.finditer(text):
        family, first = match["family"], match["first"]
        if not (_is_name_like(family.split()[-1]) and _is_name_like(first)):
            continue
        if family.lower() in places() or first.lower() in places():
            continue
        known = first.lower() in words("first_names") or family.lower() in words("family_names")
        if known or match["cue"]:
            yield Span(match.start("family"), match.end("first"), "PERSON")


def _signed(text: str) -> Iterator[Span]:
    """The last line, when it is nothing but two or three words that could be a name."""
    match = cues.LAST_LINE.search(text)
    if match and all(map(_is_name_like, re.findall(cues.WORD, match[1]))) and match[1].lower() not in places():
        yield Span(*match.span(1), "PERSON")


def _greeted_or_signed_in_small(text: str) -> Iterator[Span]:
    """Two or three words after a greeting, or after a closing at a line's end, in small letters."""
    for pattern in (cues.LOWER_GREETING, cues.LOWER_SIGNATURE):
        for match in pattern.finditer(text):
            if not cues.CLOSING.match(match[1]) and _could_be_a_name(_WORD.findall(match[1])):
                yield Span(*match.span(1), "PERSON")


def _asked_in_small(text: str) -> Iterator[Span]:
    """ "ask maria souza": a known first name and a word that is none, or any word and a known family name."""
    for match in cues.LOWER_ASKED.finditer(text):
        first, *rest = re.finditer(r"\S+", match[1])
        name, after = first.group(), [word for word in rest if not _is_common(word.group())]
        if not rest or len(after) < 1 or after[0] is not rest[0] or _is_common(name):
            continue
        if is_first_name(name) or (rest[0].group() in words("family_names") and not is_word(name, "en")):
            yield Span(match.start(1), match.start(1) + rest[0].end(), "PERSON")


def _could_be_a_name(parts: list[str]) -> bool:
    """No word is an everyday one; after a first name also words of the dictionary may follow: "mark baker"."""
    others = [part for part in parts if part not in cues.LINKS and not _is_known_name(part)]
    return not any(map(_is_common, others)) and (
        is_first_name(parts[0]) or not any(is_word(part, "en") for part in others)
    )


def _is_known_name(word: str) -> bool:
    return word.lower() in words("first_names") or word.lower() in words("family_names")


def _enumerated(text: str) -> Iterator[Span]:
    """All of "Romi, Erik and Amy" when half of them are known first names."""
    for match in (cues.LOWER_ENUMERATION if is_small(text) else cues.ENUMERATION).finditer(text):
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
