"""Whether a sentence that somebody wrote is said by the passages it cites. Pure, but for the encoder."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from services.core.answer.passage import NUMBER, sentences
from services.core.search.encoder import Vectors

# Measured on the reference answers of support_rag_qa's training part, against the nearest passages that are not theirs
# (design/adr/0151).
WORDS_FOUND, NEARNESS = 0.7, 0.7
STEM_CHARS = 6
PLAIN_MAX_CHARS = 3  # shorter words say little: a name has more
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
NOT = re.compile(r"\b(?:not|never|no|none|nobody|cannot|without|\w+n['’]t|nicht|kein\w*|nie|pas|jamais|nunca)\b", re.I)
STOPPED = """
about after also and any are been before but can could did does each for from had has have her his how into its may more
most must not only other our out over own same shall should some such than that the their them then there these they
this those through under until was were what when where which while who will with would your
"""
STOP = frozenset(STOPPED.split())


class Embeds(Protocol):
    """What gives texts their vectors: the encoder, or what remembers what it gave."""

    def embed(self, texts: Sequence[str]) -> Vectors: ...


def is_supported(encoder: Embeds, claim: str, passages: list[str]) -> bool:
    """Each sentence of the claim: its numbers all there, most of its words, and one there that means the same."""
    return bool(passages) and all(_is_said(encoder, one, passages) for one in sentences(claim))


def words_found(sentence: str, source: str) -> float:
    """The share of a sentence's telling words that the source has, by their beginnings; 1 when there are none."""
    telling, there = _stems(sentence), _stems(source)
    return sum(word in there for word in telling) / len(telling) if telling else 1.0


def _is_said(encoder: Embeds, sentence: str, passages: list[str]) -> bool:
    source = "\n".join(passages)
    if not set(NUMBER.findall(sentence)) <= set(NUMBER.findall(source)) or words_found(sentence, source) < WORDS_FOUND:
        return False
    near, closest = nearness(encoder, sentence, passages)
    return near >= NEARNESS and _denies(closest) == _denies(sentence)


def nearness(encoder: Embeds, sentence: str, passages: list[str]) -> tuple[float, str]:
    """The cosine of the passages' sentence that is nearest in meaning, and that sentence."""
    said = [one for passage in passages for one in sentences(passage)]
    vectors = encoder.embed([*said, sentence])
    cosines = vectors[:-1] @ vectors[-1]
    closest = int(np.argmax(cosines))
    return float(cosines[closest]), said[closest]


def _stems(text: str) -> set[str]:
    words = (word.lower() for word in WORD.findall(text))
    return {word[:STEM_CHARS] for word in words if len(word) > PLAIN_MAX_CHARS - 1 and word not in STOP}


def _denies(sentence: str) -> bool:
    return bool(NOT.search(sentence))
