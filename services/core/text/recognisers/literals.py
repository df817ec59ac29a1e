"""Secrets, links, calendar dates, ages, licences and post codes: what a bounded regular expression can tell alone."""

import re
from collections.abc import Iterator

from services.core.text.recognisers.span import Span

_MONTHS = (
    "jan(?:uary|uar|vier)?|feb(?:ruary|ruar|rero)?|f[ée]v(?:rier)?|mar(?:ch|zo|s)?|m[äa]rz|apr(?:il)?|avr(?:il)?|abr(?:il)?"
    "|may|mai|mayo|june?|juni|juin|junio|july?|juli|juil(?:let)?|julio|aug(?:ust)?|ao[ûu]t|agosto|sept?(?:ember|embre|iembre)?"
    "|oct(?:ober|obre|ubre)?|okt(?:ober)?|nov(?:ember|embre|iembre)?|dec(?:ember)?|dez(?:ember)?|d[ée]c(?:embre)?|dic(?:iembre)?"
)
_WEEKDAYS = (
    "(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    "|(?:mon|diens|donners|frei|sams|sonn)tags?|mittwochs?|sonnabends?"
    "|(?:lun|mar|mercre|jeu|vendre|same)dis?|dimanches?"
    "|lunes|martes|mi[ée]rcoles|jueves|viernes|s[áa]bados?|domingos?"
)
_TIME = r"(?:[T ]{1,2}(?:at |um |à |a las )?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,6})?(?: ?[ap]m\b)?Z?)?"
_DAY, _DAY2 = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0[1-9]|[12]\d|3[01])"
_MONTH, _MONTH2 = r"(?:0?[1-9]|1[0-2])", r"(?:0[1-9]|1[0-2])"
_OF = r"(?:\.? |-|/| de | of )"
# The word of a secret, then ":" / "=" / "is"; the value is the capture group.
_CREDENTIAL = (  # a pattern, not a password
    r"(?:pass(?:word|wd|code|phrase)|pwd|passwort|kennwort|mot de passe|contraseña|clave|pin|secret|api[_ -]?key"
    r"|access[_ -]?key|auth[_ -]?token|token|client[_ -]?secret)"
)

