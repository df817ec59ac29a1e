"""Documents as files have them -> blocks of text under their headings. Knows nothing of models or storage."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from services.core.contracts.document import TITLE_MAX_CHARS, DocumentKind
from services.core.kit.errors import InputInvalid

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

SIZE_MAX_BYTES = 50 * 1024 * 1024  # a manual of thousands of pages; beyond it somebody pointed at the wrong file
PAGES_MAX = 5_000
UNREAD = frozenset(
    {"script", "style", "nav", "header", "footer", "aside", "noscript", "template", "svg", "form", "button", "iframe"}
    | {"object", "embed", "head"}
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BREAKS = frozenset(
    {"p", "li", "ul", "ol", "dl", "dt", "dd", "pre", "table", "tr", "div", "section", "article", "main", "blockquote"}
    | {"figure", "figcaption", "br", "hr", "details", "summary"}
)
SPACE = re.compile(r"[^\S\n]+")
BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Block:
    """A paragraph, list item, table row or caption, under `heading` (outermost first)."""

    text: str
    heading: tuple[str, ...] = ()
    start_s: float | None = None
    page: int | None = None


@dataclass(frozen=True)
class Parsed:
    kind: DocumentKind
    title: str
    blocks: tuple[Block, ...]


def parse(name: str, content: bytes) -> Parsed:
    """
    The text of a file; its name's ending says how to read it.

    Raises:
        InputInvalid: nobody here reads that ending, or the content is not what the ending says, or holds no text.
    """
    path = PurePosixPath(name)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = " ".join(sorted(READERS))
        raise InputInvalid(f"{name}: no reader for '{path.suffix}'. Readable: {known}. Convert it or leave it out.")
    if len(content) > SIZE_MAX_BYTES:
        raise InputInvalid(f"{name}: {len(content):,} bytes; at most {SIZE_MAX_BYTES:,}. Split it.")
    kind, read = reader
    try:
        title, blocks = read(content)
    except InputInvalid:
        raise
    except Exception as exc:  # the parsers of foreign formats raise whatever they like on broken files
        raise InputInvalid(
            f"{name}: not readable as {kind} ({type(exc).__name__}: {exc}). Repair or remove it."
        ) from exc
    blocks = [block for block in blocks if block.text]
    if not blocks:
        raise InputInvalid(f"{name}: no text in it. A scan needs OCR first.")
    return Parsed(kind, _line(title or _from_name(path))[:TITLE_MAX_CHARS], tuple(blocks))


Read = Callable[[bytes], tuple[str, list[Block]]]


def _read_markdown(content: bytes) -> tuple[str, list[Block]]:
    from markdown_it import MarkdownIt

    outline, blocks, level = _Outline(), [], 0
    for token in MarkdownIt("commonmark", {"html": False}).enable("table").parse(_decode(content)):
        if token.type == "heading_open":
            level = int(token.tag[1])
        elif token.type == "heading_close":
            level = 0
        elif token.type == "inline" and level:
            outline.enter(level, _inline(token.children or []))
        elif token.type == "inline":
            blocks.append(Block(_inline(token.children or []), outline.path))
        elif token.type in ("fence", "code_block"):
            blocks.append(Block(token.content.strip(), outline.path))
    return outline.title, blocks


def _inline(children: list) -> str:
    """The words of one paragraph: link texts without their addresses, breaks as spaces."""
    return _tidy("".join(" " if child.type.endswith("break") else child.content for child in children))


def _read_html(content: bytes) -> tuple[str, list[Block]]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(content)
    title = tree.css_first("title")
    root = tree.css_first("main") or tree.css_first("article") or tree.body
    outline = _Outline()
    blocks = [] if root is None else list(_html_blocks(root, outline))
    return outline.title or (_tidy(title.text()) if title else ""), blocks


def _html_blocks(root: "LexborNode", outline: "_Outline") -> Iterator[Block]:
    """Depth first with a stack of our own: a page of ten thousand nested elements must not end the process."""
    stack: list[LexborNode | None] = [root]
    words: list[str] = []
    while stack:
        node = stack.pop()
        tag = node.tag if node is not None else None
        if node is not None and tag == "-text":
            words.append(node.text_content or "")
            continue
        if (node is None or tag in BREAKS or tag in HEADINGS) and words:
            yield Block(_tidy("".join(words)), outline.path)
            words = []
        if node is None or tag in UNREAD or "hidden" in node.attributes:
            continue
        if tag in HEADINGS:
            outline.enter(HEADINGS[tag], _tidy(node.text()))
        else:
            end = [None] if tag in BREAKS else []
            words += [" "] if tag in ("td", "th") else []
            stack += [*end, *reversed(list(node.iter(include_text=True)))]
    if words:
        yield Block(_tidy("".join(words)), outline.path)


def _read_text(content: bytes) -> tuple[str, list[Block]]:
    return "", [Block(_tidy(part)) for part in BLANK_LINE.split(_decode(content))]


def _read_pdf(content: bytes) -> tuple[str, list[Block]]:
    from pypdf import PdfReader

    reader = PdfReader(BytesIO(content))
    if len(reader.pages) > PAGES_MAX:
        raise InputInvalid(f"A PDF of {len(reader.pages)} pages; at most {PAGES_MAX}. Split it.")
    title = str(reader.metadata.title or "") if reader.metadata else ""
    pages = enumerate(reader.pages, start=1)
    return _tidy(title), [Block(_tidy(page.extract_text()), page=number) for number, page in pages]


def _read_vtt(content: bytes) -> tuple[str, list[Block]]:
    import webvtt

    return "", _captions(webvtt.from_string(_decode(content)))


def _read_srt(content: bytes) -> tuple[str, list[Block]]:
    import webvtt

    return "", _captions(webvtt.from_buffer(BytesIO(_decode(content).encode()), format="srt"))


def _captions(captions: object) -> list[Block]:
    return [Block(_tidy(one.text), start_s=float(one.start_in_seconds)) for one in captions]  # ty: ignore[not-iterable]


class _Outline:
    """The headings above the place that is being read."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.title = ""

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._open)

    def enter(self, level: int, text: str) -> None:
        name = _line(text)
        self._open = [(above, known) for above, known in self._open if above < level] + [(level, name)]
        self.title = self.title or name


