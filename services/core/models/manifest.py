"""What a model bundle says about itself: manifest.json, the only file a reader needs to judge a version."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.core.kit.errors import InputInvalid

MANIFEST_FILE = "manifest.json"
ENCODER_FILE = "encoder.onnx"
TOKENIZER_FILE = "tokenizer.json"
LINEAR_FILE = "linear.safetensors"
VOCABULARY_FILE = "vocabulary.json"
NEIGHBOURS_FILE = "neighbours.safetensors"
LINEAGE_FILE = "lineage.safetensors"
HEADS_FILE = "heads.safetensors"
BUNDLE_FILES = (ENCODER_FILE, TOKENIZER_FILE, LINEAR_FILE, VOCABULARY_FILE, NEIGHBOURS_FILE, LINEAGE_FILE)


class Frozen(BaseModel):
    """Unknown fields are ignored, so that an older router reads a newer manifest of the same format."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Pooling(Frozen):
    """
    How the members' probabilities become one: softmax(sum(weight * log_softmax(score / temperature)) / final).

    A weight of 0 means the member is not asked.
    """

    encoder_weight: float = Field(ge=0)
    linear_weight: float = Field(ge=0)
    neighbours_weight: float = Field(ge=0)
    encoder_temperature: float = Field(default=1.0, gt=0)
    linear_temperature: float = Field(default=1.0, gt=0)
    neighbours_temperature: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=1.0, gt=0)


class BandRules(Frozen):
    """
    Fitted on the held-out part; see `services.core.models.bands` for the formulas.

    `thresholds`: least confidence for AUTO_ROUTE by group; None: never automatic (too little evidence).
    """

    target_precision: float = Field(gt=0, lt=1)
    thresholds: dict[str, float | None]
    confidence_logit: float = Field(ge=0)
    confidence_similarity: float = Field(ge=0)
    confidence_bias: float
    logit_mean: float
    logit_scale: float = Field(gt=0)
    similarity_mean: float
    similarity_scale: float = Field(gt=0)
    scope_threshold: float
    scope_floor: float


class HeadRules(Frozen):
    """
    How one head's arrays in HEADS_FILE are read, and what its scores mean.

    `labels`: the classes, in the order of its scores; none for hours. `margin`: what the interval of hours is widened
    by, in log hours (conformal). `decides_from`: least probability at which its word is followed; None: never. That of
    a breach is 0 where its chance was shown to be right.
    """

    kind: Literal["linear", "boosted"]
    categories: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    temperature: float = Field(default=1.0, gt=0)
    margin: float = 0.0
    decides_from: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class Manifest(Frozen):
    """
    One version of the router.

    `metrics` are cross-fitted on the held-out part (`services.trainer.metrics`), never on trained rows.
    `dataset_sha256` hashes the sorted (text, group) pairs; `files` maps file name to sha256.
    """

    format: Literal[1] = 1
    model_version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    created_at: datetime
    labels: tuple[str, ...] = Field(min_length=2)
    low_volume_labels: tuple[str, ...] = ()
    dropped_labels: dict[str, int] = Field(default_factory=dict)
    encoder: Literal["finetuned", "frozen"]
    base_model: str
    max_tokens: int = Field(ge=8, le=512)
    embedding_size: int = 384
    pooling: Pooling
    bands: BandRules
    heads: dict[str, HeadRules] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    group_metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    risk_coverage: tuple[tuple[float, float], ...] = ()
    dataset_sha256: str
    dataset_rows: int
    code_version: str
    seed: int
    fit_seconds: float = 0.0
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files that a bundle of this manifest has beside it."""
        return (*BUNDLE_FILES, HEADS_FILE) if self.heads else BUNDLE_FILES


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle folder. Raises InputInvalid when it is missing or not one of ours."""
    path = folder / MANIFEST_FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise InputInvalid(
            f"{path} cannot be read ({exc.strerror}). A model bundle is a folder made by: python -m services.trainer"
        ) from exc
    except ValidationError as exc:
        raise InputInvalid(
            f"{path} is not a bundle manifest of format 1: {exc.errors()[0]['msg']}. Train again."
        ) from exc


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
