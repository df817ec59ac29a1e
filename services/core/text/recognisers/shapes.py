"""Values told by shape and check digits alone: national and tax numbers, MACs, IMEIs, accounts, tokens."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from services.core.text.recognisers.span import Span


class Shape(NamedTuple):
    """`is_valid` judges what the pattern found; `languages`: empty for all."""

    entity: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool] | None = None
    languages: frozenset[str] = frozenset()


class Shapes:
    """Every shape of the table; each pattern is bounded."""

    def __init__(self) -> None:
        self._shapes = _shapes()

    def find(self, text: str, language: str) -> Iterator[Span]:
        digits = any(map(str.isdigit, text))
        for entity, pattern, is_valid, languages in self._shapes if digits else ():
            if languages and language not in languages:
                continue
            for match in pattern.finditer(text):
                value = match["value"]
                if is_valid is None or is_valid(value):
                    yield Span(*match.span("value"), entity)
        yield from _without_digits(text)


def _without_digits(text: str) -> Iterator[Span]:
    if "\\" in text or "/" in text:
        for entity, pattern in _ACCOUNTS:
            for match in pattern.finditer(text):
                yield Span(*match.span("value"), entity)
    for match in _SPELLED.finditer(text):
        yield Span(*match.span(), "EMAIL_ADDRESS")


_EDGE, _END = r"(?<![\w.-])", r"(?![\w-]|\.\w)"
_DOT = r"(?:dot|punkt|point|punto|punt|ponto|kropka)"
_AT = r"(?:at|ät|arobase|arroba|chiocciola|apenstaartje|małpa)"
_LABEL = r"[a-z0-9][\w-]{0,30}"
# x dot y at z dot com; also x [at] z [dot] com
_SPELLED = re.compile(
    rf"(?<![\w.])(?:{_LABEL} {{0,1}}[\[(]?\b{_DOT}\b[\])]? {{0,1}}){{0,3}}{_LABEL}(?:\.[\w-]{{1,30}}){{0,3}}"
    rf" ?(?:[\[(]{_AT}[\])]|\b{_AT}\b) ?"
    rf"{_LABEL}(?: ?[\[(]?\b{_DOT}\b[\])]? ?[a-z][\w-]{{1,20}}\b){{1,3}}",
    re.I,
)
_NO_ACCOUNT = r"(?!(?:HKLM|HKCU|HKEY\w*|SYSTEM32|WINDOWS|PROGRAMDATA|PROGRAM|USERS|TEMP|BIN|SRC|LIB|ETC|APPDATA)\b)"
_NOBODY = (
    r"(?!(?:public|default|all|shared|runner|travis|user|users|username|root"
    r"|ubuntu|administrator|admin|ec2-user|node|app|me|you|xxx)\b)"
)
_ACCOUNTS = (
    (
        "USERNAME",
        re.compile(
            rf"(?<![\w\\/:.%-])(?P<value>{_NO_ACCOUNT}[A-Z][A-Z0-9-]{{1,14}}\\[a-zA-Z][\w.-]{{1,30}})(?![\w\\])"
        ),
    ),
    (
        "USERNAME",
        re.compile(
            rf"(?<![\w\\/:.%-])(?P<value>{_NO_ACCOUNT}[a-z][a-z0-9-]{{1,14}}\\[a-z][a-z.]{{2,30}}\d{{0,4}})(?=[\s,;:]|\.\s|\.?$)",
            re.M,
        ),
    ),
    (
        "USERNAME",
        re.compile(
            rf"(?i:[a-z]:\\users\\|(?<![\w/.])/home/|(?<![\w/.])/users/|documents and settings\\)"
            rf"{_NOBODY}(?P<value>[\w.-]{{2,40}}\w)"
        ),
    ),
)


def _shapes() -> tuple[Shape, ...]:
    from stdnum import imei, luhn
    from stdnum.br import cnpj, cpf
    from stdnum.de import idnr
    from stdnum.es import cif, dni, nie
    from stdnum.eu import vat
    from stdnum.fr import nir, siret
    from stdnum.iso7064 import mod_97_10
    from stdnum.it import codicefiscale, iva
    from stdnum.nl import bsn
    from stdnum.pl import nip, pesel, regon

    def of(entity: str, pattern: str, is_valid: Callable[[str], bool] | None = None, *languages: str) -> Shape:
        return Shape(entity, re.compile(f"{_EDGE}(?P<value>{pattern}){_END}", re.I), is_valid, frozenset(languages))

    def is_iban(number: str) -> bool:
        return mod_97_10.is_valid(number[4:].upper() + number[:4].upper())

    def is_health_insured(number: str) -> bool:
        """The last digit is Luhn's sum over the letter's place in the alphabet and eight digits."""
        place = ord(number[0].upper()) - ord("A") + 1
        return -int(luhn.calc_check_digit(f"{place:02d}{number[1:9]}")) % 10 == int(number[9])

    return (
        of("IBAN_CODE", r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", is_iban),
        of(
            "MAC_ADDRESS",
            r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}",
        ),
        of("DEVICE_ID", r"(?:01|35|86|99)\d{13}|(?:01|35|86|99)-\d{6}-\d{6}-\d", imei.is_valid),
        of("NATIONAL_ID", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),
        of(
            "NATIONAL_ID",
            r"[A-Z]{6}\d[\dLMNP-V][A-EHLMPR-T][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]",
            codicefiscale.is_valid,
        ),
        of(
            "NATIONAL_ID",
            r"\d{8}[- ]?[A-Z]|\d{2}\.\d{3}\.\d{3}-?[A-Z]",
            lambda number: dni.is_valid(number.replace(".", "")),
        ),
        of("NATIONAL_ID", r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
        of("NATIONAL_ID", r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", nir.is_valid),
        of("NATIONAL_ID", r"\d{2} ?[0-3]\d[01]\d\d{2} ?[A-Z] ?\d{3}"),
        of("NATIONAL_ID", r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid),
        of("NATIONAL_ID", r"[A-Z]\d{9}", is_health_insured, "de"),
        of("NATIONAL_ID", r"\d{11}", cpf.is_valid, "pt"),
        of("NATIONAL_ID", r"\d{11}", pesel.is_valid, "pl"),
        of("NATIONAL_ID", r"\d{4}\.\d{2}\.\d{3}|\d{9}", bsn.is_valid, "nl"),
        of("TAX_ID", r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", cnpj.is_valid),
        of("TAX_ID", r"\d{2} \d{3} \d{3} \d{3}", idnr.is_valid),
        of("TAX_ID", r"\d{11}", idnr.is_valid, "de"),
        of("TAX_ID", r"\d{11}", iva.is_valid, "it"),
        of("TAX_ID", r"\d{3}-\d{3}-\d{2}-\d{2}|\d{3}-\d{2}-\d{2}-\d{3}", nip.is_valid),
        of("TAX_ID", r"\d{9}|\d{14}", regon.is_valid, "pl"),
        of("TAX_ID", r"[A-HJNP-SUVW]-?\d{7}[0-9A-J]", cif.is_valid),
        of("TAX_ID", r"\d{3} \d{3} \d{3} \d{5}|\d{14}", siret.is_valid, "fr"),
        of(
            "TAX_ID",
            r"(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)"
            r" ?[A-Z0-9](?:[ .]?[A-Z0-9]){7,11}",
            vat.is_valid,
        ),
        of("TAX_ID", r"(?:GB|XI) ?\d{3} ?\d{4} ?\d{2}"),
        of(
            "SECRET",
            r"(?:npm_|hvs\.|SG\.|dop_v1_|pypi-|xapp-|shpat_|glsa_|dckr_pat_|ATATT3x|lin_api_|sq0atp-|ya29\.|EAAC|hf_|rk_live_|whsec_)[\w.-]{16,250}=?",
        ),
        of("SECRET", r"(?<=basic )[A-Za-z0-9+/]{12,512}={0,2}"),
        of("SECRET", r"(?<=://)[^\s/@:]{1,64}:[^\s/@]{1,128}(?=@)"),
        of("SECRET", r"(?<=accountkey=)[A-Za-z0-9+/]{20,128}={0,2}|(?<=sharedaccesskey=)[A-Za-z0-9+/]{20,128}={0,2}"),
    )
