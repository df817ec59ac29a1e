"""
The words of an HTML message, as its reader sees them: editors and mail programs write HTML where people write text.

Tokens by one expression, each character looked at once: the standard library's parser takes minutes for a megabyte that
was built to hurt it. Nothing of the page is kept but its words.
"""

import html
import re
from collections.abc import Iterable, Iterator

UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table", "ul", "hr"}
)
# A comment, even one without an end; a tag; words; a lone angle.
TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<end>/?)(?P<tag>[a-zA-Z][a-zA-Z0-9]{0,20})?[^<>]*>"
    r"|(?P<words>[^<]+|<)",
    re.DOTALL,
)
SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
QUOTE, UNQUOTE = "\x0e", "\x0f"  # stand where a quotation begins and ends, until lines are made
PLAIN = {ord("\n"): " ", ord(QUOTE): None, ord(UNQUOTE): None}
QUOTES_MAX = 20
GAPS = re.compile(r"\n{3,}")


def text_of(markup: str) -> str:
    """The visible words; a line per block, no more than one empty line between two, what is quoted behind `>`."""
    lines = _quoted(SPACES.sub(" ", line).strip() for line in "".join(_words(markup)).split("\n"))
    return GAPS.sub("\n\n", "\n".join(lines)).strip()


def _words(markup: str) -> Iterator[str]:
    unseen = 0
    for token in TOKEN.finditer(markup):
        tag, is_end = (token["tag"] or "").lower(), token["end"] == "/"
        if tag in UNSEEN:
            unseen = max(0, unseen - 1) if is_end else unseen + 1
        if tag in BREAKS:
            quote = tag == "blockquote"
            yield UNQUOTE * (quote and is_end) + "\n" + QUOTE * (quote and not is_end)
        elif token["words"] and not unseen:
            yield html.unescape(token["words"]).translate(PLAIN)


def _quoted(lines: Iterable[str]) -> Iterator[str]:
    depth = 0
    for line in lines:
        depth += line.count(QUOTE)
        text = line.replace(QUOTE, "").replace(UNQUOTE, "")
        yield "> " * min(depth, QUOTES_MAX) + text if text else text
        depth = max(0, depth - line.count(UNQUOTE))
