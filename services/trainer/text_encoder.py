"""Puts the search's text encoder into the object store: the base model, untrained, with its token vectors."""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.core.models.manifest import ENCODER_FILE, TOKENIZER_FILE
from services.core.search.encoder import FILES, FOLDER, is_in
from services.trainer.export import FLOAT_FILE, OPSET, quantise, wheel_model
from services.trainer.finetune import load_base

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def put_encoder(store: "ObjectStore") -> bool:
    """Exports the encoder and uploads it; False when it was there already."""
    if is_in(store):
        return False
    with tempfile.TemporaryDirectory() as folder:
        export_text_encoder(Path(folder))
        for name in FILES:
            store.put(f"{FOLDER}/{name}", (Path(folder) / name).read_bytes())
    return True


def export_text_encoder(folder: Path) -> None:
    """Writes ENCODER_FILE (int8; outputs `embedding` (B, H) and `tokens` (B, T, H)) and TOKENIZER_FILE."""
    import torch

    encoder, tokenizer = load_base(wheel_model())
    encoder.set_attn_implementation("eager")  # what the tracer can see through
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    example = torch.ones(2, 8, dtype=torch.long)
    inputs = ["input_ids", "attention_mask"]
    batch, by_token = {0: "batch"}, {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about shapes that `dynamic_axes` covers
        torch.onnx.export(
            _module(encoder).eval(),
            (example, example),
            str(folder / FLOAT_FILE),
            input_names=inputs,
            output_names=["embedding", "tokens"],
            dynamic_axes=dict.fromkeys((*inputs, "tokens"), by_token) | {"embedding": batch},
            opset_version=OPSET,
            dynamo=False,
        )
    quantise(folder)
    assert (folder / ENCODER_FILE).exists()


def _module(encoder: Any) -> Any:
    """Mean over the text's tokens, as MiniLM was trained to be read; both outputs have rows of length 1."""
    import torch
    from torch.nn.functional import normalize

    class TextModule(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return normalize(mean, dim=-1), normalize(hidden, dim=-1)

    return TextModule()
