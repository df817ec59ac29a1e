"""
Phone numbers, precise enough that ticket ids, versions and amounts stay.

Presidio's recogniser accepts anything that one of its regions could dial: precision .08 with wide regions on help-desk
texts. Here a candidate needs evidence: a plus, an area code, the grouping of a country, or a word that says "phone".
"""

import re
from collections.abc import Iterator

from services.core.text.recognisers.span import Span

_CANDIDATE = re.compile(
    r"(?<![\w./@#=<\-+])(?<!\d[,:])(?:\+ ?|\()?\d[\d ()./\-–\u00a0]{4,24}\d"
    r"(?P<extension> ?(?:x|ext\.?|extension|poste|int\.|wew\.|ramal|Durchwahl) ?\d{1,6})?(?![\w@]|[.,:/-]\d)"
)
_BEFORE_CHARS, _AFTER_CHARS = 48, 12
_PHONE_WORD = re.compile(
    r"\b(?:phone|tele\w{3,8}|tel|cell\w{0,5}|mobile|mobil\w{0,8}|fax|call(?:ing|ed)?|dial|ring|text|sms"
    r"|whats ?app|reach\w{0,4}"
    r"|answering|messages?|registered|contact|hotline|extension|office"
    r"|telefon\w{0,8}|handy\w{0,8}|ruf\w{0,4}|anruf\w{0,3}|rückruf|durchwahl|erreich\w{0,6}|erreichbar"
    r"|tél\w{0,8}|portable|appel\w{0,4}|rappel\w{0,4}|joi[gn]\w{1,8}|numéro"
    r"|teléfono|móvil|fijo|llam\w{0,6}|llám\w{0,6}|localizable|contáct\w{0,6}"
    r"|telefoon\w{0,6}|mobiele?|bel(?:len)?|bereikbaar|cellulare|chiama\w{0,4}|telefono|recapito|numer|numerem"
    r"|komórk\w{0,4}"
    r"|zadzwo\w{0,6}|dzwoni\w{0,4}|telefone|telemóvel|celular|lig(?:ar|ue|uem)|whatsapp|my number(?: is)?"
    r"|meine nummer)\b",
    re.I,
)
_AFTER_WORD = re.compile(
    r"^[ -]{0,2}\(?(?:office|fax|mobile|cell|home|work|tel|phone|mobil|privat|portable|bureau)\b", re.I
)
# A number that follows one of these is an identifier, unless it is written with a plus.
_ID_WORD = re.compile(
    r"(?:ticket|order|invoice|case|ref(?:erence)?|incident|serial|version|ver|build|release|error|code|po|sku"
    r"|account|customer|id"
    r"|kb|port|item|part|policy|claim|iban|amount|total|card|asset|tag|rechnung\w*|kundennummer|auftrag\w*"
    r"|bestell\w*|fehler\w*"
    r"|vorgang\w*|commande|facture|client|dossier|erreur|pedido|factura|cliente|incidencia|tarjeta|karte|carte)"
    r"(?: ?(?:number|no|nr|nummer|num|id|is|ist|est|es|n°|número))?[ .:#-]{0,3}$",
    re.I,
)
_NANP = re.compile(r"^(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}$|^00?1[- ]\d{3}-\d{3}-\d{4}$")
_AREA_CODE = re.compile(r"^\(0?\d{1,5}\)[ /-]?\d[\d /-]{3,12}$")
_TRUNK_GROUPED = re.compile(r"^0\d{1,5}(?:[ ./-]\d{2,8}){1,5}$")  # 0490 75 40 81, 01.84.17.61.18, 0961-7596216
_NOT_A_PHONE = re.compile(
    r"^(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}\b|^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$|^\d+\.\d+$|^\d+ ?[–-] ?\d+$"
)
_NATIONAL_DIGITS = {"fr": (10, 10), "de": (10, 12), "en": (10, 11)}  # unseparated, with the leading zero


class Phones:
    """PHONE_NUMBER; 7 to 15 digits (E.164), international or as people of en, de, fr, es write them."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        for match in _CANDIDATE.finditer(text):
            number = match.group().removesuffix(match["extension"] or "").strip()
            if _is_phone(number, text, match.span(), language):
                yield Span(match.start(), match.end(), "PHONE_NUMBER")


def _is_phone(number: str, text: str, span: tuple[int, int], language: str) -> bool:
    digits = sum(map(str.isdigit, number))
    if not 7 <= digits <= 15 or number.count("(") != number.count(")"):
        return False
    if number.startswith("+"):
        return True
    before = text[max(0, span[0] - _BEFORE_CHARS) : span[0]]
    if _ID_WORD.search(before):
        return False
    if _NANP.match(number) or (_AREA_CODE.match(number) and digits >= 7) or _is_trunk(number, digits):
        return True
    if _is_unseparated_national(number, language):
        return True
    return _says_phone(before, text[span[1] : span[1] + _AFTER_CHARS]) and not (
        _NOT_A_PHONE.match(number) and not re.match(r"^\d{3}-\d{4}$", number)
    )


def _is_trunk(number: str, digits: int) -> bool:
    return (9 <= digits <= 13 and bool(_TRUNK_GROUPED.match(number))) or bool(
        re.match(r"^00[1-9]\d[\d ]{7,13}$", number)
    )


def _is_unseparated_national(number: str, language: str) -> bool:
    low, high = _NATIONAL_DIGITS.get(language, (99, 0))
    return number.isdigit() and number[0] == "0" and number[1] != "0" and low <= len(number) <= high


def _says_phone(before: str, after: str) -> bool:
    return bool(_PHONE_WORD.search(before) or _AFTER_WORD.match(after))
