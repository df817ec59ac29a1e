"""
Values that a word before them names: "Personalnummer 48213", "the password is ...", "user: jdoe", in eight languages.

What the word names is hidden whether its check digits are right or not: a mistyped number is still somebody's number.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from services.core.text.recognisers.lexicon import phrases, words
from services.core.text.recognisers.span import Span

# Words between the name of a value and the value.
_COPULA = (
    r"(?:is|was|are|ist|lautet|war|est|était|es|son|è|era|é|foi|to|jest|brzmi|set to|auf|now|(?:should|will|must) be"
    r"|soll|wird|sera|será|deve ser|debe ser|sarà|moet|ma być)"
)
_NUMBER_WORD = (
    r"(?:number|no\.?|nr\.?|n°|nº|n\.|num\.?|numer|nummer|número|numéro|numero|id|ids|code|the|le|la|il|el|o|a|den|die)"
)
_JOIN = r"(?:,? (?:and|und|et|y|e|en|i|oraz|or|oder|ou|o|lub|of) )"
_SIGN = r"[:=#]"
# Tokens with a digit, one space between; a short group of capitals may lead, follow or stand between them.
_GROUP = r"(?=[\w./-]{0,20}\d)[A-Za-z0-9][\w./-]{0,30}"
_NUMBER = (
    rf"(?:[A-Z]{{1,5}}[ -]?){{0,2}}{_GROUP}"
    rf"(?: (?:(?=[\w./-]{{0,14}}\d)[A-Za-z0-9][\w./-]{{0,14}}|[A-Z]{{1,3}}(?!\w)|[a-z](?=[.,;\n]|$))){{0,6}}"
)
_NUMBERED = ("NATIONAL_ID", "TAX_ID", "BANK_ACCOUNT", "DEVICE_ID", "EMPLOYEE_ID", "LICENSE_PLATE")
_MIN_DIGITS = {"LICENSE_PLATE": 1}
_USUAL_MIN_DIGITS = 4
_WITH_LETTERS = frozenset(("rfc",))  # a Mexican tax number begins with letters; RFC 2822 is a standard
_PASSWORD_WORDS = "password passwd passcode passphrase pwd pw passwort kennwort mdp contraseña wachtwoord hasło senha"  # noqa: S105  words for one, none itself
_PASSWORD = frozenset(_PASSWORD_WORDS.split())
_PASSWORD_MIN_CHARS = 5
_WORTH = r"[^\s'\"<>,;]{3,128}"
_BETWEEN = r"(?: (?!(?:is|ist|est|es)\b)[\w.’'/-]{1,20}){0,4}?"
_PAIR = re.compile(
    r"\b(?:log[io]n|access|cred(?:ential)?s|zugang|zugangsdaten|anmeldung|accès|acceso|accesso|inlog|toegang|dostęp|acesso)\b"
    rf"(?: {_COPULA}|{_SIGN}|:)? ?:? ?([\w.@\\-]{{3,40}}) ?/ ?([^\s/<>]{{4,64}})",
    re.I,
)
_EXPIRY = re.compile(
    r"(?i:\b(?:exp(?:iry|ires|iration)?(?: date)?|valid (?:until|thru|to)|gültig bis|ablauf(?:datum)?"
    r"|date d'expiration"
    r"|expire(?: le)?|caduca|caducidad|scadenza|scade|geldig tot|vervaldatum|ważna do"
    r"|data ważności|validade|válido até)"
    r")(?: (?:is|ist|est|es|è|é|the|le|el))?:? (\d{1,2} ?[/-] ?\d{2,4})\b"
)


class Labelled:
    """Numbers, user names, secrets and expiry dates by the word before them."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language  # tickets mix languages
        yield from _numbers(text)
        yield from _names_of_accounts(text)
        yield from _secrets(text)
        for match in _EXPIRY.finditer(text):
            yield Span(*match.span(1), "DATE_TIME")


class _Labels(NamedTuple):
    pattern: re.Pattern[str]
    entity: dict[str, str]


def _numbers(text: str) -> Iterator[Span]:
    if not any(map(str.isdigit, text)):
        return
    for match in _NUMBER_LABELS.pattern.finditer(text):
        label = match["label"].lower()
        entity = _NUMBER_LABELS.entity[label]
        if label in _WITH_LETTERS and not any(map(str.isalpha, match["value"])):
            continue
        for group in ("value", "second"):
            value = match[group]
            if value and sum(map(str.isdigit, value)) >= _MIN_DIGITS.get(entity, _USUAL_MIN_DIGITS):
                yield Span(*match.span(group), entity)


