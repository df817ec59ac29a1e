"""Which strings of a ticket are links, article numbers, ticket ids and error codes."""

import pytest

from services.core.llm.references import REFERENCES_MAX, find_references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "See https://kb.example.com/a?b=1&c=2#d. Then http://x.example/y).",
            ("https://kb.example.com/a?b=1&c=2#d", "http://x.example/y"),
        ),
        ("KB0012345, INC 0099887 and CHG0000001", ("KB0012345", "INC 0099887", "CHG0000001")),
        ("duplicate of OPS-142 and CVE-2026-1234", ("OPS-142", "CVE-2026-1234")),
        (
            "0x80070005, AADSTS50076, ORA-00942, ERR_NAME_NOT_RESOLVED",
            ("0x80070005", "AADSTS50076", "ORA-00942", "ERR_NAME_NOT_RESOLVED"),
        ),
        ("Error 809 after Fehlercode: 1603, HTTP 503", ("Error 809", "Fehlercode: 1603", "HTTP 503")),
        ("UTF-8 with SHA-256 in RFC-2119 cost EUR500 in EMEA2024", ()),
        ("call <PHONE_1> or write to <EMAIL_2>", ()),
        ("OPS-1 OPS-1 OPS-1", ("OPS-1",)),
    ],
)
def test_references_are_found_as_written(text, expected):
    assert find_references(text) == expected


def test_there_are_at_most_ten():
    assert len(find_references(*(f"OPS-{number}" for number in range(50)))) == REFERENCES_MAX
