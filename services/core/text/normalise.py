"""A ticket's text as every model sees it: one copy for training and serving, so that the two cannot drift apart."""

import html
import re
import unicodedata

MODEL_MAX_CHARS = 4_000  # more than any of our encoders reads (128 to 512 tokens)

_HTML = re.compile(
    r"<(?:!doctype html|/?(?:html|head|body|div|p|br|span|table|tr|td|th|ul|ol|li|a|b|i|u|strong|em|font|h[1-6]"
    r"|img|style|script|blockquote"
    r"|pre|hr|meta|center))(?:\s[^<>]{0,4096})?/?>",
    re.I,
)
_HTML_ROUNDS = 3  # systems escape HTML twice; more often is an attack
_ENTITY = re.compile(r"&(?:#\d{1,8}|#x[\da-f]{1,8}|[a-z][a-z0-9]{1,30});", re.I)
_FORMS = ("<wide>", "<small>", "<font>")  # of Unicode: other shapes of a letter or sign that mean the same
_BLOCK_END = re.compile(r"(?=<(?:br|/p|/div|/tr|/li|/h[1-6]|/table|/ul|/ol|hr|/blockquote|/title)\b)", re.I)
_KEPT_CONTROL = frozenset("\n\t")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")
# "On 3 May 2024 at 10:12, Jane wrote:" and its German, French and Spanish forms, at most two lines long.
_ATTRIBUTION = re.compile(
    r"^(?:On\b[^\n]{4,200}\n?[^\n]{0,100}\bwrote:|Am\b[^\n]{4,200}\n?[^\n]{0,100}\bschrieb[^\n]{0,80}:"
    r"|Le\b[^\n]{4,200}\n?[^\n]{0,100}\ba écrit ?:|El\b[^\n]{4,200}\n?[^\n]{0,100}\bescribió:)[ ]*$",
    re.M,
)
_ORIGINAL = re.compile(
    r"^-{2,10} ?(?:Original Message|Ursprüngliche Nachricht|Message d['’]origine|Message original"
    r"|Mensaje original) ?-{2,10}[ ]*$",
    re.M | re.I,
)
_SIGNATURE = re.compile(r"^-- ?$", re.M)
_SIGNATURE_MAX_LINES = 12
_SENT_FROM = re.compile(
    r"\n(?:Sent from my [^\n]{2,40}|Von meinem [^\n]{2,40} gesendet|Envoyé de mon [^\n]{2,40}"
    r"|Enviado desde mi [^\n]{2,40})\s*\Z",
    re.I,
)
_REPLY_MIN_WORDS = 4  # less above the quote is "FYI": the quote is the ticket


def normalise(text: str) -> str:
    """
    Plain NFC text with single spaces and at most one blank line; every script, error code and number stays.

    HTML becomes text, and so does an entity without any: `ann&#64;example.com` is an address. Quoted history and a
    signature go only where their mark is unambiguous. Doing it twice is doing it once.
    """
    text = _visible(text)
    for _ in range(_HTML_ROUNDS):
        if not (is_html := _HTML.search(text)) and not _ENTITY.search(text):
            break
        text = _visible(_ENTITY.sub(_said, _html_to_text(text) if is_html else text))
    else:
        text = _HTML.sub(" ", _ENTITY.sub(_unsaid, text))
    text = _collapse(text)
    while (shorter := _collapse(_without_history(text))) != text:
        text = shorter
    return text


def model_text(subject: str, body: str, max_chars: int = MODEL_MAX_CHARS) -> str:
    """What a classifier reads: subject and body on one line, cut at `max_chars`."""
    joined = f"{normalise(subject)}\n{normalise(body)}"
    return " ".join(joined[: 2 * max_chars].split())[:max_chars].rstrip()


def _visible(text: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    replaced = {ord(char): _replacement(char) for char in set(text) if not char.isascii() or not char.isprintable()}
    return unicodedata.normalize("NFC", text.translate(replaced)) if replaced else text


def _replacement(char: str) -> str:
    """
    Blank for an odd space or line end, nothing for control and zero-width characters and lone surrogates, the usual
    form for a full-width or ornate one.
    """
    if char.isprintable():
        return unicodedata.normalize("NFKC", char) if unicodedata.decomposition(char).startswith(_FORMS) else char
    if char in _KEPT_CONTROL:
        return char
    return " " if unicodedata.category(char) in ("Zs", "Zl", "Zp") or char in "\v\f\x85" else ""


def _said(entity: re.Match[str]) -> str:
    """What it stands for; but `&lt;` in a plain text is meant so."""
    meant = html.unescape(entity.group())
    return entity.group() if meant in "<>" else meant


def _unsaid(entity: re.Match[str]) -> str:
    return entity.group() if _said(entity) == entity.group() else " "


def _html_to_text(html: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_BLOCK_END.sub("\n", _keep_placeholders(html)))
    for node in tree.css("script, style, head > title, template, noscript"):
        node.decompose()
    return tree.text(separator="")


def _keep_placeholders(html: str) -> str:
    """`<PERSON_1>` is text of ours, not an element."""
    return re.sub(r"<([A-Z_]{3,20}_\d{1,6})>", r"&lt;\1&gt;", html)


def _without_history(text: str) -> str:
    cuts = [match.start() for match in (_ATTRIBUTION.search(text), _ORIGINAL.search(text)) if match]
    if cuts and len(text[: min(cuts)].split()) >= _REPLY_MIN_WORDS:
        text = text[: min(cuts)]
    signature = _SIGNATURE.search(text)
    if signature and signature.start() and text.count("\n", signature.end()) <= _SIGNATURE_MAX_LINES:
        text = text[: signature.start()]
    return _SENT_FROM.sub("", text)


def _collapse(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
