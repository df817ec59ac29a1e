"""Countries, regions, large cities and nationalities from word lists; smaller places are the name recogniser's work."""

import re
from collections.abc import Iterator
from functools import cache

from services.core.text.recognisers.lexicon import phrases, places, words
from services.core.text.recognisers.name_cues import LINK, WORD
from services.core.text.recognisers.names import is_ordinary_word, is_technical
from services.core.text.recognisers.span import Span

_WORD = re.compile(r"[^\W\d_]+(?:[-.'’][^\W\d_]+)*")

_PLACE = rf"(?P<place>{WORD}(?:[ -](?:{LINK} ){{0,2}}{WORD}){{0,2}})"
_CUES = (
    r"travel(?:l?ing|s)? to|flew to|fly(?:ing)? to|flight to|based in|located in|lives? in|living in|lived in"
    r"|offices? in|moved to|born in"
    r"|home (?:city|town)|city of|town of|village of|visit(?:ing)?|branch in|site in"
    r"|wohnhaft in|wohnt in|standort|filiale(?: in)?|niederlassung(?: in)?|zweigstelle(?: in)?|büro in"
    r"|habite à|site de|(?:imprimante|serveur|poste|équipe|usine|magasin|entrepôt|impresora|servidor|equipo"
    r"|almacén|planta|fábrica) de|agence de|bureau de|ville de|succursale de|oficina de|sede de|sucursal de"
    r"|ciudad de|vive en|tienda de"
)
# A bare preposition before a capital: a place in French and Spanish; in German also a noun, mostly told by its ending.
_PREPOSITION = {
    "de": r"(?:in|aus|nach) (?!\w*(?:ung|ungen|heit|keit|schaft|tion|tionen|tät|nis|ment|ing|enz|anz|ie|ik|ur"
    r"|form|weise)\b|(?!\w*(?:ing|haus|hof|kirch|stett|sieg|brem|burg|bad)en\b)\w+en\b)",
    "fr": r"(?:à|À) ",
    "es": r"(?:en|desde) ",
}
_ZIP_AFTER = re.compile(r"(?: \([^()\n]{1,20}\))?,? (\d{4,6})\b(?![.,]\d)")
_CUED = re.compile(rf"\b(?i:{_CUES}) {_PLACE}")
_AFTER_PREPOSITION = {language: re.compile(rf"(?<!\w){words_}{_PLACE}") for language, words_ in _PREPOSITION.items()}

_LANGUAGE_BEFORE = re.compile(
    r"\b(?:in|into|to|from|speaks?|auf|ins|en|language|locale|translat\w{2,4})[:=]? [\"'(]?$", re.I
)
_LANGUAGE_AFTER = re.compile(
    r"[\"')]? (?:language|locale|translations?|version|texts?|keyboard|layout|letters?|characters?|words?|umlauts?|docs"
    r"|documentation|spelling|grammar|alphabet|speak(?:er|ing)s?|model|dictionary|wikipedia|names?|sentences?)\b",
    re.I,
)


class Places:
    """LOCATION and NRP; capitalised, or in any case when the whole text has no capitals."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        any_case = text.islower()
        lower = text.lower()
        yield from _cued(_CUED, text)
        if language in _AFTER_PREPOSITION:
            yield from _cued(_AFTER_PREPOSITION[language], text)
        same_length = len(lower) == len(text)  # "İ".lower() is longer: then places are matched word by word only
        for match in _WORD.finditer(text):
            if not (any_case or text[match.start()].isupper()):
                continue
            if end := _place_end(lower, match) if same_length else 0:
                yield Span(match.start(), end, "LOCATION")
                if zip_code := _ZIP_AFTER.match(text, end):
                    yield Span(*zip_code.span(1), "ZIP_CODE")
            elif match.group().lower() in words("peoples") and not is_language(text, *match.span()):
                yield Span(match.start(), match.end(), "NRP")


def _cued(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if not any(is_ordinary_word(word) or is_technical(word) for word in match["place"].split()):
            yield Span(*match.span("place"), "LOCATION")


def is_language(text: str, start: int, end: int) -> bool:
    """What stands around says that the word is a language: "in German", "the Spanish translation"."""
    return bool(_LANGUAGE_BEFORE.search(text[max(0, start - 24) : start]) or _LANGUAGE_AFTER.match(text, end))


def is_place(name: str) -> bool:
    """The name is a country, region or large city."""
    return name.lower() in places()


def _place_end(lower: str, match: re.Match[str]) -> int:
    for phrase in _by_first_word().get(lower[match.start() : match.end()], ()):
        end = match.start() + len(phrase)
        if lower.startswith(phrase, match.start()) and not lower[end : end + 1].isalnum():
            return end
    return 0


@cache
def _by_first_word() -> dict[str, tuple[str, ...]]:
    index: dict[str, tuple[str, ...]] = {}
    for phrase in phrases("places"):
        lower = phrase.lower()
        first = _WORD.match(lower)
        if first:
            index[first.group()] = (*index.get(first.group(), ()), lower)
    return index
