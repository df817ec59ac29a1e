"""Links, article numbers, ticket ids and error codes as they stand in a text."""

import re

REFERENCES_MAX = 10
# Every alternative is bounded and starts with a literal or a class that few characters meet: linear time.
REFERENCE = re.compile(
    r"https?://[^\s<>\"'\]\[{}|\\^`]{1,500}"
    r"|\b(?:KB|INC|RITM|REQ|CHG|PRB|CVE)[- ]?\d{3,10}(?:-\d{1,7})?\b"
    r"|\b[A-Z][A-Z0-9]{1,9}-\d{1,7}\b"
    r"|\b0x[0-9A-Fa-f]{4,16}\b"
    r"|\b(?:E|AADSTS|MSB|CS|TS)\d{3,7}\b"
    r"|\b(?:ERR|ERROR)_[A-Z0-9_]{3,40}\b"
    r"|\b(?i:error(?: code)?|event id|fehler(?:code)?|erreur|codigo|código|http)[ :#]{1,3}\d{3,6}\b"
)
NOT_A_REFERENCE = re.compile(r"(?:UTF|ISO|SHA|RFC|MD|AES|COVID|WPA|PM|AM)-\d+$")
TRAILING = ".,;:!?)>*_"


def find_references(*texts: str) -> tuple[str, ...]:
    """Each reference once, in the order met, at most ten, exactly as written (trailing punctuation removed)."""
    found: dict[str, None] = {}
    for text in texts:
        for match in REFERENCE.finditer(text):
            written = match.group().rstrip(TRAILING)
            if not NOT_A_REFERENCE.match(written):
                found[written] = None
            if len(found) == REFERENCES_MAX:
                return tuple(found)
    return tuple(found)
