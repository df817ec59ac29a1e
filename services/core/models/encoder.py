"""The transformer member: a Hugging Face tokenizer and an int8 ONNX graph; no torch, no transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.core.models.manifest import ENCODER_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions
    from tokenizers import Tokenizer

MAX_CHARS = 8_000  # 512 tokens never need more; a 1 MB body must not reach the tokenizer
SUB_BATCH = 8  # sorted by length: little padding, activations within the cache; 16 takes 10 % longer, 32 40 %


@dataclass(frozen=True)
class Encoder:
    """Graph inputs: `input_ids`, `attention_mask` int64 (B, T). Outputs: `embedding` (B, H), maybe `logits` (B, Q)."""

    session: "InferenceSession"
    tokenizer: "Tokenizer"
    outputs: tuple[str, ...]
    options: "RunOptions"

    def run(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Embeddings (B, H), rows of length 1, and logits (B, Q) when the graph has a head."""
        tokens = [self.tokenizer.encode(text[:MAX_CHARS]) for text in texts]  # encode_batch would start threads
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i].ids))
        parts = [self._run_some([tokens[i] for i in order[a : a + SUB_BATCH]]) for a in range(0, len(order), SUB_BATCH)]
        back = np.argsort(order)
        return {name: np.concatenate([part[name] for part in parts])[back] for name in self.outputs}

    def _run_some(self, tokens: list) -> dict[str, NDArray[np.float32]]:
        length = max(len(token.ids) for token in tokens)
        ids = np.zeros((len(tokens), length), np.int64)
        mask = np.zeros_like(ids)
        for row, token in enumerate(tokens):
            ids[row, : len(token.ids)] = token.ids
            mask[row, : len(token.ids)] = 1
        return self.compute(self.outputs, ids, mask)

    def compute(
        self, outputs: Sequence[str], ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """What the graph gives under these names; the memory it took is given back."""
        values = self.session.run(list(outputs), {"input_ids": ids, "attention_mask": mask}, self.options)
        return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}


def load_encoder(folder: Path, *, max_tokens: int, threads: int) -> Encoder:
    """The encoder of a bundle. Nothing is downloaded."""
    import onnxruntime as ort
    from tokenizers import Tokenizer

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(folder / ENCODER_FILE, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return Encoder(session, tokenizer, tuple(output.name for output in session.get_outputs()), _giving_back())


def _giving_back() -> "RunOptions":
    """
    Without an arena each layer asks the system for its memory: 5 to 20 % of the time of a batch. With one the peak
    would stay for ever, so it goes back after each run.
    """
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
