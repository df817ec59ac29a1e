"""
The order of what was found, by a model that reads question and passage together. None is bundled: a folder is named.

Any cross-encoder in ONNX with its tokenizer will do; it costs one run for each passage.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from services.core.contracts.document import Chunk, Evidence
from services.core.kit.errors import ConfigurationInvalid
from services.core.models.encoder import SUB_BATCH
from services.core.search.documents import embedded_text
from services.core.search.retrieve import Found, Scope

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
DEPTH = 30  # passages read again
MAX_TOKENS = 512
KEPT = 10


class Reranker(Protocol):
    """Says how well passages answer a question."""

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number for each passage, the greater the better."""
        ...


class CrossEncoder:
    """A model of one output, the logit that the passage answers. Not changed by use, so threads may share it."""

    def __init__(self, session: "InferenceSession", tokenizer: "Tokenizer") -> None:
        self._session, self._tokenizer = session, tokenizer
        self._names = [one.name for one in session.get_inputs()]

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        parts = [passages[at : at + SUB_BATCH] for at in range(0, len(passages), SUB_BATCH)]
        return [number for part in parts for number in self._score_some(question, part)]

    def _score_some(self, question: str, passages: Sequence[str]) -> list[float]:
        read = self._tokenizer.encode_batch([(question, passage) for passage in passages])
        given = {
            "input_ids": np.array([one.ids for one in read], np.int64),
            "attention_mask": np.array([one.attention_mask for one in read], np.int64),
            "token_type_ids": np.array([one.type_ids for one in read], np.int64),
        }
        logits = self._session.run(None, {name: given[name] for name in self._names})[0]
        return np.asarray(logits, np.float64).reshape(len(passages), -1)[:, -1].tolist()


def open_reranker(folder: Path) -> CrossEncoder:
    """
    The cross-encoder in a folder.

    Raises:
        ConfigurationInvalid: there is none, or it wants what a cross-encoder is not given.
    """
    import onnxruntime as ort
    from tokenizers import Tokenizer

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        session = ort.InferenceSession(folder / MODEL_FILE, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # both libraries raise whatever they like on broken files
        raise ConfigurationInvalid(
            f"{folder} holds no cross-encoder ({type(exc).__name__}). It needs {MODEL_FILE} and {TOKENIZER_FILE}."
        ) from exc
    unknown = {one.name for one in session.get_inputs()} - {"input_ids", "attention_mask", "token_type_ids"}
    if unknown:
        raise ConfigurationInvalid(f"{folder / MODEL_FILE} wants {', '.join(sorted(unknown))}: no cross-encoder.")
    tokenizer.enable_truncation(MAX_TOKENS, strategy="only_second")
    tokenizer.enable_padding()
    return CrossEncoder(session, tokenizer)


def wide(reranker: Reranker | None, scope: Scope) -> Scope:
    """What to look for so that there is something to put into order."""
    return scope if reranker is None else replace(scope, k=max(scope.k, DEPTH))


async def reranked(reranker: Reranker | None, found: Found, *, kept: int = KEPT) -> Found:
    """What was found with its first DEPTH in the order that the reranker gives them; as it is where there is none."""
    if reranker is None or not found.evidence:
        return found
    asked = " ".join((*found.question.previous[-1:], found.question.text))  # a follow-up alone says little
    scores = await asyncio.to_thread(reranker.score, asked, [_text(one) for one in found.evidence[:DEPTH]])
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    places = [*order, *range(len(scores), len(found.evidence))][:kept]
    evidence, matched = (tuple(of[place] for place in places) for of in (found.evidence, found.terms_matched))
    return replace(found, evidence=evidence, terms_matched=matched)


def _text(evidence: Evidence) -> str:
    return embedded_text(evidence.title, Chunk(ordinal=0, text=evidence.text, heading=evidence.heading))
