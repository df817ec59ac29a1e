"""The sentences of the evidence that answer, verbatim. Selects; never writes."""

import re
from collections.abc import Iterator

import numpy as np

from services.core.contracts.conversation import Claim
from services.core.contracts.document import Evidence
from services.core.search.chunk import SENTENCE_END
from services.core.search.encoder import TextEncoder
from services.core.search.retrieve import Found

WINDOW = 5  # sentences shown: a window holds the core of the answer in 9 of 20, three best single ones in 6 (measured)
SAME_STATEMENT = 0.85  # cosine of two sentences that differ in their numbers only; below, they are about other things
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def passage(encoder: TextEncoder, found: Found) -> tuple[Claim, ...]:
    """
    The best sentence of the best evidence with those after it, each citing the chunk it stands in. Near the end it
    begins earlier: the last sentence alone ("Sign in again to go on.") answers nobody.
    """
    evidence = found.evidence[0]
    said = sentences(evidence.text)
    start = min(best_sentence(encoder, found, said), max(len(said) - WINDOW, 0))
    return tuple(Claim(text=text, citations=(evidence.chunk_id,)) for text in said[start : start + WINDOW])


def sentences(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in SENTENCE_END.split(text)) if part]


def best_sentence(encoder: TextEncoder, found: Found, said: list[str]) -> int:
    """Where the sentence nearest to the meant question stands; an early one wins a tie."""
    assert found.vector is not None
    return int(np.argmax(encoder.embed(said) @ found.vector)) if len(said) > 1 else 0


def contradicts(encoder: TextEncoder, claims: tuple[Claim, ...], others: tuple[Evidence, ...]) -> Evidence | None:
    """Evidence of another document that says the first claim with other numbers, if there is some."""
    claim, cited = claims[0].text, set(NUMBER.findall(claims[0].text))
    if not cited:
        return None
    candidates = list(_with_numbers(others, claims[0].citations[0]))
    if not candidates:
        return None
    near = encoder.embed([text for _, text in candidates]) @ encoder.embed([claim])[0]
    for (evidence, text), cosine in zip(candidates, near, strict=True):
        if cosine >= SAME_STATEMENT and not cited & set(NUMBER.findall(text)):
            return evidence
    return None


def _with_numbers(evidence: tuple[Evidence, ...], chunk_id: int) -> Iterator[tuple[Evidence, str]]:
    of = next((one.uri for one in evidence if one.chunk_id == chunk_id), None)
    for one in evidence:
        if one.uri != of:
            yield from ((one, text) for text in sentences(one.text) if NUMBER.search(text))
