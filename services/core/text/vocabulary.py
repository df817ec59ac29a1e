"""
Which words are words of a language: 64-bit hashes of simplemma's inflected forms, read when a language is first met.

The dictionaries themselves would stay at 20 to 400 MB a language; sorted hashes take 1 to 25.
"""

import threading
import zlib
from functools import cache
from typing import Any

_LOCK = threading.Lock()  # two threads would otherwise read the same dictionary twice


def is_word(word: str, language: str) -> bool:
    """The word, in any case, is a form of a word of the language; of a language without a dictionary, never."""
    import numpy

    with _LOCK:
        hashes = _hashes(language)
    key = _hash(word.lower().encode())
    place = int(numpy.searchsorted(hashes, key))
    return place < len(hashes) and int(hashes[place]) == key


def _hash(word: bytes) -> int:
    return zlib.crc32(word) << 32 | zlib.adler32(word)


@cache
def _hashes(language: str) -> Any:
    import numpy
    from simplemma.strategies.dictionaries import DefaultDictionaryFactory

    try:
        words = DefaultDictionaryFactory(cache_max_size=1).get_dictionary(language)
    except ValueError:  # simplemma has no such language
        words = {}
    forms = {(word if isinstance(word, bytes) else word.encode()).decode().lower().encode() for word in words}
    forms |= {(word if isinstance(word, bytes) else word.encode()).decode().lower().encode() for word in words.values()}
    return numpy.sort(numpy.fromiter(map(_hash, forms), dtype=numpy.uint64, count=len(forms)))
