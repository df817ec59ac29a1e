import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.text.normalise import model_text, normalise


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.text(alphabet="<>/&;bpbrlt gtam\n-> ", max_size=80),
        st.lists(st.sampled_from(["&#", "&amp;", "38;", "#x26;", "&", "lt;", "#", "60;", "6", "4;", "<p>", "＆"])).map(
            "".join
        ),
    )
)
def test_twice_is_once(text: str) -> None:
    """Training on normalised text and serving normalised text see the same."""
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "Ошибка 0x80070005",
        "打印机坏了",
        "الطابعة لا تعمل",
        "Fehler ORA-00942 bei Müller",
        "HTTP 502 <-> 503",
        "if a < b and c > d",
    ],
)
def test_every_script_and_code_stays(text: str) -> None:
    """No alphabet is thrown away and a comparison sign is no HTML."""
    assert normalise(text) == text


def test_html_becomes_lines_of_text() -> None:
    """Blocks end lines, entities are read, scripts and styles go."""
    html = (
        "<html><style>p{}</style><body><p>Hi&nbsp;there</p><div>a &lt; b<br>c</div><script>x()</script></body></html>"
    )
    assert normalise(html) == "Hi there\na < b\nc"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ann＠example.com", "ann@example.com"),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
        ("𝐚𝐧𝐧﹫example.com", "ann@example.com"),
        ("ann&#64;example.com", "ann@example.com"),
        ("ann&#x40;example&period;com", "ann@example.com"),
        ("ann&amp;#64;example.com", "ann@example.com"),
        ("M&uuml;ller &amp; Co", "Müller & Co"),
        ("x² of 打印机 &lt;value&gt; R&D; &foo;", "x² of 打印机 &lt;value&gt; R&D; &foo;"),
    ],
)
def test_other_ways_to_write_a_character_are_read(text: str, meant: str) -> None:
    """Full-width and ornate forms and entities would hide an address from the recognisers; others stay."""
    assert normalise(text) == meant


def test_hidden_characters_go() -> None:
    """Zero-width characters would hide an address from the recognisers."""
    assert normalise("jane\u200b@exa\u00admple.com\x00\u2028ok") == "jane@example.com ok"


@pytest.mark.parametrize(
    "quote",
    [
        "On Mon, 3 Jan 2024 at 10:00, Jane Doe <j@example.com> wrote:\n> old",
        "Am 03.01.2024 um 10:00 schrieb Jane Doe:\n> alt",
        "Le 3 janvier 2024 à 10:00, Jane Doe a écrit :\n> ancien",
        "El 3 ene 2024 a las 10:00, Jane Doe escribió:\n> viejo",
        "-----Original Message-----\nFrom: x",
        "-- \nJane Doe\nAcme",
        "Sent from my iPhone",
    ],
)
def test_quoted_history_and_signature_go(quote: str) -> None:
    """What an unambiguous mark opens is not part of this message."""
    assert normalise(f"The VPN is still broken today\n\n{quote}") == "The VPN is still broken today"


def test_a_bare_forward_keeps_its_content() -> None:
    """Under "FYI" the quoted mail is the ticket."""
    text = "FYI\n-----Original Message-----\nThe printer is on fire"
    assert "printer is on fire" in normalise(text)


def test_model_text_is_one_line_within_the_limit() -> None:
    """Subject first, then body, cut at the limit."""
    assert model_text("VPN", "does not\nconnect", max_chars=12) == "VPN does not"
