"""A ticket's text as every model sees it: one copy for training and serving, so that the two cannot drift apart."""

import re
import unicodedata

MODEL_MAX_CHARS = 4_000  # more than any of our encoders reads (128 to 512 tokens)

_HTML = re.compile(
    r"<(?:!doctype html|html|head|body|div|p|br|span|table|tr|td|ul|ol|li|a|b|i|strong|em|font|h[1-6]|img|style|script|blockquote|pre)(?:\s[^<>]{0,4096})?/?>",
    re.I,
)
_HTML_ROUNDS = 3  # systems escape HTML twice; more often is an attack
_KEPT_CONTROL = {"\n", "\t"}
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """
    Plain NFC text with single spaces and at most one blank line; every script, error code and number stays.

    HTML becomes text, quoted mail history and signature blocks go where their marks are unambiguous.
    Doing it twice is doing it once.
    """
    text = _visible(text)
    for _ in range(_HTML_ROUNDS):
        if not _HTML.search(text):
            break
        text = _visible(_html_to_text(text))
    text = _HTML.sub(" ", text) if _HTML.search(text) else text
    return _collapse(text)


def model_text(subject: str, body: str, max_chars: int = MODEL_MAX_CHARS) -> str:
    """What a classifier reads: subject and body on one line, cut at `max_chars`."""
    joined = f"{normalise(subject)}\n{normalise(body)}"
    return " ".join(joined.split())[:max_chars]


def _visible(text: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if text.isascii() and text.isprintable():
        return text
    return "".join(_kept(char) for char in text)


def _kept(char: str) -> str:
    if char in _KEPT_CONTROL or char.isprintable():
        return char
    return " " if unicodedata.category(char) in ("Zs", "Zl", "Zp") else ""


def _html_to_text(html: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(html).text(separator="\n")


def _collapse(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