def _decode(content: bytes) -> str:
    """
    UTF-8 with or without its mark; UTF-16 only with one.

    Raises:
        InputInvalid: neither; guessing would index nonsense.
    """
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding).replace("\0", "")
    except UnicodeDecodeError as exc:
        raise InputInvalid(f"Not UTF-8 text (byte {exc.start}). Save it as UTF-8.") from exc


def _tidy(text: str) -> str:
    return "\n".join(line.strip() for line in SPACE.sub(" ", text.replace("\0", "")).splitlines() if line.strip())


def _line(text: str) -> str:
    """On one line: a title with line breaks would look like several lines of a note to an agent."""
    return " ".join(text.split())


def _from_name(path: PurePosixPath) -> str:
    return path.stem.replace("-", " ").replace("_", " ").strip().capitalize()


READERS: dict[str, tuple[DocumentKind, Read]] = {
    ".md": (DocumentKind.MARKDOWN, _read_markdown),
    ".markdown": (DocumentKind.MARKDOWN, _read_markdown),
    ".html": (DocumentKind.HTML, _read_html),
    ".htm": (DocumentKind.HTML, _read_html),
    ".txt": (DocumentKind.TEXT, _read_text),
    ".pdf": (DocumentKind.PDF, _read_pdf),
    ".vtt": (DocumentKind.TRANSCRIPT, _read_vtt),
    ".srt": (DocumentKind.TRANSCRIPT, _read_srt),
}
