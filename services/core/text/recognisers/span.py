"""What every recogniser returns, and how overlapping findings become one answer."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

# Which finding wins where two overlap, strongest first: a checksum beats a pattern, a pattern beats a guess.
PRECEDENCE = (
    "SECRET",
    "EMAIL_ADDRESS",
    "URL",
    "IBAN_CODE",
    "CREDIT_CARD",
    "MAC_ADDRESS",
    "IP_ADDRESS",
    "US_SSN",
    "US_DRIVER_LICENSE",
    "NATIONAL_ID",
    "TAX_ID",
    "BANK_ACCOUNT",
    "DEVICE_ID",
    "USERNAME",
    "EMPLOYEE_ID",
    "DATE_TIME",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "LICENSE_PLATE",
    "ZIP_CODE",
    "AGE",
    "TITLE",
    "PERSON",
    "ORGANIZATION",
    "LOCATION",
    "NRP",
    "OTHER",  # only the strict level: nobody can vouch for it
)
_RANK = {entity: rank for rank, entity in enumerate(PRECEDENCE)}


class Span(NamedTuple):
    """Characters `start` (inclusive) to `end` (exclusive) of a text are personal data; a `certain` one wins."""

    start: int
    end: int
    entity: str
    certain: bool = False


_PLACEHOLDER_LIKE = re.compile(r"<[A-Z_]{3,20}_\d{1,6}>")
_CAPITALISED_INSIDE = re.compile(r"(?<=[a-zß-öø-ÿ,] )[^\W\d_a-zß-öø-ÿ][a-zß-öø-ÿ]")


def is_small(text: str) -> bool:
    """Nobody used capitals for names: none stands inside a sentence. Placeholders do not count."""
    text = _PLACEHOLDER_LIKE.sub("", text) if "<" in text else text
    return text.islower() or (any(map(str.islower, text)) and not _CAPITALISED_INSIDE.search(text))


class Recogniser(Protocol):
    """Finds one kind of personal data in linear time; safe to call from several threads."""

    def find(self, text: str, language: str) -> Iterable[Span]: ...


class NameModel(Protocol):
    """Finds names in lines that have nothing to do with each other, with their languages; one answer per line."""

    def find_many(self, lines: Sequence[tuple[str, str]]) -> list[list[Span]]: ...


def resolve(text: str, found: Iterable[Span], protected: Iterable[tuple[int, int]] = ()) -> list[Span]:
    """Spans in order, none overlapping another or a protected range; a weaker one keeps what is left of it."""
    taken = bytearray(len(text))
    for start, end in protected:
        taken[start:end] = b"\x01" * (end - start)
    kept = []
    for span in sorted(set(found), key=lambda s: (not s.certain, _RANK[s.entity], s.start - s.end, s.start)):
        for start, end in _free_parts(taken, span):
            start, end = _trim(text, start, end)
            if _worth_hiding(text, start, end):
                taken[start:end] = b"\x01" * (end - start)
                kept.append(Span(start, end, span.entity, span.certain))
    return sorted(kept)


def _free_parts(taken: bytearray, span: Span) -> list[tuple[int, int]]:
    parts, start = [], span.start
    while start < span.end:
        start = taken.find(0, start, span.end)
        if start < 0:
            break
        end = taken.find(1, start, span.end)
        end = span.end if end < 0 else end
        parts.append((start, end))
        start = end
    return parts


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not (text[start].isalnum() or text[start] in "+("):
        start += 1
    while end > start and not (text[end - 1].isalnum() or text[end - 1] in ")./"):
        end -= 1
    return start, end


def _worth_hiding(text: str, start: int, end: int) -> bool:
    return sum(map(str.isalnum, text[start : min(end, start + 8)])) >= 2