def _names_of_accounts(text: str) -> Iterator[Span]:
    for match in _USER.finditer(text):
        value = match["value"].rstrip(".")
        sure = match["label"].lower() in _NAMES_AN_ACCOUNT or bool(match["mine"] and match["copula"])
        if _is_value(value, said=bool(match["sign"]), sure_word=sure):
            yield Span(match.start("value"), match.start("value") + len(value), "USERNAME")
    for match in _PAIR.finditer(text):
        if _is_mixed(match[1]) or _is_mixed(match[2]):
            yield Span(*match.span(1), "USERNAME")
            yield Span(*match.span(2), "SECRET")


def _secrets(text: str) -> Iterator[Span]:
    for match in _SECRET.finditer(text):
        value = match["value"].rstrip(".:)!?") or match["value"]
        if not _is_value(value, said=bool(match["sign"]), sure_word=False):
            continue
        if match["copula"] or match["sign"] or _is_key(value) or _is_password(match["label"], value):
            yield Span(match.start("value"), match.start("value") + len(match["value"].rstrip(".:)")), "SECRET")


def _is_value(value: str, *, said: bool, sure_word: bool) -> bool:
    """After ":" or "=" whatever is no ordinary word; after "is" only what no word looks like."""
    lower = value.lower().strip("'\"")
    if len(lower) < 3 or lower in words("not_values") or lower in words("not_names"):
        return False
    return said or sure_word or _is_mixed(value)


def _is_mixed(value: str) -> bool:
    return any(not char.isalpha() for char in value.strip("'’-.,:;!?()"))


def _is_key(value: str) -> bool:
    """Directly after "PIN" or "token": digits alone, or letters and digits that no word has."""
    digits = sum(map(str.isdigit, value))
    if not value.isdigit() and not any(map(str.isalpha, value)):
        return False  # a date, a time
    return (value.isdigit() and 3 <= digits <= 8) or (digits >= 2 and len(value) >= 8)


def _is_password(label: str, value: str) -> bool:
    """Directly after a word for nothing but a password: letters with a digit among them, "pw hunter2"."""
    letters = value.strip("0123456789").lower()
    if label.lower() not in _PASSWORD or letters in words("technology") or len(value) < _PASSWORD_MIN_CHARS:
        return False
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value))


def _alternatives(phrase: list[str]) -> str:
    """One pattern for all phrases, split by first letter: the engine then tries a few of them, not all."""
    by_letter: dict[str, list[str]] = defaultdict(list)
    for text in sorted(phrase, key=len, reverse=True):
        by_letter[text[0]].append(re.escape(text[1:]))
    return "|".join(f"{re.escape(letter)}(?:{'|'.join(rest)})" for letter, rest in by_letter.items())


def _labels(entities: tuple[str, ...]) -> _Labels:
    entity = {phrase: entity for entity in reversed(entities) for phrase in phrases(f"label_{entity.lower()}")}
    link = rf"(?:{_COPULA}|{_NUMBER_WORD}|{_SIGN})"
    pattern = (
        rf"(?<![\w.])(?P<label>(?i:{_alternatives(list(entity))}))(?:s|'s)?(?=[ :=#])"
        rf"(?:[ ]?(?i:{link})(?=[ :=#])){{0,4}}[ ]?[:=#]?[ ]?"
        rf"(?P<value>{_NUMBER})(?:{_JOIN}(?P<second>{_NUMBER}))?"
    )
    return _Labels(re.compile(pattern), entity)


_NUMBER_LABELS = _labels(_NUMBERED)
_NAMES_AN_ACCOUNT = frozenset(phrases("label_username")) - frozenset(
    re.findall(
        r"\w+",
        "user account login logon konto benutzer utilisateur compte usuario cuenta utente gebruiker użytkownik konta"
        " utilizador usuário conta uid upn",
    )
)
_USER = re.compile(
    r"(?<![\w.-])(?P<mine>(?i:my|mein|mi|mon|mio|mijn|moje|moja|mój|meu|minha) )?"
    rf"(?P<label>(?i:{_alternatives(list(phrases('label_username')))}))(?=[ :=])"
    rf"(?: (?:id|ID))?(?:[ ]?(?P<sign>[:=])[ ]?| (?P<copula>(?i:{_COPULA}) )?)"
    rf"['\"]?(?P<value>[A-Za-z][\w.\\@-]{{2,40}})"
)
_SECRET = re.compile(
    rf"(?<![\w.])(?P<label>(?i:{_alternatives(list(phrases('label_secret')))}))['\"]?(?=[ :=])"
    rf"(?:{_BETWEEN}(?:[ ]?(?P<sign>[:=])[ ]?| (?P<copula>(?i:{_COPULA}))(?: now| jetzt)?:? )| (?=\S{{0,60}}\d))"
    rf"['\"]?(?P<value>{_WORTH})"
)
