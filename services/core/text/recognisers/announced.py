"""Birthdays, extensions, accounts, post codes and passwords that the words before them announce, in eight languages."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span

_COPULA = r"(?:is|was|are|ist|lautet|war|est|était|es|era|son|è|é|to|jest|brzmi)"
_NUMBER_WORD = r"(?:number|no\.?|num\.?|nr\.?|n°|nº|n\.º|n\.|numer|nummer|número|numéro|numero)"


class _Cue(NamedTuple):
    entity: str
    pattern: re.Pattern[str]


def _cue(entity: str, before: str, value: str) -> _Cue:
    link = rf"(?: ?[:=#]| (?:{_COPULA}|{_NUMBER_WORD})(?=[ :])){{0,2}} ?"
    return _Cue(entity, re.compile(rf"(?<!\w)(?:{before})(?=[ :=#.]){link}(?P<value>{value})(?![\w]|[.,-]\d)", re.I))


_BORN = (
    r"dob|d\.o\.b\.?|date of birth|birth ?date|birthday|born(?: on)?|geburtsdatum|geburtstag|geb(?:oren)?\.?(?: am)?"
    r"|née? le|date de naissance|ddn|nacid[oa](?: el)?|fecha de nacimiento|nat[oa] il|data di nascita"
    r"|geboren(?: op)?|geboortedatum|urodzon[ya](?: dnia)?|ur\.|data urodzenia|nascid[oa] (?:em|a)|data de nascimento"
)
_EXTENSION = (
    r"ext\.?|extn\.?|extension|durchwahl|dw|nebenstelle|apparat|poste(?: interne)?|extensión|interno|toestel"
    r"|doorkiesnummer|wewnętrzny|wewn\.?|ramal|extensão"
)
_ACCOUNT = (
    r"accounts?|acct\.?|a/c|konto(?:nummer)?|compte|cuenta|conto|rekening(?:nummer)?|kont[oa]|rachunek"
    r"|conta(?: corrente)?"
)
_POST_CODE = (
    r"post ?code|postal code|zip(?: code)?|plz|postleitzahl|code postal|cp|c\.p\.?|código postal|cap|c\.a\.p\."
    r"|codice postale|kod(?: pocztowy)?|cep"
)
_POST_CODE_FORMS = (
    r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d{2} ?[A-Z\d]{4}|\d{5}-?\d{3,4}|\d{2}-\d{3}|\d{4}-\d{3}"
    r"|\d{4} ?[A-Z]{2}|\d{4,5}"
)
_CUES = (
    _cue(
        "DATE_TIME",
        _BORN,
        r"\d{1,2}(?P<s>[./ -]) ?\d{1,2}(?P=s) ?(?:\d{4}|\d{2})|\d{4}(?P<t>[./-])\d{1,2}(?P=t)\d{1,2}",
    ),
    _cue("PHONE_NUMBER", _EXTENSION, r"\d{3,6}"),
    _cue("BANK_ACCOUNT", _ACCOUNT, r"\d{7,12}"),
    _cue("ZIP_CODE", _POST_CODE, _POST_CODE_FORMS),
)
# Post codes of a country that stand without a word in a text of its language.
_POST_CODE_ALONE = {
    "nl": re.compile(r"(?<![\w-])[1-9]\d{3} ?[A-Z]{2}(?= [A-Z][a-z])"),
    "pl": re.compile(r"(?<![\w-])\d{2}-\d{3}(?= [^\W\da-z_])"),
    "pt": re.compile(r"(?<![\w-])\d{4}-\d{3}(?= [^\W\da-z_])"),
}
# "my password until this morning was X", "mein Kennwort war bisher X": only words of time may stand beside the verb.
_PASSWORD = re.compile(
    r"(?<![\w.])(?:passwords?|passwd|passcode|passphrase|pwd|pw|passwort|kennwort|mot de passe|mdp|contraseña|clave"
    r"|wachtwoord|hasło|senha|palavra-passe|frase-passe|phrase secrète|phrase de passe)(?=[ :,])",
    re.I,
)
_PASSWORD_REACH = 80
_PASSWORD_WORDS = 10
_TOKEN = re.compile(r"\S+")


# "user jdoe cannot print": a name in small letters, then what only somebody does, or the end of the clause.
_USER = re.compile(
    r"(?<![\w.-])(?i:user|benutzer|nutzer|utilisateur|usuario|utente|gebruiker|użytkownika?|utilizador|usuário)"
    r" (?P<value>[a-z][a-z0-9._-]{2,30}?)(?P<after>[.,;!?)]*(?:\n|$)|[,;!?)]| (?:is|was|has|had|cannot|can't|can|could"
    r"|does|doesn't|did|didn't|gets|got|reports?|reported|wants|needs|says|tries|tried|ist|war|hat|kann|wird|wurde"
    r"|bekommt|meldet|sieht|ne|n['’]a|est|voit|peut|está|no|tiene|puede|non|è|ha|può|vede|heeft|kan|wordt|ziet"
    r"|nie|jest|ma|może|został|não|é|tem|consegue|foi|vê)(?!\w))"
)


# "the six digit code I just got is 482913": a code somebody was sent, and what it says.
_SENT = (
    r"sms|text(?:ed| message)?|got|received|sent|gets?|(?:six|four|eight|[4-8])[ -]digit|erhalten|bekommen|bekam|kam"
    r"|sechsstellig\w*|vierstellig\w*|reçue?s?|envoyée?|recib[íi]\w*|llegó|enviaron|enviado|ricevut[oa]|arrivat[oa]|mandat[oa]"
    r"|kreeg|ontvangen|gekregen|gestuurd|dostał[ae]m|otrzymał[ae]m|przyszedł|recebi|receb\w+|chegou|enviaram|enviad[oa]|mandaram"
)
_CODE_SENT = re.compile(
    r"\b(?:(?:six|four|eight|[4-8])[ -]digit )?(?:codes?|code|código|codice|kod)\b(?P<between>[^.!?\n\d:]{0,50}?)"
    rf"(?: (?:{_COPULA}|foi|fue|was|fu|:)|:) (?P<value>\d{{4,8}})(?![\w.,-]\d|\w)",
    re.I,
)
_WAS_SENT = re.compile(rf"\b(?:{_SENT})\b", re.I)


class Announced:
    """What a word before it makes personal."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        if any(map(str.isdigit, text)):
            for cue in _CUES:
                yield from (Span(*match.span("value"), cue.entity) for match in cue.pattern.finditer(text))
            if alone := _POST_CODE_ALONE.get(language):
                yield from (Span(*match.span(), "ZIP_CODE") for match in alone.finditer(text))
            for match in _CODE_SENT.finditer(text):
                if _WAS_SENT.search(match.group()):
                    yield Span(*match.span("value"), "SECRET")
        for match in _USER.finditer(text):
            if not _is_said_of_users(match["value"]):
                yield Span(*match.span("value"), "USERNAME")
        for match in _PASSWORD.finditer(text):
            yield from _password_after(text, match.end())


def _password_after(text: str, start: int) -> Iterator[Span]:
    """The first word that looks like a password, while the words before it are a verb and words of time or person."""
    said = False
    tokens = list(_TOKEN.finditer(text, start, min(len(text), start + _PASSWORD_REACH)))[:_PASSWORD_WORDS]
    for token in tokens:
        bare = token.group().strip("'\"“”„,;:.()")
        lower = bare.lower()
        if not bare and token.group() in (",", ":"):
            continue
        if lower in words("password_verbs"):
            said = True
        elif said and _is_password(bare):
            at = text.index(bare, token.start())
            yield Span(at, at + len(bare), "SECRET")
            return
        elif lower not in words("between_password") or token.group()[-1] in ".!?":
            return


def _is_said_of_users(word: str) -> bool:
    return any(word in words(kind) for kind in ("not_values", "not_names", "technology", "not_users"))


def _is_password(value: str) -> bool:
    letters = any(map(str.isalpha, value))
    mixed = any(map(str.isdigit, value)) or any(sign in value for sign in "!?#$%&*+=_@")
    return letters and mixed and len(value) >= 5 and value.strip("0123456789.").lower() not in words("technology")
