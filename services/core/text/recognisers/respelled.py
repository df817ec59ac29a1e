"""Values written around their usual form: addresses without their sign, cards over two lines, numbers in words."""

import re
from collections.abc import Iterator

from stdnum import luhn

from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span

_AT_WORD = r"(?:at|ät|arobase|arroba|chiocciola|apenstaartje|małpa)"
_AT = rf"(?: ?[(\[{{<] ?(?:{_AT_WORD}|@) ?[)\]}}>] ?)"
_DOMAIN = r"(?:[\w-]{1,63}\.){1,6}[^\W\d_][\w-]{1,30}"
_MAIL = re.compile(rf"(?<![\w.+-])[\w.+-]{{1,64}}{_AT}{_DOMAIN}", re.I)
# Without brackets only a name nobody would write as a word: "look at example.com" is a link.
_MAIL_SAID = re.compile(
    rf"(?<![\w.+-])(?=[\w.+-]{{0,63}}[\d._+])[^\W\d_][\w.+-]{{1,63}} {_AT_WORD} {_DOMAIN}(?![\w/])", re.I
)
# j o h n @ e x a m p l e . c o m
_MAIL_SPACED = re.compile(
    rf"(?<!\S)(?:[\w.+-] ){{2,64}}(?:@|{_AT}) ?(?:[\w-] |\. ){{2,64}}[^\W\d_](?![^\s.,;:!?)])", re.I
)
# Groups of four; between two of them one sign, and a line's end in place of any. Payment cards begin with 2 to 6.
_GAP = r"(?: ?[-–.,_·/|]{0,2} ?\n? ?)"
_CARD = re.compile(rf"(?<![\w.-])[2-6]\d{{3}}{_GAP}\d{{4}}{_GAP}\d{{4}}{_GAP}\d{{4}}(?:{_GAP}\d{{3}})?(?!\w|[.-]\d)")
_CARD_AMEX = re.compile(rf"(?<![\w.-])3[47]\d\d{_GAP}\d{{6}}{_GAP}\d{{5}}(?!\w|[.-]\d)")
_DIGIT_RUN_MIN = 5  # fewer are a count, a floor, a version
_WORD = re.compile(r"[^\W\d_]{1,16}")
_BETWEEN_DIGITS = frozenset((" ", ", ", "-", " - ", ",", ". ", "\n"))
_HANDLE = re.compile(r"(?<![^\s(,;:\"'])@(?P<name>[a-z](?:[\w-]|\.(?=\w)){2,38})(?![\w/(\\@]|\.\w|\[)")
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_FILE_DATE = re.compile(
    rf"(?<=[\w-][_-])(?:{_YEAR}(?P<a>[-_.]?){_MONTH}(?P=a){_DAY}|{_DAY}(?P<b>[-_.]?){_MONTH}(?P=b){_YEAR})(?=[_-]\w|\.[a-z]\w{{1,4}}\b)",
    re.I,
)


class Respelled:
    """EMAIL_ADDRESS, CREDIT_CARD, PHONE_NUMBER, USERNAME and DATE_TIME in forms their own recognisers do not know."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for pattern in (_MAIL, _MAIL_SAID, _MAIL_SPACED):
            yield from (Span(*match.span(), "EMAIL_ADDRESS") for match in pattern.finditer(text))
        for pattern in (_CARD, _CARD_AMEX):
            for match in pattern.finditer(text):
                if luhn.is_valid(re.sub(r"\D", "", match.group())):
                    yield Span(*match.span(), "CREDIT_CARD")
        for match in _HANDLE.finditer(text) if "@" in text else ():
            if match["name"].lower() not in words("not_handles"):
                yield Span(*match.span("name"), "USERNAME")
        yield from (Span(*match.span(), "DATE_TIME") for match in _FILE_DATE.finditer(text))
        yield from _in_words(text)


def _in_words(text: str) -> Iterator[Span]:
    """Runs of digits in words, of any of the eight languages: a number somebody dictated."""
    first = last = None
    count = 0
    for match in _WORD.finditer(text):
        if match.group().lower() not in words("digits"):
            continue
        if first is not None and last is not None and text[last : match.start()] in _BETWEEN_DIGITS:
            last, count = match.end(), count + 1
            continue
        if first is not None and last is not None and count >= _DIGIT_RUN_MIN:
            yield Span(first, last, "PHONE_NUMBER")
        first, last, count = match.start(), match.end(), 1
    if first is not None and last is not None and count >= _DIGIT_RUN_MIN:
        yield Span(first, last, "PHONE_NUMBER")
