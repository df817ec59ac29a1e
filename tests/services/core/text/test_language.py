import pytest

from services.core.text.language import detect_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Please reset my password, I can not log in"),
        ("de", "Ich kann mich seit gestern nicht mehr anmelden"),
        ("fr", "Je ne peux plus me connecter à mon compte"),
        ("es", "No puedo entrar en mi cuenta desde ayer por la tarde"),
        ("it", "Non riesco ad accedere alla posta dalla settimana scorsa"),
        ("nl", "Ik kan sinds gisteren niet meer inloggen op de server"),
        ("pl", "Nie mogę się zalogować do poczty od wczoraj"),
        ("pt", "Não consigo entrar no meu correio desde ontem"),
        ("en", "my laptop has a new card, de:ad:be:ef:le:la and 00-de-la-le-du-un"),
    ],
)
def test_a_sentence_tells_its_language(language: str, text: str) -> None:
    """One sentence is enough."""
    assert detect_language(text) == language


def test_no_stop_words_give_the_default() -> None:
    """A bare error code has no language."""
    assert detect_language("0x80070005", default="de") == "de"
