"""
Turns phrase templates into text, and remembers where each piece of personal data stands in it.

Typos and lost capitals are applied to the words of a template, so that spans stay exact.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from services.local.mock import people
from services.local.mock.catalogue import Company, Group

SITES = ("Hamburg", "Leeds", "Lyon", "Leipzig", "Bristol", "Nantes", "Kiel", "Building C", "Werk 2", "Plant North")
CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
LIVE_ONLY_FROM = 4  # choices with this many alternatives keep their last one for live tickets
LABELS = {
    "person": "PERSON",
    "requester": "PERSON",
    "email": "EMAIL_ADDRESS",
    "requester_email": "EMAIL_ADDRESS",
    "phone": "PHONE_NUMBER",
    "iban": "IBAN_CODE",
    "card": "CREDIT_CARD",
    "address": "STREET_ADDRESS",
    "employee_id": "EMPLOYEE_ID",
    "date": "DATE_TIME",
    "ip": "IP_ADDRESS",
}


@dataclass(frozen=True)
class Span:
    """Personal data at text[start:end] of `part`: `subject`, `body` or `comment:N`."""

    part: str
    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Voice:
    """Who writes, in which language, to which group, and how carefully."""

    rng: Random
    lang: str
    requester: people.Person
    group: Group
    company: Company
    typo_rate: float = 0.0
    lower_case: bool = False
    live: bool = False


@dataclass
class Draft:
    """One part of a ticket while it is being written."""

    part: str
    text: str = ""
    spans: list[Span] = field(default_factory=list)

    def add(self, template: str, voice: Voice) -> None:
        """Append the template, filled: literal words may get typos, personal data gets a span."""
        pieces = SLOT.split(choose(template, voice))
        for i, piece in enumerate(pieces):
            if i % 2:
                self._add_slot(piece, voice)
            else:
                self.text += _cased(_mistyped(piece, voice), voice)

    def _add_slot(self, slot: str, voice: Voice) -> None:
        value = _cased(fill(slot, voice), voice)
        if slot in LABELS:
            start = len(self.text)
            self.spans.append(Span(self.part, start, start + len(value), LABELS[slot]))
        self.text += value

    def capitalise(self, start: int) -> None:
        """Upper-case the letter at `start`: many sentences begin with the name of a system."""
        self.text = self.text[:start] + self.text[start : start + 1].upper() + self.text[start + 1 :]


def choose(template: str, voice: Voice) -> str:
    """The template with one alternative taken from every [a|b|c]."""

    def pick(match: re.Match[str]) -> str:
        options = match[1].split("|")
        if len(options) >= LIVE_ONLY_FROM and not voice.live:
            options = options[:-1]
        return voice.rng.choice(options)

    return CHOICE.sub(pick, template)


def fill(slot: str, voice: Voice) -> str:
    return FILLERS[slot](voice)


def _other_person(voice: Voice) -> people.Person:
    return people.person(voice.rng, voice.lang, domain=voice.company.domain)


def _email(voice: Voice) -> str:
    domain = voice.rng.choice((voice.company.domain, "example.org", "example.net", "mail.example.com"))
    return people.person(voice.rng, voice.lang, domain=domain).email


def _amount(voice: Voice) -> str:
    value = voice.rng.randint(20, 9_000) + voice.rng.random()
    text = f"{value:,.2f}"
    return f"EUR {text}" if voice.lang == "en" else f"{text.translate(str.maketrans(',.', '.,'))} €"


def _system(voice: Voice, group: Group) -> str:
    """A system's name; German and French writers drop the English article."""
    name = voice.rng.choice(group.systems)
    return name if voice.lang == "en" else name.removeprefix("the ").removeprefix("my ")


def _other_system(voice: Voice) -> str:
    return _system(voice, voice.rng.choice([g for g in voice.company.groups if g.name != voice.group.name]))


FILLERS: dict[str, Callable[[Voice], str]] = {
    "person": lambda v: _other_person(v).name,
    "requester": lambda v: v.requester.name,
    "requester_email": lambda v: v.requester.email,
    "email": _email,
    "phone": lambda v: people.phone(v.rng, v.lang),
    "iban": lambda v: people.iban(v.rng, v.lang),
    "card": lambda v: people.card(v.rng),
    "address": lambda v: people.address(v.rng, v.lang),
    "employee_id": lambda v: v.requester.employee_id,
    "date": lambda v: people.date(v.rng, v.lang),
    "ip": lambda v: people.digits(v.rng, f"10.{v.rng.randint(1, 250)}.{v.rng.randint(1, 250)}.{v.rng.randint(2, 250)}"),
    "time": lambda v: f"{v.rng.randint(6, 20)}:{v.rng.randint(0, 59):02}",
    "system": lambda v: _system(v, v.group),
    "other_system": _other_system,
    "code": lambda v: people.digits(v.rng, v.rng.choice(v.group.codes)),
    "site": lambda v: v.rng.choice(SITES),
    "room": lambda v: f"{v.rng.choice('ABCDE')}{v.rng.randint(0, 6)}.{v.rng.randint(1, 40):02}",
    "number": lambda v: str(v.rng.randint(2, 40)),
    "order": lambda v: people.digits(v.rng, v.rng.choice(("45000#####", "19000#####", "7######", "10####"))),
    "host": lambda v: people.digits(v.rng, v.rng.choice(("NLW-NB-#####", "NLW-PC-####", "srv-app-##"))),
    "version": lambda v: people.digits(v.rng, v.rng.choice(("##.#.#", "1#.#.####", "6.#.#-##"))),
    "ticket": lambda v: people.digits(v.rng, v.rng.choice(("INC00#####", "REQ00#####", "#2####"))),
    "amount": _amount,
}


def _cased(text: str, voice: Voice) -> str:
    return text.lower() if voice.lower_case else text


def _mistyped(text: str, voice: Voice) -> str:
    if not voice.typo_rate:
        return text
    words = text.split(" ")
    return " ".join(_typo(w, voice.rng) if voice.rng.random() < voice.typo_rate else w for w in words)


def _typo(word: str, rng: Random) -> str:
    """Swap, drop or double one inner letter of a word of four letters or more."""
    if len(word) < 4 or not word.isalpha():
        return word
    i = rng.randint(1, len(word) - 3)
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return rng.choice((swapped, word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:]))
