"""What the conversation answers from: documents, the chunks they are searched by, and the evidence that was found."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from services.core.contracts.base import Contract

URI_MAX_CHARS = 2_000
TITLE_MAX_CHARS = 500


class DocumentKind(StrEnum):
    """What a parser knows how to read, and `case`: the summary of a conversation that a person resolved."""

    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"
    PDF = "pdf"
    TRANSCRIPT = "transcript"
    CASE = "case"


class Chunk(Contract):
    """
    A part of a document that fits the encoder, in the document's order.

    `heading` is the way to it, outermost first. `start_s` is the second of a recording, `page` the page of a PDF.
    """

    ordinal: int = Field(ge=0)
    text: str = Field(min_length=1)
    heading: tuple[str, ...] = ()
    start_s: float | None = Field(default=None, ge=0)
    page: int | None = Field(default=None, ge=1)


class Document(Contract):
    """
    One document as it is searched. `source` and `uri` name it; the same content hash is not indexed again.

    `acl` names the groups that may read it; an empty one is for everybody.
    """

    source: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    uri: str = Field(min_length=1, max_length=URI_MAX_CHARS)
    title: str = Field(max_length=TITLE_MAX_CHARS)
    kind: DocumentKind
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    acl: tuple[str, ...] = ()
    chunks: tuple[Chunk, ...] = ()


class Evidence(Contract):
    """
    A chunk that was found, as an answer cites it. `score` orders within one search and compares with no other.

    `cosine` is the similarity of chunk and question (-1..1).
    """

    chunk_id: int
    source: str
    uri: str
    title: str
    heading: tuple[str, ...] = ()
    text: str
    score: float
    cosine: float
    start_s: float | None = None
    page: int | None = None
    updated_at: datetime | None = None

    @property
    def link(self) -> str:
        """The address of the very place: a second of the recording, or a page (RFC 8118, W3C Media Fragments)."""
        if self.start_s is not None:
            return f"{self.uri}#t={int(self.start_s)}"
        return self.uri if self.page is None else f"{self.uri}#page={self.page}"
