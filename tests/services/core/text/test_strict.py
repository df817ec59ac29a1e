"""The level for what leaves the account: only what somebody can vouch for stays."""

import pytest

from services.core.text.redact import restore
from services.core.text.strict import strict


def hidden(text: str, language: str = "en") -> str:
    return strict({"text": text}, language).fields["text"]


@pytest.mark.parametrize(
    "value", ["Kreutzmann", "jkowal", "48213399", "INC0012345", "Zorbixa", "Smith", "host-4711-b2x", "张伟", "Иван"]
)
def test_what_nobody_vouches_for_goes(value: str) -> None:
    """Names and numbers that the standard level missed."""
    assert value not in hidden(f"please ask {value} about the printer")


@pytest.mark.parametrize(
    "text",
    [
        "please restart the printer, it crashes since version 4.12.3 with 0x80070005",
        "Outlook and VPN fail with KB5005565 on port 8080 (CVE-2024-3094)",
        "<PERSON_1> wrote to <EMAIL_ADDRESS_2> in 2024",
    ],
)
def test_words_terms_and_public_codes_stay(text: str) -> None:
    """Else nothing would be left to judge the ticket by."""
    assert hidden(text) == text


def test_twice_is_once_and_comes_back() -> None:
    """Placeholders stay, and the vault gives every value back."""
    fields = {"subject": "Zorbixa is down", "body": "ask jkowal, <PERSON_1> and Zorbixa"}
    once = strict(fields, "en")
    assert strict(once.fields, "en").fields == once.fields
    assert {name: restore(text, once.vault) for name, text in once.fields.items()} == fields


def test_a_language_without_a_dictionary_hides_more_not_less() -> None:
    """Fail closed: what cannot be looked up is not vouched for."""
    assert hidden("Zorbixa", "xx") == "<OTHER_1>"
