"""Which tickets say nearly the same: forwarded mails, monitors' alerts, templates with another number in them."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+")
DIGITS = re.compile(r"\d+")
SHINGLE_WORDS = 3
BANDS, BAND_ROWS = 12, 4  # two texts that share 7 of 10 shingles meet in one of the bands 97 times in 100
ALIKE_MIN = 0.7  # Jaccard similarity of the shingles
TEMPLATE_WORDS_MIN = 8  # "error 403" is not "error 404"; a long text with another number in it is the same
SEED = 20261121


def group_alike(texts: Sequence[str]) -> NDArray[np.intp]:
    """
    For each text the index of the first one of its kind: itself for most.

    Texts of one kind share seven of ten word triples with their first; in longer ones numbers count as equal. MinHash
    finds who to compare (Broder 1997, On the resemblance and containment of documents).
    """
    shingles = [_shingles(text) for text in texts]
    signatures = _signatures(shingles)
    first = np.arange(len(texts))
    for band in range(BANDS):
        seen: dict[bytes, int] = {}
        for row, key in enumerate(signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]):
            other = seen.setdefault(key.tobytes(), row)
            if other != row and _root(first, other) != _root(first, row) and _alike(shingles[other], shingles[row]):
                low, high = sorted((_root(first, other), _root(first, row)))
                first[high] = low
    return np.array([_root(first, row) for row in range(len(texts))], np.intp)


def _shingles(text: str) -> frozenset[int]:
    words = WORD.findall(text.casefold())
    if len(words) >= TEMPLATE_WORDS_MIN:
        words = [DIGITS.sub("0", word) for word in words]
    runs = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return frozenset(zlib.crc32(" ".join(words[at : at + SHINGLE_WORDS]).encode()) for at in runs)


def _signatures(shingles: Sequence[frozenset[int]]) -> NDArray[np.uint64]:
    """MinHash signatures, (texts, BANDS * BAND_ROWS): odd multipliers shuffle 64-bit numbers."""
    random = np.random.default_rng(SEED)
    factors = random.integers(0, 2**63, BANDS * BAND_ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.empty((len(shingles), len(factors)), np.uint64)
    for row, own in enumerate(shingles):
        spread = np.fromiter(own, np.uint64, len(own)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        spread ^= spread >> np.uint64(29)
        found[row] = (spread[:, None] * factors).min(axis=0)
    return found


def _alike(one: frozenset[int], other: frozenset[int]) -> bool:
    return len(one & other) >= ALIKE_MIN * len(one | other)


def _root(first: NDArray[np.intp], row: int) -> int:
    while first[row] != row:
        row = int(first[row])
    return row
