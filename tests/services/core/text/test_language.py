import pytest

from services.core.text.language import detect_language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Please reset my password, I can not log in"),
        ("de", "Ich kann mich seit gestern nicht mehr anmelden"),
        ("fr", "Je ne peux plus me connecter à mon compte"),
        ("es", "No puedo entrar en mi cuenta desde ayer por la tarde"),
    ],
)
def test_a_sentence_tells_its_language(language: str, text: str) -> None:
    """One sentence is enough."""
    assert detect_language(text) == language


def test_no_stop_words_give_the_default() -> None:
    """A bare error code has no language."""
    assert detect_language("0x80070005", default="de") == "de"
