"""
The TF-IDF + linear member: words 1-2 and characters 2-5 inside word bounds, scored with numpy alone.

scikit-learn fits it (`services.trainer.linear`); serving must not import scikit-learn (60 MiB). The two agree to
float16 rounding: tests/services/core/models/test_linear.py compares them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.core.models.manifest import LINEAR_FILE, VOCABULARY_FILE

WORD = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default token pattern
CHAR_NGRAMS = (2, 5)
MAX_CHARS = 4_000  # a longer text's tail rarely names the group and costs 4 n-grams a character
KNOWN_WORDS_MAX = 20_000  # words whose character n-grams are remembered; about 10 MiB when full


def word_terms(text: str) -> Iterator[str]:
    """Words and pairs of neighbouring words, as TfidfVectorizer(ngram_range=(1, 2))."""
    words = WORD.findall(text)
    yield from words
    yield from (f"{a} {b}" for a, b in pairwise(words))


def char_terms(word: str) -> Iterator[str]:
    """Character n-grams of one word padded with spaces, as TfidfVectorizer(analyzer='char_wb')."""
    padded = f" {word} "
    for n in range(CHAR_NGRAMS[0], CHAR_NGRAMS[1] + 1):
        if n >= len(padded):
            yield padded  # scikit-learn counts a short word once and stops
            return
        yield from (padded[i : i + n] for i in range(len(padded) - n + 1))


@dataclass(frozen=True)
class LinearModel:
    """
    State of the linear member.

    `words`, `chars`: term to row. `idf` float32 (F,). `weights` float16 (F, Q). `bias` float32 (Q,).
    """

    words: dict[str, int]
    chars: dict[str, int]
    idf: NDArray[np.float32]
    weights: NDArray[np.float16]
    bias: NDArray[np.float32]
    known: dict[str, tuple[int, ...]]

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Decision values (B, Q), not probabilities."""
        rows = [self._score_one(text[:MAX_CHARS].lower()) for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), len(self.bias))

    def _score_one(self, text: str) -> NDArray[np.float32]:
        rows = self.words
        words = Counter(rows[term] for term in word_terms(text) if term in rows)
        chars: Counter[int] = Counter()
        for word in text.split():
            chars.update(self._char_rows(word))
        score = self.bias.copy()
        for counts in (words, chars):
            if counts:
                score += self._weigh(counts)
        return score

    def _weigh(self, counts: Counter[int]) -> NDArray[np.float32]:
        rows = np.fromiter(counts.keys(), np.int64, len(counts))
        tf = 1.0 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))
        value = tf * self.idf[rows]
        value /= np.sqrt(np.dot(value, value))
        return value @ self.weights[rows].astype(np.float32)

    def _char_rows(self, word: str) -> tuple[int, ...]:
        found = self.known.get(word)
        if found is None:
            rows = self.chars
            found = tuple(rows[term] for term in char_terms(word) if term in rows)
            if len(self.known) < KNOWN_WORDS_MAX:
                self.known[word] = found
        return found


def load_linear(folder: Path) -> LinearModel:
    from safetensors.numpy import load_file

    tensors = load_file(folder / LINEAR_FILE)
    vocabulary = json.loads((folder / VOCABULARY_FILE).read_bytes())
    words = {term: row for row, term in enumerate(vocabulary["words"])}
    chars = {term: row for row, term in enumerate(vocabulary["chars"], start=len(words))}
    return LinearModel(words, chars, tensors["idf"], tensors["weights"], tensors["bias"], {})


def save_linear(folder: Path, model: LinearModel) -> None:
    from safetensors.numpy import save_file

    tensors = {"idf": model.idf, "weights": model.weights, "bias": model.bias}
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / LINEAR_FILE)
    terms = {"words": list(model.words), "chars": list(model.chars)}
    (folder / VOCABULARY_FILE).write_text(json.dumps(terms, ensure_ascii=False), encoding="utf-8")
