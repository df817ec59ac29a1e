"""
The words of an HTML message, as its reader sees them: editors and mail programs write HTML where people write text.

The standard library's parser: the gateway has no other, and nothing of the page is kept but its words.
"""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table", "ul", "hr"}
)
SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
QUOTE, UNQUOTE = "\x0e", "\x0f"  # stand where a quotation begins and ends, until lines are made
PLAIN = {ord("\n"): " ", ord(QUOTE): None, ord(UNQUOTE): None}
GAPS = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The visible words; a line per block, no more than one empty line between two, what is quoted behind `>`."""
    words = _Words()
    words.feed(html)
    words.close()
    lines = _quoted(SPACES.sub(" ", line).strip() for line in "".join(words.found).split("\n"))
    return GAPS.sub("\n\n", "\n".join(lines)).strip()


def _quoted(lines: Iterable[str]) -> Iterator[str]:
    depth = 0
    for line in lines:
        depth += line.count(QUOTE)
        text = line.replace(QUOTE, "").replace(UNQUOTE, "")
        yield "> " * depth + text if text else text
        depth -= line.count(UNQUOTE)


class _Words(HTMLParser):
    """State: the words so far, and how many elements nobody sees are open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in UNSEEN
        if tag in BREAKS:
            self.found.append("\n" + QUOTE * (tag == "blockquote"))

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in UNSEEN))
        if tag in BREAKS:
            self.found.append(UNQUOTE * (tag == "blockquote") + "\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.found.append(data.translate(PLAIN))
