"""Blocks -> chunks that fit the encoder: within one heading, cut between sentences, never past the token limit."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from services.core.contracts.document import Chunk
from services.core.search.parse import Block

MAX_TOKENS = 254  # with its two marks the 256 that the encoder was trained for
SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")

CountTokens = Callable[[str], int]


def cut(blocks: Iterable[Block], count_tokens: CountTokens, *, max_tokens: int = MAX_TOKENS) -> tuple[Chunk, ...]:
    """Chunks in the document's order, each of one heading and one page."""
    chunks: list[Chunk] = []
    for (heading, page), group in groupby(blocks, key=lambda block: (block.heading, block.page)):
        for text, start_s in _pack(group, count_tokens, max_tokens):
            chunks.append(Chunk(ordinal=len(chunks), text=text, heading=heading, page=page, start_s=start_s))
    return tuple(chunks)


def _pack(blocks: Iterable[Block], count_tokens: CountTokens, max_tokens: int) -> Iterator[tuple[str, float | None]]:
    parts: list[str] = []
    used, start_s = 0, None
    for sentence, at_s in _sentences(blocks, count_tokens, max_tokens):
        tokens = count_tokens(sentence)
        if parts and used + tokens > max_tokens:
            yield "\n".join(parts), start_s
            parts, used = [], 0
        start_s = start_s if parts else at_s
        parts.append(sentence)
        used += tokens
    if parts:
        yield "\n".join(parts), start_s


def _sentences(
    blocks: Iterable[Block], count_tokens: CountTokens, max_tokens: int
) -> Iterator[tuple[str, float | None]]:
    for block in blocks:
        for sentence in SENTENCE_END.split(block.text):
            for piece in _fitting(sentence.strip(), count_tokens, max_tokens):
                yield piece, block.start_s


def _fitting(sentence: str, count_tokens: CountTokens, max_tokens: int) -> Iterator[str]:
    """The sentence, or its halves at a space, or, without any space, its halves."""
    if not sentence:
        return
    if len(sentence) <= max_tokens or count_tokens(sentence) <= max_tokens:  # a token has at least one character
        yield sentence
        return
    middle = len(sentence) // 2
    space = sentence.find(" ", middle)
    at = space if 0 < space < len(sentence) - 1 else middle
    yield from _fitting(sentence[:at].strip(), count_tokens, max_tokens)
    yield from _fitting(sentence[at:].strip(), count_tokens, max_tokens)
