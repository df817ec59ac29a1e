"""User names by how people and programs say them: "signed in as jdoe2", `ssh jdoe@host`, "jdoe is locked out"."""

import re
from collections.abc import Iterator

from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span
from services.core.text.vocabulary import is_word

_NOBODY = frozenset(
    [
        "root",
        "admin",
        "administrator",
        "git",
        "ubuntu",
        "debian",
        "user",
        "username",
        "postgres",
        "mysql",
        "oracle",
        "sa",
        "guest",
        "gast",
        "invitado",
        "convidado",
        "ec2-user",
        "centos",
        "nobody",
        "anonymous",
        "me",
        "you",
        "xxx",
        "name",
        "test",
        "local",
        "localhost",
        "default",
        "system",
    ]
)
_HANDLE = r"[A-Za-z](?:[\w-]|\.(?=\w)){2,40}"
# Forms of "sign in", "connect", "enter"; then "as" or "with" and the name.
_SIGNED_IN = (
    r"sign(?:ed|ing|s)? (?:in|on)|log(?:ged|ging|s)?[ -]?(?:in|on)|authenticat(?:ed?|ing)|connect(?:ed|ing)?"
    r"|angemeldet|eingeloggt|anmelden|einloggen|(?:melde|logge) mich|verbunden"
    r"|connectée?s?|connecte|connecter|identifiée?|authentifiée?|session(?: ouverte)?"
    r"|sesión|entro|entré|conectad[oa]|conecto|accedo|accedí|ingres[oé]|autenticad[oa]"
    r"|sessão|entrei|entrar|ligad[oa]|acedi|aced[oe]r?|acess[oe]i?|logad[oa]|logo"
    r"|accesso|acceduto|entrat[oa]|conness[oa]|collegat[oa]|autenticat[oa]|loggat[oa]"
    r"|ingelogd|aangemeld|log in|inloggen|aanmelden"
    r"|loguję się|zalogowan[ya]|zalogować się|zalogował[ae]m się|logowani[ae]"
)
_AS = (
    r"as|with|under|als|mit|unter|en tant que|avec|comme|sous|como|con|com|come|met|onder|jako|na"
    r"|(?:(?:as|with) (?:user|account)|als benutzer|mit dem (?:konto|benutzer)|com o utilizador|con el usuario)"
)
_SIGNED_IN_AS = re.compile(
    rf"\b(?:{_SIGNED_IN})(?: [^\W\d_]{{1,12}}){{0,2}}? (?:{_AS}) ['\"`]?(?P<value>{_HANDLE})", re.I
)
# "jdoe is locked out": only accounts are.
_STATE = (
    r"(?:is|was|has been|got) (?:locked|disabled|blocked|suspended|deactivated)"
    r"|(?:ist|wurde|war) (?:gesperrt|deaktiviert|blockiert)|(?:est|a été) (?:bloquée?|désactivée?|verrouillée?)"
    r"|(?:está|fue) (?:bloquead|desactivad|deshabilitad)[oa]|(?:está|foi) (?:bloquead|desativad)[oa]"
    r"|(?:è|è stato) (?:bloccat|disattivat|disabilitat)[oa]|(?:is|werd) (?:geblokkeerd|vergrendeld|uitgeschakeld)"
    r"|(?:jest|został[oa]?) (?:zablokowan|wyłączon)[yae]"
)
_IN_A_STATE = re.compile(rf"(?<![\w.@/\\-])(?P<value>{_HANDLE}) (?:{_STATE})\b", re.I)
_SHELL = re.compile(
    r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id|putty|plink)\b[^\n@]{0,60}?(?<![\w.-])(?P<value>[\w.-]{2,40})@(?=[\w-])"
)
# Programs that sign in: their "-u" is a name, that of `sort` and `git push` is none.
_PROGRAM = (
    r"psql|pg_dump|pg_restore|mysql|mysqldump|mariadb|mongosh?|curl|wget|smbclient|ldapsearch|sqlcmd|svn|sudo|runas"
    r"|net use|xfreerdp|rdesktop|ftp|lftp|sshpass|ssh|oc login|az login|docker login|helm registry login|impala-shell"
)
_OPTION = re.compile(
    rf"\b(?:{_PROGRAM})\b[^\n|;]{{0,80}}? (?:-[uUl]|--user(?:name)?|--login|/user)[ =:]?"
    r"['\"]?(?P<value>[A-Za-z][\w.\\-]{1,40})(?::(?P<secret>[^\s'\"@]{3,128}))?"
)
_LONG_OPTION = re.compile(r"(?<!\S)--(?:user|username|login)=['\"]?(?P<value>[A-Za-z][\w.\\-]{1,40})")
_FIRST_AND_LAST = re.compile(
    r"(?<![\w.@/\\:-])(?P<value>(?P<first>[a-z]{3,20})[._](?P<last>[a-z]{3,20})\d{0,3})(?![\w.@/\\(=:-]\w|\()"
)
_NAME_AND_NUMBER = re.compile(r"(?<![\w.@/\\:-])(?P<value>(?P<name>[a-z]{4,20})\d{2,4})(?![\w@/\\(=-]|\.\w)")


class Accounts:
    """USERNAME after what signs in, before what only happens to accounts, and made of known names."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        for pattern in (_SIGNED_IN_AS, _IN_A_STATE):
            for match in pattern.finditer(text):
                if _is_handle(match["value"], language):
                    yield Span(*match.span("value"), "USERNAME")
        if "@" in text or "-" in text:
            yield from _on_a_command_line(text)
        for match in _FIRST_AND_LAST.finditer(text):
            if _is_first_name(match["first"]) and not _is_known_word(match["last"]):
                yield Span(*match.span("value"), "USERNAME")
        for match in _NAME_AND_NUMBER.finditer(text):
            if match["name"] in words("family_names") and not _is_known_word(match["name"]):
                yield Span(*match.span("value"), "USERNAME")


def _on_a_command_line(text: str) -> Iterator[Span]:
    for pattern in (_SHELL, _OPTION, _LONG_OPTION):
        for match in pattern.finditer(text):
            if match["value"].lower() not in _NOBODY:
                yield Span(*match.span("value"), "USERNAME")
            if match.groupdict().get("secret"):
                yield Span(*match.span("secret"), "SECRET")


def _is_handle(value: str, language: str) -> bool:
    """With a digit, dot or underscore; of small letters: no English word, elsewhere initial and family name."""
    lower = value.lower()
    if lower in _NOBODY or _is_listed(lower):
        return False
    if any(not char.isalpha() and char != "-" for char in value):
        return not _is_listed(lower.strip("0123456789"))
    if not value.islower() or is_word(value, "en"):
        return False
    return language == "en" or value[1:] in words("family_names")


def _is_first_name(word: str) -> bool:
    if word in words("ambiguous_names") or word in words("names_that_are_words"):
        return False
    return word in words("first_names")


def _is_known_word(word: str) -> bool:
    return _is_listed(word) or (word not in words("family_names") and is_word(word, "en"))


def _is_listed(word: str) -> bool:
    """What may follow "as" without being anybody: an everyday word, a technical one."""
    return any(word in words(kind) for kind in ("not_values", "not_names", "technology", "not_users"))
