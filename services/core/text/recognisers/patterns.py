"""Presidio's pattern and checksum recognisers, with patterns bounded so that no input is slower than linear."""

import re
from collections.abc import Iterator
from typing import Any

from services.core.text.recognisers.lean_import import lean_import
from services.core.text.recognisers.lexicon import words
from services.core.text.recognisers.span import Span

# Presidio's own e-mail pattern is quadratic on "a!a!a!..." (unbounded local part); RFC 5321 limits it to 64.
EMAIL = r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}\b"
# Issuer ranges and lengths: https://en.wikipedia.org/wiki/Payment_card_number, read 2026-11-20.
_SEP = "[ -]?"
CARDS = (
    r"4(?:{s}\d){{12}}(?:(?:{s}\d){{3}}(?:(?:{s}\d){{3}})?)?",  # Visa 13, 16, 19
    r"(?:5[1-5]|2[2-7])(?:{s}\d){{14}}",  # Mastercard
    r"3[47](?:{s}\d){{13}}",  # American Express
    r"3(?:0[0-5]|[689]\d)(?:{s}\d){{11}}",  # Diners Club
    r"(?:6[0245]|81|35)(?:{s}\d){{14,17}}",  # Discover, UnionPay, JCB
    r"(?:1800|2131)(?:{s}\d){{11}}",  # JCB, 15 digits
    r"(?:5[0678]|6[0-9])(?:{s}\d){{10,17}}",  # Maestro 12 to 19
)
_CARD_EDGES = r"(?<![\w.-]){}(?![\w]|[.-]\d)"

_WORDS_BEFORE = 60  # characters searched for a word that says what a weak number is
_SSN_WORDS = re.compile(r"\b(?:ssn|social|security|sozialversicherung\w*)\b", re.I)
_VERSION_WORDS_BEFORE = 24
_VERSION = re.compile(
    r"\b(?:versions?|ver|v|release|build|firmware|update|upgrade|patch|V8)\b[^\w\n]{0,3}$|==$|[<>]=$", re.I
)
# Technical words that stand before an address as often as before a version.
_NETWORK_WORDS = frozenset(
    [
        "ip",
        "ipv4",
        "ipv6",
        "host",
        "server",
        "client",
        "printer",
        "router",
        "switch",
        "firewall",
        "proxy",
        "dns",
        "dhcp",
        "vpn",
        "lan",
        "wan",
        "nat",
        "gateway",
        "ssh",
        "rdp",
        "ftp",
        "sftp",
        "http",
        "https",
        "tcp",
        "udp",
        "ping",
        "node",
        "localhost",
        "desktop",
        "laptop",
        "pc",
        "network",
        "radius",
        "smtp",
        "imap",
        "ldap",
        "nas",
        "san",
        "scanner",
        "phone",
        "mac",
        "url",
    ]
)
# What a text must hold for the recogniser to find anything in it: one short look instead of up to ten long ones.
_NEEDS = {
    "EMAIL_ADDRESS": re.compile("@"),
    "IBAN_CODE": re.compile(r"[A-Z]{2}[ -]?\d{2}", re.I),
    "CREDIT_CARD": re.compile(r"\d(?:[ -]?\d){11}"),
    "IP_ADDRESS": re.compile(r"\d\.\d{1,3}\.\d|::|[\da-f]:[\da-f]{1,4}:[\da-f]", re.I),
    "US_SSN": re.compile(r"\d(?:[ .-]?\d){8}"),
}
_ACCEPT_SCORE = 0.4  # Presidio's "medium"; weaker patterns need a word before them


class PresidioPatterns:
    """E-mail, IBAN, payment card, IP address and US social security number, whatever the language."""

    def __init__(self) -> None:
        self._recognisers = [
            (recogniser, _NEEDS[recogniser.supported_entities[0]]) for recogniser in presidio_recognisers()
        ]

    def find(self, text: str, language: str) -> Iterator[Span]:
        del language  # these numbers look the same in every language
        for recogniser, needed in self._recognisers:
            written = as_written(text, recogniser)
            for result in recogniser.analyze(written, recogniser.supported_entities) if needed.search(written) else ():
                if (result.score >= _ACCEPT_SCORE or _has_word_before(text, result)) and not _is_version(text, result):
                    yield Span(result.start, result.end, result.entity_type)


def presidio_recognisers() -> list[Any]:
    lean_import("presidio_analyzer")
    from presidio_analyzer import Pattern
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        UsSsnRecognizer,
    )

    class OfflineEmailRecognizer(EmailRecognizer):
        """Presidio's asks tldextract, which downloads a list; an internal domain is an address too."""

        def validate_result(self, pattern_text: str) -> bool | None:
            del pattern_text
            return True

    cards = [Pattern(f"card {n}", _CARD_EDGES.format(card.format(s=_SEP)), 0.3) for n, card in enumerate(CARDS)]
    return [
        OfflineEmailRecognizer(patterns=[Pattern("email", EMAIL, 0.5)]),
        IbanRecognizer(),
        CreditCardRecognizer(patterns=cards),
        IpRecognizer(),
        UsSsnRecognizer(),
    ]


def _is_version(text: str, result: Any) -> bool:
    """Four numbers after "version" or a product are its version: "Outlook 16.0.1.2", "cudnn==8.6.0.163"."""
    if result.entity_type != "IP_ADDRESS":
        return False
    before = text[max(0, result.start - _VERSION_WORDS_BEFORE) : result.start]
    last = re.search(r"([^\W\d_]+)\W{0,3}$", before)
    return bool(_VERSION.search(before)) or bool(last and last.group(1).lower() in words("technology") - _NETWORK_WORDS)


def as_written(text: str, recogniser: Any) -> str:
    """An IBAN is also written in lower case, which Presidio does not read."""
    upper = text.upper() if "IBAN_CODE" in recogniser.supported_entities else text
    return upper if len(upper) == len(text) else text  # "ß".upper() is longer: offsets would shift


def _has_word_before(text: str, result: Any) -> bool:
    before = text[max(0, result.start - _WORDS_BEFORE) : result.start]
    return result.entity_type == "US_SSN" and bool(_SSN_WORDS.search(before))
