"""
Whether a message begins something new: then what was said before says nothing about what it means.

A follow-up is searched leaning on the conversation (`meant_vector`). Somebody who asks about the VPN and then about
their printer would be told about the VPN again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from services.core.contracts.document import Chunk
from services.core.search.documents import embedded_text
from services.core.search.encoder import TextEncoder, Vectors
from services.core.search.retrieve import Found, Question, meant_vector

POINTS_AT = re.compile(
    r"\b(?:this|that|these|those|it|its|she|her|hers|he|him|his|they|them|their|such|the same)\b", re.IGNORECASE
)
# Cosines of the bare question: to what it finds by itself, and how much less to what it finds in its context. Measured
# on follow-ups of support_rag_qa (design/adr/0172).
STANDS_ALONE, APART = 0.38, 0.24

Find = Callable[[Question, Vectors], Awaitable[Found]]


async def unless_new(encoder: TextEncoder, question: Question, found: Found, find: Find) -> Found:
    """What was found for the question in its context, or by itself when it begins something new."""
    if not question.previous or not found.evidence or POINTS_AT.search(question.text):
        return found
    alone = Question(question.text)
    vector = await asyncio.to_thread(meant_vector, encoder, alone)
    other = await find(alone, vector)
    is_new = await asyncio.to_thread(_is_new, encoder, vector, found, other)
    return other if is_new else found


def _is_new(encoder: TextEncoder, vector: Vectors, found: Found, other: Found) -> bool:
    by_itself = max((one.cosine for one in other.evidence[:3]), default=0.0)
    if by_itself < STANDS_ALONE:
        return False
    first = found.evidence[0]
    text = embedded_text(first.title, Chunk(ordinal=0, text=first.text, heading=first.heading))
    return by_itself - float(encoder.embed([text])[0] @ vector) >= APART
