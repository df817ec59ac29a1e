"""
The stricter level, for texts that leave the account: what is no word, no technical term and no mere number goes too.

It reads text that is redacted already, needs no name model, and gives a vault of its own, so an answer can be restored.
"""

import re
from collections.abc import Iterator, Mapping

from services.core.text.language import detect_language
from services.core.text.own_rules import OwnRules, own_rules
from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span
from services.core.text.recognisers.unread import is_unread
from services.core.text.redact import PLACEHOLDER, Redacted, Vault
from services.core.text.vocabulary import is_word

_TOKEN = re.compile(r"[^\W_][\w.@:/\\-]*[^\W_]|[^\W_]")
_WORD_PART = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SHORTEST = 3  # shorter letters say nothing about anybody, in our script: two are a Chinese name
_DIGITS_KEPT = 4  # a year, a port, a count; longer numbers are somebody's
# Codes that mean the same to everybody: versions, hexadecimal errors, knowledge base, CVE, HTTP.
_PUBLIC_CODE = re.compile(r"v?\d{1,5}(?:\.\d{1,6}){1,4}|0x[0-9a-f]{1,8}|KB\d{6,7}|CVE-\d{4}-\d{4,7}|ORA-\d{1,5}", re.I)


def strict(texts: Mapping[str, str], language: str | None = None, own: OwnRules | None = None) -> Redacted:
    """Redacted texts by field name, with everything hidden that nobody can vouch for; twice is once."""
    own = own or own_rules()
    language = language or detect_language("\n".join(texts.values()))
    vault = Vault(texts.values())
    hidden = {name: vault.hide(text, list(_strange(text, language, own))) for name, text in texts.items()}
    return Redacted(hidden, vault.values, language)


def _strange(text: str, language: str, own: OwnRules) -> Iterator[Span]:
    kept = bytearray(len(text))
    for start, end in own.kept.find(text):
        kept[start:end] = b"\x01" * (end - start)
    ours = [match.span() for match in PLACEHOLDER.finditer(text)]
    ours.append((len(text), len(text)))
    number = 0
    for match in _TOKEN.finditer(text):
        while ours[number][1] <= match.start() and number < len(ours) - 1:
            number += 1
        if match.start() < ours[number][1] and ours[number][0] < match.end():
            continue
        if not (all(kept[slice(*match.span())]) or _is_vouched_for(match.group(), language)):
            yield Span(match.start(), match.end(), "OTHER")


def _is_vouched_for(token: str, language: str) -> bool:
    if _PUBLIC_CODE.fullmatch(token) or token.lower() in words("technology"):
        return True
    if sum(map(str.isdigit, token)) > _DIGITS_KEPT:
        return False
    return all(_is_known(part.group(), language) for part in _WORD_PART.finditer(token))


def _is_known(word: str, language: str) -> bool:
    """A word of the ticket's language or of English; a capital makes a name of what is a name too."""
    if is_unread(word):
        return False
    lower = word.lower()
    if len(word) < _SHORTEST or lower in words("technology") or lower in words("not_names"):
        return True
    if word[0].isupper() and (lower in words("first_names") or lower in words("family_names")):
        return False
    return is_word(lower, language) or (language != "en" and is_word(lower, "en"))
