"""
The text encoder of the search: MiniLM-L6 as it came, never fine-tuned, so that stored vectors stay valid.

Its two files lie in the object store under ENCODER; `services.trainer.text_encoder` puts them there. A process that
only searches needs onnxruntime and tokenizers, no torch.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.core.kit.errors import ConfigurationInvalid
from services.core.models.encoder import Encoder, load_encoder
from services.core.models.manifest import ENCODER_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from obstore.store import ObjectStore

ENCODER = "minilm-l6-v1"  # another graph or tokenizer is another name: then every document is embedded again
FOLDER = f"encoders/{ENCODER}"
FILES = (ENCODER_FILE, TOKENIZER_FILE)
DIMENSIONS = 384
MAX_TOKENS = 320  # a chunk of 254 with its title and headings before it

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Tokens:
    """
    One text, token by token, without the two marks: `ids` (T,), `vectors` float32 (T, 384), rows of length 1, and
    `ends`, where in the text each ends.
    """

    ids: NDArray[np.int64]
    vectors: Vectors
    ends: tuple[int, ...]


class TextEncoder:
    """A loaded encoder. Not changed by use, so threads may share it."""

    version = ENCODER

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._counter = type(encoder.tokenizer).from_str(encoder.tokenizer.to_str())
        self._counter.no_truncation()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 per text, float32 (B, 384)."""
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        return self._encoder.run(texts)["embedding"]

    def tokens(self, text: str) -> Tokens:
        """Every token of the text in its context, for late interaction."""
        encoding = self._encoder.tokenizer.encode(text)
        ids = np.array([encoding.ids], np.int64)
        vectors = self._encoder.compute(["tokens"], ids, np.ones_like(ids))["tokens"]
        ends = tuple(end for _, end in encoding.offsets[1:-1])
        return Tokens(ids[0, 1:-1], vectors[0, 1:-1], ends)

    def count(self, text: str) -> int:
        """How many tokens a text has, without the two marks."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)


def fetch_encoder(store: "ObjectStore", *, threads: int = 1) -> TextEncoder:
    """
    The text encoder from the object store.

    Raises:
        ConfigurationInvalid: it is not there yet.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            (Path(folder) / name).write_bytes(_get(store, f"{FOLDER}/{name}"))
        return open_encoder(Path(folder), threads=threads)


def open_encoder(folder: Path, *, threads: int = 1) -> TextEncoder:
    """The text encoder whose files lie in `folder`."""
    encoder = load_encoder(folder, max_tokens=MAX_TOKENS, threads=threads)
    return TextEncoder(replace(encoder, outputs=("embedding",)))


def is_in(store: "ObjectStore") -> bool:
    return all(_exists(store, f"{FOLDER}/{name}") for name in FILES)


def _exists(store: "ObjectStore", path: str) -> bool:
    try:
        store.head(path)
    except FileNotFoundError:
        return False
    return True


def _get(store: "ObjectStore", path: str) -> bytes:
    try:
        return bytes(store.get(path).bytes())
    except FileNotFoundError as exc:
        raise ConfigurationInvalid(
            f"The text encoder is not in the object store ({path}). Put it there with: pointsman docs encoder"
        ) from exc
