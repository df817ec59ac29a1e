"""The same values as people type them around a form, a scanner or a telephone: the second hand of the exam."""

from typing import Protocol

AT_SIGNS = ("(at)", "[at]", " (at) ", " [at] ", "{at}", "<at>", "(AT)", "[ät]", "(@)")
_DIGIT_WORDS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "nl": "nul een twee drie vier vijf zes zeven acht negen",
    "pl": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "pt": "zero um dois três quatro cinco seis sete oito nove",
}


class Source(Protocol):
    """What the spellings need of `Values`."""

    language: str

    def pick(self, options: object) -> str: ...
    def shape(self, pattern: str) -> str: ...
    def email(self) -> str: ...
    def card_number(self) -> str: ...
    def username(self) -> str: ...
    def birthday(self) -> tuple[int, int, int]: ...


def mail_at(values: Source) -> str:
    """An address without its sign."""
    return values.email().replace("@", values.pick(AT_SIGNS))


def mail_spaced(values: Source) -> str:
    """An address with a blank after every letter."""
    return " ".join(values.email())


def card_dotted(values: Source) -> str:
    number = values.card_number()
    return values.pick((".", "_", "·", "/", "  ")).join(number[i : i + 4] for i in range(0, 16, 4))


def card_broken(values: Source) -> str:
    """A card number that the line's end cuts, after any of its groups."""
    number = values.card_number()
    groups = [number[i : i + 4] for i in range(0, 16, 4)]
    cut = int(values.pick("123"))
    return " ".join(groups[:cut]) + values.pick(("\n", " \n", "-\n")) + " ".join(groups[cut:])


def dob(values: Source) -> str:
    year, month, day = values.birthday()
    short = year % 100
    return values.pick(
        (
            f"{day}.{month}.{short:02d}",
            f"{day}/{month}/{short:02d}",
            f"{day}.{month}.{year}",
            f"{day}-{month}-{short:02d}",
        )
    )


def file_date(values: Source) -> str:
    year, month, day = values.birthday()
    return values.pick(
        (f"{year}-{month:02d}-{day:02d}", f"{day:02d}-{month:02d}-{year}", f"{year}{month:02d}{day:02d}")
    )


def phone_bare(values: Source) -> str:
    """A number without a country's grouping."""
    return values.shape(values.pick(("6999999999", "7999999999", "5559999", "999999999", "99 99 99 99", "9999999999")))


def phone_words(values: Source) -> str:
    words = _DIGIT_WORDS[values.language].split()
    return values.pick((" ", ", ", "-")).join(
        words[int(digit)] for digit in values.shape("9" * int(values.pick("789")))
    )


def handle(values: Source) -> str:
    return "@" + values.username()