PATTERNS: dict[str, tuple[re.Pattern[str], ...]] = {
    "SECRET": (
        re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),  # AWS access key id
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
        re.compile(
            r"\bglpat-[A-Za-z0-9_-]{20,64}\b|\bxox[abprs]-[A-Za-z0-9-]{10,250}\b"
            r"|\bsk-[A-Za-z0-9_-]{20,200}\b"
        ),
        re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,128}\b"),
        re.compile(r"\beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,2048}"),  # JWT
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\sA-Za-z0-9+/=]{1,16384}(?:-----END [A-Z ]{0,30}-----)?"),
        # also inside a setting's name: aws_secret_access_key = ..., DB_PASSWORD_PROD=...
        re.compile(
            rf"(?<![A-Za-z]){_CREDENTIAL}(?:_[A-Za-z]{{1,12}}){{0,2}}['\"]? ?[:=] ?['\"]?([^\s'\"<>,;]{{4,128}})", re.I
        ),
        # "the password is Summer2024!": prose needs a digit or a sign, else "the password is wrong" goes too
        re.compile(
            rf"\b{_CREDENTIAL} (?:is|was|to|ist|lautet|auf|est|es)(?: now| jetzt| set to)?:? ['\"]?"
            r"((?=[^\s'\"<>,;]{0,63}[\d!?@#$%^&*+=_])[^\s'\"<>,;]{4,64}\w[^\s'\"<>,;.]{0,63}"
            r"|(?<=['\"])[^\s'\"<>]{4,64})",
            re.I,
        ),
        re.compile(r"\bbearer ([A-Za-z0-9._~+/=-]{16,4096})", re.I),
        re.compile(r"://[^\s/:@]{1,64}:([^\s/:@]{1,128})@"),  # a password inside a link
        # a data store's address with user and password: where it stands is nobody's business either
        re.compile(
            r"\b((?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|oracle|jdbc:\w{2,12})"
            r"(?:\+\w{1,12})?://[^\s/:@]{1,64}:[^\s/@]{1,128}@[^\s'\"<>,]{1,256})"
        ),
        # Server=db01;User Id=jdoe;Password=...;
        re.compile(
            r"(?<![\w=;])((?:[A-Za-z][A-Za-z ]{1,24}=[^;=\s'\"]{1,128};){1,10}(?:Password|Pwd|AccountKey"
            r"|SharedAccessKey)=[^;\s'\"]{1,256};?(?:[A-Za-z][A-Za-z ]{1,24}=[^;=\s'\"]{1,128};?){0,10})",
            re.I,
        ),
    ),
    "URL": (
        re.compile(r"\b(?:https?|ftp|sftp|ssh|smb|file)://[^\s<>\"'()\[\]{}]{2,2048}", re.I),
        re.compile(r"(?<![\w.@/-])www\.[\w-]{1,63}(?:\.[\w-]{2,63}){1,4}(?:/[^\s<>\"'()\[\]{}]{0,1024})?", re.I),
    ),
    "DATE_TIME": (
        re.compile(rf"(?<![\w./-])(?:19|20)\d\d([-/.]){_MONTH}\1{_DAY}{_TIME}(?![\d-])"),
        re.compile(rf"(?<![\w./-]){_DAY}([-/.]){_MONTH}\1(?:19|20)\d\d{_TIME}(?![./-]?\d)"),
        re.compile(rf"(?<![\w./-]){_MONTH}([-/]){_DAY}\1(?:19|20)\d\d{_TIME}(?![./-]?\d)"),
        # two-digit years only with two-digit days and months: 5.1.67 and 3.9.15 are versions
        re.compile(rf"(?<![\w./-]){_DAY2}([-/.]){_MONTH2}\1\d\d{_TIME}(?![./-]?\d)"),
        re.compile(rf"(?<![\w./-]){_MONTH2}([-/]){_DAY2}\1\d\d{_TIME}(?![./-]?\d)"),
        re.compile(
            rf"\b\d{{1,2}}(?:st|nd|rd|th|er|º|\.)?{_OF}(?:{_MONTHS})\b\.?(?:,?{_OF}(?:19|20)\d\d\b)?{_TIME}", re.I
        ),
        re.compile(rf"\b(?:{_MONTHS})\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? (?:19|20)\d\d\b)?{_TIME}", re.I),
        re.compile(rf"\b(?:{_MONTHS})\.?,?{_OF}(?:19|20)\d\d\b", re.I),
        re.compile(rf"\b(?:{_WEEKDAYS})\b", re.I),
        # A year alone is a date only after a preposition: "Office 2016" must stay.
        re.compile(
            r"\b(?:in|since|of|until|during|from|year|Jahr|año|seit|im Jahr|bis|en|depuis|desde|hasta) ((?:19"
            r"|20)\d\d)\b(?![-.]\d)",
            re.I,
        ),
    ),
    "AGE": (
        re.compile(r"\b(\d{1,3})[ -](?:years?|yrs?|months?)[ -]old\b", re.I),
        re.compile(r"\b(?:aged|age of|age:?|turned|im Alter von|à l'âge de|a la edad de) (\d{1,3})\b(?!\.\d)", re.I),
        re.compile(r"\b(\d{1,3}) (?:Jahre alt|Jahre alte[rn]?|ans|años)\b", re.I),
    ),
    "US_DRIVER_LICENSE": (
        re.compile(
            r"\b(?:driver'?s?|driving|führerschein\w*|permis de conduire|permiso de conducir)"
            r"(?: licen[cs]e)?(?: number| no\.?| nr\.?|nummer| n°| número)?(?: is| ist| est| es)?[:# ]{1,3}"
            r"((?=[A-Z]{0,4}[-\d])[A-Z\d-]{6,20})\b",
            re.I,
        ),
    ),
    "ZIP_CODE": (
        re.compile(r"\b(?:zip|postal|post)[ -]?code:?(?: is)? ([A-Z\d]{3,5}(?:[ -][A-Z\d]{3,4})?)\b", re.I),
        re.compile(r"\b(?:PLZ|Postleitzahl|code postal|código postal|C\.P\.):? (\d{4,5})\b", re.I),
        re.compile(r"\b[A-Z]{2} (\d{5}(?:-\d{4})?)\b"),  # US state and zip
        re.compile(r"\b([A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})\b"),  # United Kingdom
    ),
}


class Literals:
    """Every entity of `PATTERNS`; all languages at once, because tickets mix them."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for entity, patterns in PATTERNS.items():
            for pattern in patterns:
                yield from _spans(pattern, entity, text)


def _spans(pattern: re.Pattern[str], entity: str, text: str) -> Iterator[Span]:
    group = pattern.groups if entity not in ("DATE_TIME",) or pattern.groups == 0 else 0
    for match in pattern.finditer(text):
        yield Span(*match.span(group), entity)
