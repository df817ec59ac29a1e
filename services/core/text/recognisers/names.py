"""
People's names by what stands around them (greeting, title, signature) and by known first names.

Works without a model, so German, French and Spanish are covered by default and a text too long for the model is too.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from services.core.text.recognisers.span import Span

_U = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞĪĮİŁŃŅŇŌŐŒŔŘŚŞŠŤŪŮŰŲŹŻŽΑ-ΩА-Я"
_PART = rf"[{_U}](?:[^\W\d_]|['’]){{0,24}}(?:-[^\W\d_]{{1,24}}){{0,2}}"
_LINK = r"(?:de la|de los|de las|van der|van den|von der|de|del|la|le|du|des|da|dos|di|van|von|zu|zum|ter|ten|den|der|bin|al|el|y|e|O['’])"
_NAME = rf"{_PART}(?: (?:{_LINK} ){{0,2}}(?:{_PART}|[{_U}]\.)){{0,3}}"
_FULL_NAME = rf"{_PART}(?: (?:{_LINK} ){{0,2}}(?:{_PART}|[{_U}]\.)){{1,3}}"

_TITLE = r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Herrn?|Frau|Fräulein|Hr|Fr|Dipl\.-Ing|Mme|Mlle|Madame|Monsieur|Mademoiselle|Me|M|Sr|Sra|Srta|Señora?|Señorita|Don|Doña|D|Dña"
_CUES = (
    # titles: "Mr. Smith", "Frau Dr. Meier", "Mme Dupont"
    rf"\b(?:{_TITLE})\.? (?:(?:Dr|Prof)\.? ){{0,2}}({_NAME})",
    # introductions
    rf"(?i:\bmy name(?: is|'s)|\bname(?:d)?:?|\bthis is|\bi am|\bi['’]m|\bcalled|\byours(?: truly)?,|\bsays|\bsaid|\battn:?|\battention:?"
    rf"|\bmein name ist|\bich hei(?:ß|ss)e|\bich bin|\bhier (?:ist|spricht|schreibt)|\bname ist"
    rf"|\bje m['’]appelle|\bje suis|\bmon nom est|\bici|\bc['’]est"
    rf"|\bme llamo|\bmi nombre es|\bsoy|\ble habla|\baquí) ({_FULL_NAME})",
    rf"(?i:\bmy name is|\bmein name ist|\bich hei(?:ß|ss)e|\bje m['’]appelle|\bmon nom est|\bme llamo|\bmi nombre es|\bnamed|\bcalled) ({_NAME})",
    # roles with a person after them
    rf"(?i:\b(?:colleague|manager|supervisor|boss|coworker|co-worker|contact(?: person)?|account holder|assignee|requester|employee|assistant|kid|son|daughter|wife|husband|friend"
    rf"|kollegen?|kollegin|vorgesetzte[rn]?|chefin?|kunde|kundin|ansprechpartner(?:in)?|kontoinhaber(?:in)?|mitarbeiter(?:in)?|kontakt|sachbearbeiter(?:in)?|herrn?|frau|nutzer(?:in)?|inhaber(?:in)?"
    rf"|collègues?|responsable|titulaire|contact|interlocut(?:eur|rice)|employée?|client|cliente|bénéficiaire|utilisateur"
    rf"|compañer[oa]|titular|contacto|jef[ea]|emplead[oa]|usuari[oa]|responsable|beneficiari[oa]|encargad[oa])"
    rf"(?: (?:is|ist|est|es|named?|namens))? ?:? )({_FULL_NAME})",
    # greetings at the start of a line
    rf"(?m:^)[ >]{{0,4}}(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|moin|servus|sehr geehrter? (?:herr|frau)|bonjour|bonsoir|salut|chère?|hola|estimad[oa]|querid[oa]|buen[oa]s (?:días|tardes|noches)),? ({_NAME})(?=\s*[,!.:\n-]|\s*$)",
    # signatures: closing words, then the name on the same or the next line
    rf"(?i:\b(?:(?:kind|best|warm)(?: regards)?|regards|sincerely|cheers|thanks|thank you|many thanks|thx|yours|rgds|br"
    rf"|(?:mit )?(?:freundliche[nmr]?|viele|beste|liebe|herzliche)[n]? gr(?:ü|ue)(?:ß|ss)en?|gru(?:ß|ss)|mfg|vg|lg|danke"
    rf"|cordialement|bien à vous|salutations|cdlt|bonne journée|merci(?: d['’]avance)?|respectueusement"
    rf"|(?:un )?(?:cordial )?saludos?|atentamente|atte|gracias|cordialmente)\b)(?i: und danke| again| a todos| cordiales| distinguées)?[ ,.!]{{0,3}}\n?[ >\n]{{0,4}}({_NAME})(?=[ .]{{0,2}}(?:\n|,|\||$))",
)
_PATTERNS = tuple(re.compile(cue) for cue in _CUES)
_WORDS = re.compile(_PART + r"|[^\W\d_]+")
_FOLLOWS = re.compile(rf"(?: (?:{_LINK} ){{0,2}}(?:{_PART}|[{_U}]\.)){{1,3}}")
_SHORT = 2  # a one- or two-letter word is no name on its own


class Names:
    """PERSON by cue or by first name."""

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language
        for pattern in _PATTERNS:
            for match in pattern.finditer(text):
                yield from _cut_at_word(text, *match.span(1))
        yield from _by_first_name(text)


def is_ordinary_word(word: str) -> bool:
    """The word may be capitalised but names nobody."""
    return word.lower() in _words("not_names.txt")


def is_first_name(word: str) -> bool:
    """The word is a first name and nothing else."""
    lower = word.lower()
    return (
        lower in _words("first_names.txt")
        and lower not in _words("ambiguous_names.txt")
        or ("-" in lower and all(part in _words("first_names.txt") for part in lower.split("-")))
    )


def _by_first_name(text: str) -> Iterator[Span]:
    lower_text = text.islower()
    for match in _WORDS.finditer(text):
        word = match.group()
        if not (word[0].isupper() or lower_text) or len(word) <= _SHORT or word.isupper() and len(word) < 4:
            continue
        follows = _FOLLOWS.match(text, match.end())
        if is_first_name(word):
            yield from _cut_at_word(text, match.start(), follows.end() if follows else match.end())
        elif (
            follows
            and word.lower() in _words("ambiguous_names.txt")
            and not is_ordinary_word(follows.group().split()[0])
        ):
            yield from _cut_at_word(text, match.start(), follows.end())


def _cut_at_word(text: str, start: int, end: int) -> Iterator[Span]:
    """The name up to the first word that is none; nothing when the first is already none."""
    for match in re.finditer(r"[^\s]+", text[start:end]):
        if is_ordinary_word(match.group().strip(".,'’")) and match.group().lower() not in _LINKS:
            end = start + match.start()
            break
    if end > start:
        yield Span(start, end, "PERSON")


_LINKS = frozenset(re.findall(r"[a-z]+", _LINK))


@cache
def _words(name: str) -> frozenset[str]:
    lines = files(__package__).joinpath("words", name).read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
