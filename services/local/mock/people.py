"""
Invented people and their identifiers, drawn from a seeded generator. Nothing here belongs to anybody.

Phone numbers come from the ranges that regulators keep for fiction (Ofcom's drama numbers, Bundesnetzagentur's
Drama-Rufnummern, Arcep's 06 39 98), mail addresses from the reserved example domains (RFC 2606), IBANs and cards
carry valid check digits over test bank and issuer codes so that checksum recognisers have something to find.
"""

from dataclasses import dataclass
from random import Random

NAMES = {
    "en": (
        "Oliver Amelia Jack Isla Harry Emily George Sophie Noah Grace Thomas Ruby Priya Arjun Fatima Chinedu Siobhan "
        "Gareth Mei Daniel Hannah Kwame Rachel Liam Zoe Martin Olga Pedro Ingrid Yusuf",
        "Smith Taylor Brown Walker Hughes Patel Khan Evans Clarke Robinson Okafor Murphy Kelly Wright Turner Morgan "
        "Bennett Sharma Campbell Chen Fletcher Osborne Whitfield O'Brien MacLeod Novak Silva Lindqvist Haddad Baker",
    ),
    "de": (
        "Anna Lukas Katharina Jürgen Stefan Monika Tobias Sabine Björn Heike Matthias Ulrike Aylin Mehmet Agnieszka "
        "Piotr Jana Dennis Petra Rüdiger Claudia Florian Swantje Holger Elif Karl-Heinz Nadine Sven Birgit Lennart",
        "Müller Schmidt Schneider Fischer Weber Becker Hoffmann Schröder Kühn Yılmaz Kowalski Krämer Lehmann Jansen "
        "Petersen Voß Brandt Großmann Hartwig Böhm Sommer Vogel Öztürk Nowak Thielen Ahrens Winkler Roth Engel Koch",
    ),
    "fr": (
        "Camille Hugo Chloé Léo Manon Théo Élodie Julien Amélie Mathieu Aïcha Karim Céline Benoît Nathalie Rémi "
        "Sandrine Olivier Inès Guillaume",
        "Martin Bernard Dubois Lefèvre Moreau Girard Rousseau Fournier Benali Mercier Blanc Guérin Chevalier Diallo "
        "Leclerc Perrin Garnier Faure Noël Lambert",
    ),
}
PHONES = {
    "en": ("020 7946 0###", "+44 20 7946 0###", "+44 7700 900###", "0161 496 0###", "(212) 555-01##"),
    "de": ("030 23125###", "+49 30 23125 ###", "0171 39200##", "+49 171 39200##", "(069) 90009-###", "040 66969-###"),
    "fr": ("06 39 98 ## ##", "+33 6 39 98 ## ##", "01 99 00 ## ##"),
}
STREETS = {
    "en": ("Church Lane", "Station Road", "Mill Street", "Victoria Avenue", "King's Road", "Harbour Close"),
    "de": ("Bahnhofstraße", "Lindenweg", "Hauptstr.", "Am Mühlenberg", "Goethestraße", "Kastanienallee"),
    "fr": ("rue de la République", "avenue Victor Hugo", "rue des Lilas", "boulevard Voltaire", "place du Marché"),
}
TOWNS = {
    "en": ("Leeds LS1 4AP", "Bristol BS1 5TR", "Reading RG1 2LU", "York YO1 9TJ"),
    "de": ("20095 Hamburg", "04109 Leipzig", "28195 Bremen", "70173 Stuttgart", "24103 Kiel"),
    "fr": ("69002 Lyon", "44000 Nantes", "59800 Lille", "31000 Toulouse"),
}
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
DATE_FORMS = {
    "en": ("{d} {month} {y}", "{month} {d}, {y}", "{d:02}/{m:02}/{y}", "{y}-{m:02}-{d:02}", "{d} {month}"),
    "de": ("{d:02}.{m:02}.{y}", "{d}. {month} {y}", "{d:02}.{m:02}.", "{y}-{m:02}-{d:02}"),
    "fr": ("{d:02}/{m:02}/{y}", "{d} {month} {y}", "{d} {month}"),
}
BANKS = {"en": "GB{check}NWBK{}", "de": "DE{check}{}", "fr": "FR{check}{}"}
BANK_DIGITS = {"en": 14, "de": 18, "fr": 23}
FOLDED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "ë": "e", "ï": "i", "î": "i", "ı": "i", "'": None}
)


@dataclass(frozen=True)
class Person:
    name: str
    email: str
    phone: str
    employee_id: str


def person(rng: Random, lang: str, *, domain: str) -> Person:
    """Somebody who writes `lang`; one in ten carries a name from another country."""
    origin = lang if rng.random() > 0.1 else rng.choice(sorted(NAMES))
    first, last = (rng.choice(names.split()) for names in NAMES[origin])
    email = f"{_ascii(first)}.{_ascii(last)}@{domain}"
    return Person(f"{first} {last}", email, phone(rng, lang), f"NL{rng.randint(10_000, 99_999)}")


def phone(rng: Random, lang: str) -> str:
    return digits(rng, rng.choice(PHONES[lang]))


def address(rng: Random, lang: str) -> str:
    street, number, town = rng.choice(STREETS[lang]), rng.randint(1, 180), rng.choice(TOWNS[lang])
    return f"{street} {number}, {town}" if lang == "de" else f"{number} {street}, {town}"


def iban(rng: Random, lang: str) -> str:
    """An IBAN with right check digits (ISO 13616), in groups of four half of the time."""
    account = digits(rng, "#" * BANK_DIGITS[lang])
    body = BANKS[lang].format(account, check="00")
    moved = body[4:] + body[:2] + "00"
    check = 98 - int("".join(str(int(c, 36)) for c in moved)) % 97
    compact = BANKS[lang].format(account, check=f"{check:02}")
    return _fours(compact) if rng.random() < 0.5 else compact


def card(rng: Random) -> str:
    """A 16-digit card number that passes Luhn, over a test issuer prefix."""
    body = rng.choice(("411111", "555555", "424242")) + digits(rng, "#" * 9)
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(body))
    compact = f"{body}{-total % 10}"
    return _fours(compact) if rng.random() < 0.5 else compact


def date(rng: Random, lang: str) -> str:
    month = rng.randint(1, 12)
    form = rng.choice(DATE_FORMS[lang])
    return form.format(d=rng.randint(1, 28), m=month, y=rng.choice((2025, 2026)), month=MONTHS[lang].split()[month - 1])


def digits(rng: Random, pattern: str) -> str:
    """`pattern` with every # replaced by a digit."""
    return "".join(str(rng.randint(0, 9)) if c == "#" else c for c in pattern)


def _ascii(name: str) -> str:
    return name.lower().translate(FOLDED)


def _fours(text: str) -> str:
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
